"""A decision as data: all that a deciding transaction writes about one task, before it is written."""

from collections.abc import Iterable, Sequence
from typing import Any, Self
from uuid import UUID

from pydantic import Field, model_validator

from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.gate.gate import APPROVED, stopped
from chimera.models.ids import IdKind, format_id
from chimera.models.record import Record, canonical_json
from chimera.models.work.decision import Decision, Reason, Ruling, Verdict
from chimera.models.work.task import TRANSITIONS, TaskState
from chimera.models.work.wave import WaveRef

# Who opens cards, ends the tasks of stopped plans and settles plans.
JUDGE = "judge"

DENIED = Ruling(verdict=Verdict.DENY, next_state=TaskState.DENIED)


# The rule of a denial that nobody made by looking at the result: it was erased while it waited for a person.
# The schema's function erasure_reason looks for it.
ERASED_RULE = "erased"


class NewCard(Record):
    """The review card that a hitl opens."""

    card_id: UUID
    skill: str
    # What the skill reported.
    confidence: float | None
    # How many different people must approve it.
    approvals_needed: int = Field(default=1, ge=1, le=9)


class StateWrite(Record):
    """The entry of shared state that an approval changes."""

    key: str
    # The version that the task saw; 0 where there was no such entry.
    version: int = Field(ge=0)
    # The second ruling: what is ruled where the entry is at another version. None: then nothing at all is written.
    if_changed: Ruling | None


class StateChanged(Exception):
    """Shared state has changed since the result was made, and there is no second ruling: nothing was written."""


class WaveDecision(Record):
    """A decision on one task of a wave, with what follows from it."""

    decision: Decision
    # Where its task was found, and must still be: queued, where no agent gets it any more (its planner gave it up, or a
    # budget has nothing left for it); running, where its last lease ran out; staged; or in review.
    found: TaskState
    card: NewCard | None = None
    state: StateWrite | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        """Raises ValueError where the parts do not go together: no transaction could write them."""
        ruling = self.decision.ruling
        second = self.state.if_changed if self.state is not None else None
        for each in (ruling,) if second is None else (ruling, second):
            if each.next_state not in TRANSITIONS[self.found]:
                raise ValueError(f"a task does not go from {self.found} to {each.next_state}")
            if each.to_planner and not (self.found is TaskState.STAGED and each.next_state is TaskState.QUEUED):
                raise ValueError("only a staged result that goes back to the queue goes to the planner")
        if (self.card is not None) != (ruling.verdict is Verdict.HITL):
            raise ValueError("a hitl, and nothing else, opens a card")
        if self.state is not None and ruling.verdict is not Verdict.APPROVE:
            raise ValueError("only an approval changes shared state")
        return self

    def where_state_changed(self) -> Self:
        """The decision where shared state is not at the version that its task saw: its second ruling.

        Raises:
            StateChanged: it has none.
        """
        if self.state is None:
            return self
        if self.state.if_changed is None:
            raise StateChanged
        fallen = self.decision.model_copy(update={"ruling": self.state.if_changed})
        return self.model_copy(update={"decision": fallen, "state": None})


class OpenTask(Record):
    """A task without its final decision."""

    task_id: UUID
    attempt: int
    # The agent that ran, or runs, the attempt; None where none did.
    agent_id: UUID | None
    # Where it was found.
    found: TaskState


class Decided(Record):
    """What a deciding transaction wrote."""

    decisions: tuple[Decision, ...] = ()
    # Of the plan's request.
    trace_id: str | None = None

    @property
    def requeued(self) -> int:
        """How many tasks go back to the queue."""
        return sum(decision.ruling.next_state is TaskState.QUEUED for decision in self.decisions)


NOTHING_DECIDED = Decided()


def person_decision(decision: Decision, state_key: str | None, state_version: int | None) -> WaveDecision:
    """What a person decided about a card, as a decision on its task.

    There is no second ruling: where shared state has changed the person is told so, and decides again.

    Args:
        decision: its ruling is APPROVED or DENIED.
        state_key: the entry of shared state that the task is to change, if any.
        state_version: the version of it that the task saw.
    """
    commits = decision.ruling.verdict is Verdict.APPROVE and state_key is not None
    state = StateWrite(key=state_key, version=state_version or 0, if_changed=None) if commits and state_key else None
    return WaveDecision(decision=decision, found=TaskState.IN_REVIEW, state=state)


def stop_decision(task: OpenTask, end: TaskState, policy_version: str) -> WaveDecision:
    """The decision on an open task whose plan was cancelled or has expired; it decides on no result."""
    decision = Decision(
        task_id=task.task_id,
        attempt=task.attempt,
        agent_id=task.agent_id,
        ruling=stopped(end),
        result_sha256=b"",
        decided_by=JUDGE,
        policy_version=policy_version,
    )
    return WaveDecision(decision=decision, found=task.found)


def ruling_of_person(*, approve: bool) -> Ruling:
    """What a person says about a card."""
    return APPROVED if approve else DENIED


def erased_decision(task: OpenTask, result_sha256: bytes, who: str, why: str, policy_version: str) -> WaveDecision:
    """The denial of a result that waits for a person and is to be erased: it can be looked at and committed no more."""
    ruling = DENIED.model_copy(update={"reasons": (Reason(rule=ERASED_RULE, value=why),)})
    decision = Decision(
        task_id=task.task_id,
        attempt=task.attempt,
        agent_id=task.agent_id,
        ruling=ruling,
        result_sha256=result_sha256,
        decided_by=who,
        policy_version=policy_version,
    )
    return WaveDecision(decision=decision, found=task.found)


def state_writes(decisions: Iterable[WaveDecision], still_open: Iterable[UUID]) -> dict[str, WaveDecision]:
    """Which decision may change each key of shared state, of those on tasks that are still open.

    Of two that want one key the first gets it; the other saw a version that is no longer the last.
    """
    ids = set(still_open)
    wanted: dict[str, WaveDecision] = {}
    for item in decisions:
        if item.state is not None and item.decision.task_id in ids:
            wanted.setdefault(item.state.key, item)
    return wanted


def reasons_json(ruling: Ruling) -> str:
    """The reasons as they are stored: canonical JSON."""
    return canonical_json(_reasons(ruling))


def feedback_json(ruling: Ruling) -> str | None:
    """What the task's next attempt is told; None where there is none."""
    return reasons_json(ruling) if ruling.next_state is TaskState.QUEUED else None


def decided_events(
    wave: WaveRef, decisions: Sequence[WaveDecision], state_versions: dict[UUID, int]
) -> list[AuditEvent]:
    """The audit's entries about decisions, in their order.

    Args:
        wave: where the tasks are.
        decisions: as they were written.
        state_versions: the version of shared state that each task's approval made, where it made one.
    """
    return [_decided_event(wave, item, state_versions.get(item.decision.task_id)) for item in decisions]


def opened_events(wave: WaveRef, decisions: Iterable[WaveDecision]) -> list[AuditEvent]:
    """The audit's entries about the cards that decisions open."""
    return [
        AuditEvent(
            kind=AuditKind.REVIEW_OPENED,
            actor=JUDGE,
            plan_id=wave.plan_id,
            task_id=item.decision.task_id,
            facts={"card_id": item.card.card_id.hex, "approvals_needed": item.card.approvals_needed},
        )
        for item in decisions
        if item.card is not None
    ]


def _decided_event(wave: WaveRef, item: WaveDecision, state_version: int | None) -> AuditEvent:
    decision, ruling = item.decision, item.decision.ruling
    facts: dict[str, Any] = {
        "attempt": decision.attempt,
        "verdict": ruling.verdict,
        "state": ruling.next_state,
        "final": ruling.final,
        "committed": ruling.verdict is Verdict.APPROVE,
        "reasons": _reasons(ruling),
        "policy_version": decision.policy_version,
        "result_sha256": decision.result_sha256.hex(),
    }
    if decision.agent_id is not None:
        facts["agent_id"] = format_id(IdKind.AGENT, decision.agent_id)
    if item.card is not None:
        facts["card_id"] = item.card.card_id.hex
    if item.state is not None:
        facts |= {"state_key": item.state.key, "state_version": state_version}
    return AuditEvent(
        kind=AuditKind.TASK_DECIDED,
        actor=decision.decided_by,
        plan_id=wave.plan_id,
        task_id=decision.task_id,
        facts=facts,
    )


def _reasons(ruling: Ruling) -> list[dict[str, Any]]:
    return [reason.model_dump(mode="json") for reason in ruling.reasons]
