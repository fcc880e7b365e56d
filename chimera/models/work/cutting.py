"""Cutting waves into the batches that go out now."""

from collections.abc import Callable, Iterable
from itertools import groupby

from chimera.models.work.wave import Batch, QueuedTask, batches
from chimera.models.work.workforce import Workforce

# An agent that lacks a skill takes a message and gives it back, faster than others can work: of a skill that not all
# agents have, no more batches go out at a time than this for each agent that has it. The sweep sends the rest.
BATCHES_WHERE_OTHERS_LACK_IT = 16


class Cutting:
    """The batches of a tenant's waves that go out at one time."""

    def __init__(self, tenant_id: str, workforce: Workforce, max_batch: Callable[[str], int]) -> None:
        self._tenant_id = tenant_id
        self._workforce = workforce
        self._max_batch = max_batch
        self._agents = workforce.slots(tenant_id)
        # What may still go out of each skill that not all agents have.
        self._room: dict[str, int] = {}

    def cut(self, tasks: Iterable[QueuedTask]) -> tuple[tuple[Batch, ...], bool]:
        """The batches of these tasks to send now, and whether those are all.

        Of a skill that no agent has there are none; where there is no agent at all, messages wait for those to come.
        """
        cut: list[Batch] = []
        all_sent = True
        for skill, same in groupby(sorted(tasks, key=_skill), key=_skill):
            able = self._workforce.slots(self._tenant_id, skill)
            found = list(batches(same, able, self._max_batch))
            if able < self._agents:
                most = self._room.setdefault(skill, able * BATCHES_WHERE_OTHERS_LACK_IT)
                all_sent = all_sent and len(found) <= most
                found = found[:most]
                self._room[skill] -= len(found)
            cut += found
        return tuple(cut), all_sent


def _skill(task: QueuedTask) -> str:
    return task.skill
