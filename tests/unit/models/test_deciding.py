"""A decision as data: what goes together, and what follows from it."""

from uuid import UUID

import pytest
from pydantic import ValidationError

from chimera.models.budget.cost import CostKnowledge, cost_knowledge
from chimera.models.gate.deciding import (
    JUDGE,
    NewCard,
    OpenTask,
    StateChanged,
    StateWrite,
    WaveDecision,
    decided_events,
    feedback_json,
    opened_events,
    person_decision,
    reasons_json,
    ruling_of_person,
    state_writes,
    stop_decision,
)
from chimera.models.gate.gate import APPROVED
from chimera.models.work.decision import Decision, Reason, Ruling, Verdict
from chimera.models.work.task import TERMINAL, TRANSITIONS, TaskState
from chimera.models.work.wave import WaveRef

ONE, TWO = UUID(int=1), UUID(int=2)
AGENT = UUID(int=8)
WAVE = WaveRef(tenant_id="acme", plan_id=UUID(int=9), wave_no=0)
WHY = Reason(rule="confidence.below", threshold=0.7, value=0.6)
BACK = Ruling(verdict=Verdict.DENY, reasons=(WHY,), next_state=TaskState.QUEUED)
HITL = Ruling(verdict=Verdict.HITL, reasons=(WHY,), next_state=TaskState.IN_REVIEW)
DENIED = Ruling(verdict=Verdict.DENY, reasons=(WHY,), next_state=TaskState.DENIED)
CARD = NewCard(card_id=UUID(int=7), skill="answer", confidence=0.6, approvals_needed=2)


def decision(ruling: Ruling, task_id: UUID = ONE, by: str = "policy") -> Decision:
    return Decision(
        task_id=task_id,
        attempt=1,
        agent_id=AGENT,
        ruling=ruling,
        result_sha256=b"\x01",
        decided_by=by,
        policy_version="p@v1",
    )


def staged(
    ruling: Ruling, task_id: UUID = ONE, card: NewCard | None = None, state: StateWrite | None = None
) -> WaveDecision:
    return WaveDecision(decision=decision(ruling, task_id), found=TaskState.STAGED, card=card, state=state)


def write(key: str = "k", version: int = 0, if_changed: Ruling | None = BACK) -> StateWrite:
    return StateWrite(key=key, version=version, if_changed=if_changed)


@pytest.mark.parametrize("found", TaskState)
@pytest.mark.parametrize("to", TaskState)
def test_a_task_goes_only_where_one_that_was_found_there_may_go(found: TaskState, to: TaskState) -> None:
    ruling = Ruling(verdict=Verdict.DENY, next_state=to)
    if to in TRANSITIONS[found]:
        assert WaveDecision(decision=decision(ruling), found=found).found is found
    else:
        with pytest.raises(ValidationError, match=f"from {found} to {to}"):
            WaveDecision(decision=decision(ruling), found=found)


def test_the_second_ruling_is_held_to_the_same() -> None:
    for ruling in (BACK, Ruling(verdict=Verdict.DENY, next_state=TaskState.EXHAUSTED)):
        assert staged(APPROVED, state=write(if_changed=ruling)).where_state_changed().decision.ruling == ruling
    with pytest.raises(ValidationError, match="from staged to running"):
        staged(APPROVED, state=write(if_changed=Ruling(verdict=Verdict.DENY, next_state=TaskState.RUNNING)))
    with pytest.raises(ValidationError, match="from in_review to queued"):
        WaveDecision(decision=decision(APPROVED), found=TaskState.IN_REVIEW, state=write(if_changed=BACK))


@pytest.mark.parametrize(("ruling", "card"), [(HITL, None), (APPROVED, CARD), (BACK, CARD)])
def test_a_hitl_and_nothing_else_opens_a_card(ruling: Ruling, card: NewCard | None) -> None:
    with pytest.raises(ValidationError, match="opens a card"):
        staged(ruling, card=card)
    assert staged(HITL, card=CARD).card == CARD


@pytest.mark.parametrize(("ruling", "card"), [(BACK, None), (DENIED, None), (HITL, CARD)])
def test_only_an_approval_changes_shared_state(ruling: Ruling, card: NewCard | None) -> None:
    with pytest.raises(ValidationError, match="only an approval"):
        staged(ruling, card=card, state=write())


def test_only_a_staged_result_that_goes_back_goes_to_the_planner() -> None:
    to_planner = BACK.model_copy(update={"to_planner": True})
    assert staged(to_planner).decision.ruling.to_planner
    for ruling, found in ((DENIED, TaskState.STAGED), (BACK, TaskState.RUNNING)):
        with pytest.raises(ValidationError, match="goes to the planner"):
            WaveDecision(decision=decision(ruling.model_copy(update={"to_planner": True})), found=found)


def test_where_shared_state_changed_the_second_ruling_stands_and_writes_no_state() -> None:
    fallen = staged(APPROVED, state=write()).where_state_changed()
    assert (fallen.decision, fallen.state, fallen.found) == (decision(BACK), None, TaskState.STAGED)
    assert staged(DENIED).where_state_changed() == staged(DENIED)


def test_a_person_s_approval_has_no_second_ruling() -> None:
    item = person_decision(decision(ruling_of_person(approve=True), by="ann"), "k", 3)
    assert (item.found, item.state) == (TaskState.IN_REVIEW, write(version=3, if_changed=None))
    with pytest.raises(StateChanged):
        item.where_state_changed()


@pytest.mark.parametrize(("approve", "key"), [(True, None), (False, "k"), (False, None)])
def test_a_person_changes_shared_state_only_by_approving_a_task_that_has_a_key(approve: bool, key: str | None) -> None:
    item = person_decision(decision(ruling_of_person(approve=approve), by="ann"), key, None)
    assert item.state is None
    assert item.decision.ruling.verdict is (Verdict.APPROVE if approve else Verdict.DENY)
    assert item.decision.ruling.final


@pytest.mark.parametrize("end", [TaskState.CANCELLED, TaskState.EXPIRED])
@pytest.mark.parametrize("found", [state for state in TaskState if state not in TERMINAL])
def test_a_stopped_plan_ends_a_task_wherever_it_is(found: TaskState, end: TaskState) -> None:
    item = stop_decision(OpenTask(task_id=ONE, attempt=2, agent_id=TWO, found=found), end, "p@v1")
    assert (item.decision.task_id, item.decision.attempt, item.decision.agent_id) == (ONE, 2, TWO)
    assert (item.found, item.decision.ruling.next_state, item.decision.result_sha256) == (found, end, b"")
    assert [reason.rule for reason in item.decision.ruling.reasons] == [f"plan.{end}"]
    assert item.decision.decided_by == JUDGE


def test_of_two_that_want_one_key_the_first_that_is_open_gets_it() -> None:
    first, second = (staged(APPROVED, task_id, state=write()) for task_id in (ONE, TWO))
    other = staged(APPROVED, UUID(int=3), state=write("other"))
    assert state_writes([first, second, other, staged(DENIED)], [ONE, TWO, UUID(int=3)]) == {"k": first, "other": other}
    assert state_writes([first, second], [TWO]) == {"k": second}
    assert state_writes([first, second], []) == {}


def test_only_a_task_that_is_tried_again_is_told_why() -> None:
    assert feedback_json(BACK) == reasons_json(BACK)
    assert WHY.rule in reasons_json(BACK)
    assert feedback_json(DENIED) is None


def test_the_audit_names_card_and_shared_state_where_there_are_any() -> None:
    decisions = [
        staged(APPROVED, ONE, state=write(version=4)),
        staged(HITL, TWO, card=CARD),
        staged(DENIED, UUID(int=3)),
    ]
    entries = decided_events(WAVE, decisions, {ONE: 5})
    assert [(entry.actor, entry.plan_id, entry.task_id) for entry in entries] == [
        ("policy", WAVE.plan_id, task_id) for task_id in (ONE, TWO, UUID(int=3))
    ]
    common = {"agent_id": f"ag_{AGENT.hex}", "attempt": 1, "policy_version": "p@v1", "result_sha256": "01"}
    why = [WHY.model_dump(mode="json")]
    assert [entry.facts for entry in entries] == [
        common
        | {"verdict": "approve", "state": "approved", "final": True, "committed": True, "reasons": []}
        | {"state_key": "k", "state_version": 5},
        common
        | {"verdict": "hitl", "state": "in_review", "final": False, "committed": False, "reasons": why}
        | {"card_id": CARD.card_id.hex},
        common | {"verdict": "deny", "state": "denied", "final": True, "committed": False, "reasons": why},
    ]
    [opened] = opened_events(WAVE, decisions)
    assert (opened.kind, opened.actor, opened.task_id) == ("review.opened", JUDGE, TWO)
    assert opened.facts == {"card_id": CARD.card_id.hex, "approvals_needed": 2}


def test_what_is_known_of_an_attempt_s_cost_follows_from_where_its_task_was_found() -> None:
    assert {state: cost_knowledge(state) for state in TaskState if cost_knowledge(state)} == {
        TaskState.QUEUED: CostKnowledge.UNUSED,
        TaskState.RUNNING: CostKnowledge.UNKNOWN,
        TaskState.STAGED: CostKnowledge.REPORTED,
    }
