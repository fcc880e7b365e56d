"""What waits for a process that has a skill, in memory."""

from collections import defaultdict
from datetime import datetime
from uuid import UUID

from chimera.ports import skill_waits as port
from chimera.ports.skill_waits import SkillWait
from tests.fakes.database import FakeDatabase, WaveRow


class FakeSkillWaits(port.SkillWaits):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def of_plan(self, tenant_id: str, plan_id: UUID) -> list[SkillWait]:
        return self._waits(self._database.opened().plan_waves(tenant_id, plan_id))

    def of_all(self) -> list[SkillWait]:
        return self._waits(list(self._database.opened().waves.values()))

    def _waits(self, waves: list[WaveRow]) -> list[SkillWait]:
        since: dict[tuple[str, str], list[datetime]] = defaultdict(list)
        for row in waves:
            for task in self._database.wave_tasks(row.ref) if row.state == "in_flight" else ():
                if task.waits and row.skill_waits_since is not None:
                    since[row.ref.tenant_id, task.task.skill].append(row.skill_waits_since)
        return [
            SkillWait(
                tenant_id=tenant_id,
                skill=skill,
                count=len(times),
                since=min(times),
                isolated=self._database.policy(tenant_id).isolated,
            )
            for (tenant_id, skill), times in sorted(since.items())
        ]
