"""The way to the workers, over Celery: waves as chords."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

from celery import Celery, chord
from celery.canvas import Signature
from kombu.exceptions import KombuError
from redis.exceptions import RedisError, ResponseError

from chimera.adapters.celery.mending import mend
from chimera.adapters.celery.messages import (
    DISPATCH,
    HIDDEN,
    JUDGE,
    PLAN,
    REPLAN,
    STOP,
    WORK,
    BatchArguments,
    Message,
    PlanArguments,
    TenantArguments,
    WaveArguments,
)
from chimera.adapters.celery.queue_names import tenant_queue
from chimera.adapters.celery.roster import Roster
from chimera.errors import QueueUnavailable
from chimera.models.work.bound import BoundTenant
from chimera.models.work.quarantined import Quarantined
from chimera.models.work.task import MAX_TIMEOUT_SECONDS
from chimera.models.work.wave import Batch, Dispatch, WaveRef
from chimera.ports import queue as port

# The skill's own timeouts end a task in time; this ends a child that does not even listen to those, when its
# lease is no longer kept either (services/worker.py).
_KILL_AFTER_SECONDS = 15.0


class Queue(port.Queue):
    """Publishes by task name, so that a submitter needs none of the tasks' code."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def publish_plan(self, tenant_id: str, plan_id: UUID) -> None:  # noqa: D102  see the port
        with self._broker() as roster:
            is_bound = self._is_bound(roster, tenant_id)
            if not is_bound:
                # Before the work is there: workers begin to listen while the planner plans.
                roster.note_tenant(tenant_id)
            self._send(PLAN, PlanArguments(tenant_id, plan_id.hex), to_tenant=is_bound)

    def publish_replan(self, wave: WaveRef) -> None:  # noqa: D102
        with self._broker() as roster:
            self._send(REPLAN, _of_wave(wave), to_tenant=self._is_bound(roster, wave.tenant_id))

    def publish_wave(self, dispatch: Dispatch) -> None:  # noqa: D102
        wave = dispatch.wave
        # A generator: of a list Celery makes a result that listens for each batch (see backend.py).
        batches = (self._batch(wave, batch) for batch in dispatch.batches)
        with self._broker() as roster:
            if self._is_bound(roster, wave.tenant_id):
                # Their workers reach no other list, so they start no Judge: the sweep does.
                for batch in batches:
                    batch.apply_async()
                return
            roster.note_tenant(wave.tenant_id)
            chord(batches, self._signature(JUDGE, _of_wave(wave)), app=self._app).apply_async()

    def publish_judge(self, wave: WaveRef) -> None:  # noqa: D102
        with self._broker():
            self._send(JUDGE, _of_wave(wave))

    def publish_dispatch(self, tenant_id: str) -> None:  # noqa: D102
        with self._broker():
            self._send(DISPATCH, TenantArguments(tenant_id))

    def publish_stop(self, tenant_id: str, plan_id: UUID) -> None:  # noqa: D102
        with self._broker():
            self._send(STOP, PlanArguments(tenant_id, plan_id.hex))

    def epoch(self) -> str:  # noqa: D102
        with self._broker() as roster:
            return roster.epoch()

    def note_refused(self, reason: str) -> None:  # noqa: D102
        with suppress(QueueUnavailable), self._broker() as roster:
            roster.note_refused(reason)

    def refused(self) -> dict[str, int]:  # noqa: D102
        with self._broker() as roster:
            return roster.refused()

    def quarantined(self) -> list[Quarantined]:  # noqa: D102
        with self._broker() as roster:
            return roster.quarantine().entries()

    def drop_quarantined(self, entry_ids: frozenset[str] | None) -> int:  # noqa: D102
        with self._broker() as roster:
            return roster.quarantine().drop(entry_ids)

    def bound(self) -> set[str]:  # noqa: D102
        with self._broker() as roster:
            return roster.bound()

    def keep_bound(self, tenants: Collection[BoundTenant]) -> None:  # noqa: D102
        with self._broker() as roster:
            roster.keep_bound(tenants)

    def backlog(self, tenant_id: str) -> int:  # noqa: D102
        with self._broker() as roster:
            return roster.backlog(tenant_id)

    def _is_bound(self, roster: Roster, tenant_id: str) -> bool:
        """Whether what the tenant's workers are to do goes into its own queue, and nowhere else."""
        return roster.is_bound(tenant_id)

    def _batch(self, wave: WaveRef, batch: Batch) -> Signature[Any]:
        ids = [task_id.hex for task_id in batch.task_ids]
        limit = min(batch.timeout_seconds, MAX_TIMEOUT_SECONDS) + _KILL_AFTER_SECONDS
        return self._signature(WORK, BatchArguments(*_of_wave(wave), ids, batch.timeout_seconds), time_limit=limit)

    def _signature(self, message: Message, arguments: tuple[Any, ...], **options: Any) -> Signature[Any]:
        # Header tasks ignore their results too: a chord part that is stored but not yet counted when its
        # child is killed would otherwise count as done for ever (celery 5.7).
        options |= {"ignore_result": True, **HIDDEN}
        queue = message.queue_for(arguments)
        return self._app.signature(message.task, arguments, immutable=True, queue=queue, **options)

    def _send(self, message: Message, arguments: tuple[Any, ...], *, to_tenant: bool = False) -> None:
        signature = self._signature(message, arguments)
        if to_tenant:
            signature.set(queue=tenant_queue(arguments[0]))
        signature.apply_async()

    @contextmanager
    def _broker(self) -> Iterator[Roster]:
        """A client of the broker, with its errors turned into ours."""
        try:
            pool: Any = self._app.pool  # celery-types takes it for a pool of producers
            with pool.acquire(block=True) as connection:
                client = connection.default_channel.client
                try:
                    yield Roster(client)
                except ResponseError:
                    mend(client)
                    raise
        except (KombuError, RedisError, OSError) as exc:
            address = self._app.connection_for_write().as_uri()  # as_uri hides the password
            raise QueueUnavailable(f"the broker at {address} does not answer ({type(exc).__name__})") from exc


def _of_wave(wave: WaveRef) -> WaveArguments:
    """The arguments of a message about a wave."""
    return WaveArguments(wave.tenant_id, wave.plan_id.hex, wave.wave_no)
