"""A worker's part that listens to the queues of those tenants that have work."""

from typing import Any

import structlog
from celery import bootsteps
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from chimera.adapters.celery.app import TENANT_QUEUE_PREFIX, tenant_queue
from chimera.adapters.celery.roster import Roster

log = structlog.get_logger(__name__)

# A new tenant is heard within this and the second that a BRPOP under way lasts.
LOOK_SECONDS = 0.5


class TenantQueues(bootsteps.StartStopStep):
    """Consumes the queue of every tenant with work, and says how many agents the worker runs.

    With `-Q` the worker consumes what it names and nothing else, so `-Q judge` makes a judge-only worker,
    and `-Q tenant.acme,tenant.globex` one for two tenants.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        # What -Q selected, None without it (celery.app.amqp.Queues.select); read before any tenant is added.
        self._named = consumer.app.amqp.queues._consume_from is not None
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Begins to look for tenants, at once and then every LOOK_SECONDS."""
        self._look(consumer)
        self._timer = consumer.timer.call_repeatedly(LOOK_SECONDS, self._look, (consumer,))

    def stop(self, _consumer: Any) -> None:
        """Stops looking; what was heard is worked off."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    shutdown = stop

    def _look(self, consumer: Any) -> None:
        try:
            with consumer.app.pool.acquire(block=True) as connection:
                roster = Roster(connection.default_channel.client)
                if self._works(consumer):
                    roster.note_slots(consumer.hostname, consumer.pool.num_processes)
                if not self._named:
                    self._listen(consumer, roster.tenants())
        except (KombuError, RedisError, OSError) as exc:
            # The consumer notices a lost broker by itself and reconnects.
            log.warning("tenants_not_read", error=type(exc).__name__)

    def _listen(self, consumer: Any, tenants: set[str]) -> None:
        wanted = {tenant_queue(tenant) for tenant in tenants}
        heard = {queue for queue in consumer.app.amqp.queues.consume_from if queue.startswith(TENANT_QUEUE_PREFIX)}
        for queue in sorted(wanted - heard):
            consumer.add_task_queue(queue)
        for queue in sorted(heard - wanted):
            consumer.cancel_task_queue(queue)

    def _works(self, consumer: Any) -> bool:
        """Whether this worker runs batches: one that only plans or judges adds no agents."""
        queues = consumer.app.amqp.queues.consume_from
        return not self._named or any(queue.startswith(TENANT_QUEUE_PREFIX) for queue in queues)
