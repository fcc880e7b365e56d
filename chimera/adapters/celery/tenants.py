"""A worker's part that listens to the queues of those tenants that have work."""

from typing import Any

import structlog
from celery import bootsteps
from kombu.exceptions import KombuError
from redis.exceptions import RedisError, ResponseError

from chimera.adapters.celery.mending import mend
from chimera.adapters.celery.queue_names import TENANT_QUEUE_PREFIX, named_queues, tenant_queue
from chimera.adapters.celery.roster import Roster

log = structlog.get_logger(__name__)

# A new tenant is heard within this and the second that a BRPOP under way lasts.
LOOK_SECONDS = 0.5


class TenantQueues(bootsteps.StartStopStep):
    """Consumes the queue of every tenant with work; of no queue at all while the worker drains.

    With `-Q` the worker consumes what it names and nothing else, so `-Q judge` makes a judge-only worker,
    and `-Q tenant.acme,tenant.globex` one for two tenants.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        # Read before any tenant is added.
        self._named = named_queues(consumer.app) is not None
        self._timer: Any = None
        # What is not consumed because the worker drains.
        self._set_aside: set[str] = set()

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
        if consumer.controller.drain.is_set():
            self._rest(consumer)
            return
        self._work_again(consumer)
        if self._named:
            return
        try:
            with consumer.app.pool.acquire(block=True) as connection:
                self._listen(consumer, Roster(connection.default_channel.client).tenants())
        except ResponseError as exc:
            log.warning("tenants_not_read", error=type(exc).__name__)
            with consumer.app.pool.acquire(block=True) as connection:
                mend(connection.default_channel.client)
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

    def _rest(self, consumer: Any) -> None:
        for queue in sorted(consumer.app.amqp.queues.consume_from):
            self._set_aside.add(queue)
            consumer.cancel_task_queue(queue)

    def _work_again(self, consumer: Any) -> None:
        while self._set_aside:
            consumer.add_task_queue(self._set_aside.pop())
