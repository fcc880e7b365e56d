"""The sweep: does whatever a lost message left undone."""

import structlog

from chimera.errors import QueueUnavailable
from chimera.ports.queue import Queue
from chimera.ports.sweep_store import SweepStore
from chimera.services.dispatcher import Dispatcher

log = structlog.get_logger(__name__)


class Sweep:
    """Finds in the store what should have gone on and did not, and sends its message again.

    Any number of sweeps may run at once, as often as they like: what they send again too often changes nothing.
    """

    def __init__(self, store: SweepStore, dispatcher: Dispatcher, queue: Queue) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._queue = queue

    def run(self) -> int:
        """One round over all tenants; returns the number of messages sent.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        try:
            sent = self._waves() + self._plans()
        except QueueUnavailable:
            log.warning("sweep_cut_short")
            return 0
        for tenant_id in self._store.waiting_tenants():
            sent += self._dispatcher.dispatch(tenant_id)
        if sent:
            log.info("swept", sent=sent)
        return sent

    def _plans(self) -> int:
        stopping = {*self._store.expire_plans(), *self._store.stopping()}
        for plan in stopping:
            self._queue.publish_stop(plan.tenant_id, plan.plan_id)
        unplanned = self._store.unplanned()
        for plan in unplanned:
            self._queue.publish_plan(plan.tenant_id, plan.plan_id)
        return len(stopping) + len(unplanned)

    def _waves(self) -> int:
        overdue = self._store.overdue_waves()
        judged = [wave.wave for wave in overdue if wave.judge]
        for wave in judged:
            self._queue.publish_judge(wave)
        return len(judged)
