"""A submitted plan: follow it, read what it brought, change what it may do."""

from collections.abc import Iterator
from datetime import datetime
from time import monotonic, sleep
from typing import Any
from uuid import UUID

from chimera.bootstrap import Services
from chimera.errors import WaitTimeout
from chimera.models.gate.review import CardStatus, ReviewCard
from chimera.models.ids import IdKind, format_id
from chimera.models.record import Instant, Record
from chimera.models.work.history import TaskStanding
from chimera.models.work.plan import ENDED, Plan, PlanChange, PlanCounts, PlanState
from chimera.models.work.retry import kinds_of
from chimera.models.work.task import TaskState
from chimera.ports.plan_store import TaskResult

# A plan that ends or that only people can move on: nothing more happens by itself.
SETTLED = ENDED | {PlanState.IN_REVIEW}

_FIRST_LOOK_SECONDS = 0.01
_LONGEST_LOOK_SECONDS = 0.2
_PAGE = 1000


class PlanEvent(Record):
    """Something that happened to a plan: an entry of the audit."""

    seq: int
    at: Instant
    kind: str  # plan.submitted, plan.planned, task.decided, review.decided, plan.completed, ...
    actor: str
    task_id: UUID | None
    facts: dict[str, Any]

    def __str__(self) -> str:
        """`task.decided tk_0199... approve`."""
        parts = [self.kind]
        if self.task_id is not None:
            parts.append(format_id(IdKind.TASK, self.task_id))
        if verdict := self.facts.get("verdict"):
            parts.append(str(verdict))
        return " ".join(parts)


class PlanHandle:
    """A submitted plan. Every property and method reads the plan as it stands at that moment.

    All raise StoreUnavailable where PostgreSQL does not answer.
    """

    def __init__(self, services: Services, tenant_id: str, plan_id: UUID, *, created: bool = False) -> None:
        self._services = services
        self.tenant_id = tenant_id
        self.plan_id = plan_id
        # Whether this submission made the plan; False where its idempotency key had made it before.
        self.created = created

    @property
    def id(self) -> str:
        """The plan's id, as the command line takes it."""
        return format_id(IdKind.PLAN, self.plan_id)

    @property
    def plan(self) -> Plan:
        """The plan with its counts."""
        return self._services.adapters.plans.get(self.tenant_id, self.plan_id)

    @property
    def status(self) -> PlanState:
        """Where the plan is on its way."""
        return self.plan.state

    @property
    def counts(self) -> PlanCounts:
        """How many of its tasks are where."""
        return self.plan.counts

    def wait(self, timeout: float | None = None) -> Plan:
        """Waits until the plan has ended, or only people's decisions are missing; a paused one, until it is resumed.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            WaitTimeout: it did not get there in time.
        """
        for plan in self.progress(timeout):
            last = plan
        return last

    def progress(self, timeout: float | None = None) -> Iterator[Plan]:
        """The plan as it stands, again and again, until it is settled, as `wait` understands it: so the last time.

        It is read when the next is asked for: at first 10 ms after the one before, later up to 0.2 s.

        Raises:
            WaitTimeout: it did not get there in time.
        """
        for _ in _looks(timeout):
            plan = self.plan
            yield plan
            if plan.state in SETTLED:
                return
        raise WaitTimeout(f"plan {self.id} is still {plan.standing} after {timeout:g} s")

    def events(self, timeout: float | None = None) -> Iterator[PlanEvent]:
        """What happened to the plan so far and what happens until it is settled, as `wait` understands it.

        Raises:
            WaitTimeout: it did not get there in time.
        """
        after = self.plan.first_audit_seq - 1
        for _ in self.progress(timeout):  # read before the entries: none of them can be missed
            while entries := self._services.adapters.plans.entries(self.tenant_id, self.plan_id, after, _PAGE):
                for entry in entries:
                    facts = {"facts": entry.facts or {}}
                    yield PlanEvent.model_validate(entry.model_dump(include=_EVENT_FIELDS) | facts)
                after = entries[-1].seq

    def results(self) -> Iterator[TaskResult]:
        """The plan's tasks with the latest result of each: staged, in review, committed or refused."""
        after = (-1, -1)
        while page := self._services.adapters.plans.results(self.tenant_id, self.plan_id, after, _PAGE):
            yield from page
            after = (page[-1].wave_no, page[-1].ordinal)

    def tasks(self, state: TaskState | None = None, skill: str | None = None) -> Iterator[TaskStanding]:
        """The plan's tasks as they stand, in its order; of one state or skill, or all."""
        after = None
        while page := self._services.adapters.tasks.list_tasks(
            self.tenant_id, plan_id=self.plan_id, state=state, skill=skill, after=after, limit=_PAGE
        ):
            yield from page
            after = page[-1].task_id

    def reviews(self, status: CardStatus | None = CardStatus.PENDING) -> list[ReviewCard]:
        """The plan's review cards: those that wait, or those of another status, or with None all."""
        return self._services.reviewing.reviews.cards(
            self.tenant_id, plan_id=self.plan_id, status=status, limit=100_000
        )

    def cancel(self, actor: str = "app") -> PlanState:
        """Stops the plan: no further task starts, what is committed stays. Returns the state it is in then.

        Raises:
            PlanAlreadyEnded: it ended otherwise.
        """
        return self._services.submitting.control.cancel(self.tenant_id, self.plan_id, actor)

    def pause(self, actor: str = "app") -> PlanChange:
        """Lets nothing of the plan start until it is resumed. What runs finishes and is gated; its deadline goes on.

        Raises:
            PlanAlreadyEnded: it has ended, or stops.
        """
        return self._services.submitting.control.pause(self.tenant_id, self.plan_id, actor)

    def resume(self, actor: str = "app") -> PlanChange:
        """Lets the plan go on where it is paused.

        Raises:
            PlanAlreadyEnded: it has ended, or stops.
        """
        return self._services.submitting.control.resume(self.tenant_id, self.plan_id, actor)

    def retry(
        self,
        *,
        failed: bool = False,
        denied: bool = False,
        stopped: bool = False,
        deadline: datetime | None = None,
        actor: str = "app",
    ) -> "PlanHandle":
        """Makes a new plan of those of this plan's tasks that ended so, and returns it; once for each task.

        Asked again, it returns the first such plan: `created` says which it is.

        Args:
            failed: tasks whose attempts brought no usable result; or where the planner failed, the whole plan.
            denied: tasks whose result was refused.
            stopped: tasks that were cancelled or have expired.
            deadline: of the new plan, aware; the old one's is not taken over.
            actor: the person who asks, for the record.

        Raises:
            InvalidInput: none of the three is asked for.
            Conflict: tasks of this plan are still open.
            NothingToRetry: none ended so, or only such as depend on tasks that are not tried again.
        """
        kinds = kinds_of(failed=failed, denied=denied, stopped=stopped)
        retried = self._services.submitting.control.retry(self.tenant_id, self.plan_id, kinds, actor, deadline)
        return PlanHandle(self._services, self.tenant_id, retried.plan_id, created=retried.created)


_EVENT_FIELDS = {"seq", "at", "kind", "actor", "task_id"}


def _looks(timeout: float | None) -> Iterator[None]:
    """Moments to look, at first quickly one after the other, until the timeout; one more look after it."""
    end = None if timeout is None else monotonic() + timeout
    pause = _FIRST_LOOK_SECONDS
    while end is None or monotonic() < end:
        yield
        sleep(pause if end is None else max(0.0, min(pause, end - monotonic())))
        pause = min(_LONGEST_LOOK_SECONDS, pause * 1.2)
    yield
