"""Who uses the swarm during a run: submits plans, cancels some, and decides what a person must."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypeVar

import structlog

from chimera.bootstrap import Services
from chimera.chaos.journal import Journal
from chimera.chaos.load import TENANTS, PlanDraw, approves, draw_plan
from chimera.chaos.recovery import Watch
from chimera.client import Chimera, PlanHandle
from chimera.errors import Conflict, PlanAlreadyEnded, StoreUnavailable
from chimera.models.gate.review import ReviewCard
from chimera.models.work.plan import PlanState

T = TypeVar("T")
_AGAIN_SECONDS = 0.3
_CARDS = 200

log = structlog.get_logger(__name__)


class Stopped(Exception):
    """The run is over."""


class Customers:
    """Threads that do what users do. What they are told goes to the journal, before they act on it."""

    def __init__(
        self, services: Services, journal: Journal, watch: Watch, seed: int, *, plans_per_second: float, open_plans: int
    ) -> None:
        """At most `open_plans` plans are open at a time; the next one waits until one of them ends."""
        self._services = services
        self._chimera = Chimera(services)
        self._journal = journal
        self._watch = watch
        self._seed = seed
        self._plans_per_second = plans_per_second
        self._open_plans = open_plans
        self._no_more = threading.Event()
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(8, "customer")
        self._threads = [
            threading.Thread(target=self._submit_plans, name="customers", daemon=True),
            threading.Thread(target=self._review, name="person", daemon=True),
        ]
        self._lock = threading.Lock()
        # Customers who have no answer yet.
        self.waiting = 0
        self.plans = 0
        self.tasks = 0
        # What was answered that no client should be told, by its kind.
        self.unexpected: list[str] = []

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def no_more(self) -> None:
        """Submits nothing new; what was begun goes on, and cards are still decided."""
        self._no_more.set()
        self._threads[0].join()

    def stop(self) -> None:
        """Ends, whatever is still missing."""
        self._no_more.set()
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._pool.shutdown()

    def _submit_plans(self) -> None:
        for number in count():
            while (open_plans := self._watch.open_plans()) is None or open_plans >= self._open_plans:
                if self._no_more.wait(0.2):
                    return
            draw = draw_plan(self._seed, number, self._plans_per_second)
            with self._lock:
                self.waiting += 1
            self._pool.submit(self._guarded, draw)
            if self._no_more.wait(draw.pause_seconds):
                return

    def _guarded(self, draw: PlanDraw) -> None:
        try:
            self._submit(draw)
        except Stopped:
            return
        except Exception as exc:  # noqa: BLE001  a client was told what it should not be: the report says so
            self._note_unexpected(exc)
        finally:
            with self._lock:
                self.waiting -= 1

    def _submit(self, draw: PlanDraw) -> None:
        deadline = None if draw.deadline_after is None else datetime.now(UTC) + timedelta(seconds=draw.deadline_after)
        inputs = {"plan": draw.key, "steps": [step.model_dump() for step in draw.steps]}

        def submit() -> PlanHandle:
            # The same key each time: an answer that was lost on its way is given again.
            return self._chimera.submit(
                "chaos.steps",
                tenant=draw.tenant_id,
                inputs=inputs,
                priority=draw.priority,
                deadline=deadline,
                idempotency_key=draw.key,
            )

        handle = self._until_answered(submit)
        tasks = len(draw.steps)
        self._journal.note("plan", plan=handle.plan_id.hex, tenant=draw.tenant_id, key=draw.key, tasks=tasks)
        with self._lock:
            self.plans += 1
            self.tasks += tasks
        if draw.cancel_after is not None:
            self._over.wait(draw.cancel_after)
            self._cancel(handle)

    def _cancel(self, handle: PlanHandle) -> None:
        try:
            state = self._until_answered(lambda: handle.cancel("chaos"))
        except PlanAlreadyEnded:
            return
        if state in {PlanState.STOPPING, PlanState.CANCELLED}:
            self._journal.note("cancelled", plan=handle.plan_id.hex, tenant=handle.tenant_id)

    def _review(self) -> None:
        while not self._over.wait(_AGAIN_SECONDS):
            for tenant in TENANTS:
                try:
                    for card in self._services.reviewing.reviews.cards(tenant, limit=_CARDS):
                        self._decide(card)
                except (StoreUnavailable, Conflict):
                    continue
                except Exception as exc:  # noqa: BLE001
                    self._note_unexpected(exc)

    def _decide(self, card: ReviewCard) -> None:
        reviews = self._services.reviewing.reviews
        nonce = str(json.loads(card.input or "{}")["nonce"])
        try:
            if approves(self._seed, nonce):
                decided = reviews.approve(card, "person")
            else:
                decided = reviews.deny(card, "person", "not this one")
        except Conflict:
            return  # decided already, by a lost answer's first try; or its plan was stopped
        facts = {"card": card.card_id.hex, "task": card.task_id.hex, "status": decided.status.value}
        self._journal.note("reviewed", tenant=card.tenant_id, **facts)

    def _until_answered(self, ask: Callable[[], T]) -> T:
        """Asks until PostgreSQL answers."""
        while not self._over.is_set():
            try:
                return ask()
            except StoreUnavailable:
                time.sleep(_AGAIN_SECONDS)
        raise Stopped

    def _note_unexpected(self, exc: Exception) -> None:
        log.warning("unexpected", error=repr(exc))
        with self._lock:
            self.unexpected.append(f"{type(exc).__name__}: {exc}")
