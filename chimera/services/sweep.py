"""The sweep: does whatever a lost message left undone."""

from itertools import groupby
from operator import attrgetter
from typing import Any

import structlog

from chimera.errors import QueueUnavailable
from chimera.failpoints import Failpoint, failpoint
from chimera.models.ids import IdKind, format_id
from chimera.models.work.bound import BoundTenant
from chimera.models.work.lease import LostLease
from chimera.models.work.wave import WaveRef
from chimera.models.work.workforce import Workforce
from chimera.ports.agent_registry import AgentRegistry
from chimera.ports.queue import Queue
from chimera.ports.sweep_store import PlanRef, SweepStore
from chimera.services.dispatcher import Dispatcher
from chimera.services.log_ids import plan_ids, wave_ids

log = structlog.get_logger(__name__)


class Sweep:
    """Finds in the store what should have gone on and did not, and sends its message again.

    Any number of sweeps may run at once, as often as they like: what they send again too often changes nothing.
    """

    def __init__(self, store: SweepStore, dispatcher: Dispatcher, queue: Queue, agents: AgentRegistry) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._queue = queue
        self._agents = agents
        # Which tenants have logins of their own, as the broker was told last, and in which epoch.
        self._let_in: tuple[str, list[BoundTenant]] | None = None

    def run(self) -> int:
        """One round over all tenants; returns the number of messages sent.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        try:
            epoch = self._queue.epoch()
            self._let_in_bound(epoch)
            forgotten = self._store.forget(epoch)
            failpoint(Failpoint.SWEEP_FORGOTTEN, "")
            sent = self._waves() + self._plans(epoch)
        except QueueUnavailable:
            log.warning("sweep_cut_short")
            return 0
        self._store.resume_in_budget()
        for tenant_id in self._store.waiting_tenants():
            sent += self._dispatcher.dispatch(tenant_id)
        self._store.keep_audit()  # last: if it fails, what waits for messages has them
        if forgotten:
            log.warning("broker_forgot", sent_again=forgotten)
        if sent:
            log.info("swept", sent=sent)
        return sent

    def _let_in_bound(self, epoch: str) -> None:
        """Has the broker know the tenants that have logins of their own: it forgets them where it starts anew."""
        told = (epoch, self._store.bound_tenants())
        if told != self._let_in:
            # In this order: who is let in finds what it needs.
            self._agents.let_in()
            self._queue.keep_bound(told[1])
            self._let_in = told

    def _plans(self, epoch: str) -> int:
        expired = self._store.expire_plans()
        for plan in expired:
            log.info("plan_expired", **_ids(plan))
        stopping = {*expired, *self._store.stopping()}
        for plan in stopping:
            self._queue.publish_stop(plan.tenant_id, plan.plan_id)
        unplanned = self._store.unplanned()
        for plan in unplanned:
            self._queue.publish_plan(plan.tenant_id, plan.plan_id)
            failpoint(Failpoint.SWEEP_PLAN_PUBLISHED, plan.tenant_id)
            self._store.mark_published(plan, epoch)
            log.info("plan_sent_again", **_ids(plan))
        unreplanned = self._store.unreplanned()
        for wave in unreplanned:
            self._queue.publish_replan(wave)
        return len(stopping) + len(unplanned) + len(unreplanned)

    def _waves(self) -> int:
        sent = 0
        by_tenant = attrgetter("tenant_id")
        untouched = sorted(self._store.untouched_waves(), key=by_tenant)
        workforce = self._agents.workforce() if untouched else Workforce()
        for tenant_id, waves in groupby(untouched, key=by_tenant):
            sent += self._tenant_waves(tenant_id, list(waves), workforce)
        return sent

    def _tenant_waves(self, tenant_id: str, waves: list[WaveRef], workforce: Workforce) -> int:
        agents = self._agents.standing(self._store.agents(tenant_id, waves), tenant_id)
        queue_is_empty = self._queue.backlog(tenant_id) == 0
        skills = workforce.skills(tenant_id)
        sent = 0
        for wave in waves:
            needs = self._store.look_at(wave, agents.gone, agents.silent, queue_is_empty=queue_is_empty, skills=skills)
            failpoint(Failpoint.SWEEP_WAVE_LOOKED_AT, tenant_id)
            if needs is None:
                continue
            for lost in needs.taken_back:
                log.warning("lease_lost", **wave_ids(wave, needs.trace_id), **_lost_ids(lost))
            if needs.judge:
                self._queue.publish_judge(wave)
                log.info("judge_sent_again", **wave_ids(wave, needs.trace_id))
                failpoint(Failpoint.SWEEP_JUDGED, tenant_id)
                sent += 1
        return sent


def _ids(plan: PlanRef) -> dict[str, Any]:
    return plan_ids(plan.tenant_id, plan.plan_id, plan.trace_id)


def _lost_ids(lost: LostLease) -> dict[str, Any]:
    return {
        "task_id": format_id(IdKind.TASK, lost.task_id),
        "attempt": lost.attempt,
        "agent_id": format_id(IdKind.AGENT, lost.agent_id),
    }
