"""A broker that keeps what it is sent."""

from collections import Counter
from collections.abc import Collection
from math import inf
from uuid import UUID

from chimera.errors import QueueUnavailable
from chimera.models.work.bound import BoundTenant
from chimera.models.work.quarantined import Quarantined
from chimera.models.work.wave import Dispatch, WaveRef
from chimera.ports import queue as port
from chimera.ports.sweep_store import PlanRef


class FakeQueue(port.Queue):
    """Records what is published, in order, by kind."""

    def __init__(self) -> None:
        self.plans: list[PlanRef] = []
        self.replans: list[WaveRef] = []
        self.dispatches: list[Dispatch] = []
        self.judged: list[WaveRef] = []
        self.dispatched: list[str] = []
        self.stopped: list[PlanRef] = []
        # Messages that it still takes; 0 is a broker that does not answer.
        self.room: float = inf
        self.refusals: Counter[str] = Counter()
        # The newest first.
        self.kept: list[Quarantined] = []
        self.let_in: list[BoundTenant] = []
        # Another text is a broker that was flushed.
        self.memory = "first"

    def publish_plan(self, tenant_id: str, plan_id: UUID) -> None:
        self._take()
        self.plans.append(PlanRef(tenant_id=tenant_id, plan_id=plan_id))

    def publish_replan(self, wave: WaveRef) -> None:
        self._take()
        self.replans.append(wave)

    def publish_wave(self, dispatch: Dispatch) -> None:
        self._take()
        self.dispatches.append(dispatch)

    def publish_judge(self, wave: WaveRef) -> None:
        self._take()
        self.judged.append(wave)

    def publish_dispatch(self, tenant_id: str) -> None:
        self._take()
        self.dispatched.append(tenant_id)

    def publish_stop(self, tenant_id: str, plan_id: UUID) -> None:
        self._take()
        self.stopped.append(PlanRef(tenant_id=tenant_id, plan_id=plan_id))

    def epoch(self) -> str:
        self._check()
        return self.memory

    def note_refused(self, reason: str) -> None:
        if self.room > 0:
            self.refusals[reason] += 1

    def refused(self) -> dict[str, int]:
        self._check()
        return dict(self.refusals)

    def quarantined(self) -> list[Quarantined]:
        self._check()
        return list(self.kept)

    def drop_quarantined(self, entry_ids: frozenset[str] | None) -> int:
        self._check()
        before = len(self.kept)
        self.kept = [entry for entry in self.kept if entry_ids is not None and entry.entry_id not in entry_ids]
        return before - len(self.kept)

    def bound(self) -> set[str]:
        self._check()
        return {tenant.tenant_id for tenant in self.let_in}

    def keep_bound(self, tenants: Collection[BoundTenant]) -> None:
        self._check()
        self.let_in = list(tenants)

    def backlog(self, tenant_id: str) -> int:
        self._check()
        return sum(dispatch.wave.tenant_id == tenant_id for dispatch in self.dispatches)

    def _take(self) -> None:
        self._check()
        self.room -= 1

    def _check(self) -> None:
        if self.room <= 0:
            raise QueueUnavailable
