"""A plan's way through real workers: what is asked of it, and what users' code does to it."""

from collections import Counter

import pytest

from chimera import CardStatus, Chimera, PlanHandle, PlanState, TaskState
from chimera.bootstrap import Services
from chimera.errors import CardAlreadyDecided, IdempotencyConflict, PlanAlreadyEnded, UnknownTenant
from chimera.models.audit.audit import GENESIS, AuditEntry, chained
from chimera.models.work.result import FailureOutcome, SuccessOutcome
from tests.integration.conftest import Run


def entries(services: Services, tenant: str) -> list[AuditEntry]:
    return services.adapters.plans.entries(tenant, None, 0, 100_000)


def by_code(handle: PlanHandle) -> dict[str, TaskState]:
    return {
        result.outcome.code: result.state for result in handle.results() if isinstance(result.outcome, FailureOutcome)
    }


def test_good_results_are_committed_and_read_back(run: Run, services: Services, tenant: str) -> None:
    handle = run(planner="test.numbers", count=1200)

    assert handle.status is PlanState.COMPLETED
    assert handle.counts.committed == handle.counts.tasks == 1200
    outputs = [result.outcome.output for result in handle.results() if isinstance(result.outcome, SuccessOutcome)]
    assert outputs == list(range(1200))
    kinds = Counter(entry.kind for entry in entries(services, tenant))
    assert kinds == {
        "tenant.added": 1,
        "plan.submitted": 1,
        "plan.planned": 1,
        "task.decided": 1200,
        "plan.completed": 1,
    }


def test_the_audit_is_one_unbroken_chain(run: Run, services: Services, tenant: str) -> None:
    run({"do": "say"}, {"do": "say", "confidence": 0.2}, {"do": "refuses"})

    previous = GENESIS
    for number, entry in enumerate(entries(services, tenant), start=1):
        assert entry.seq == number
        assert entry.hash == chained(previous, entry.body)
        previous = entry.hash


@pytest.mark.parametrize(
    ("step", "rule"),
    [
        ({"do": "say", "confidence": 0.69}, "confidence.below"),
        ({"do": "say", "confidence": 1.01}, "confidence.invalid"),
        ({"do": "say", "text": "your password is set"}, "keyword.password"),
        ({"do": "nan"}, "confidence.missing"),
        ({"do": "no_confidence"}, "confidence.missing"),
    ],
)
def test_a_doubtful_result_waits_for_a_person(run: Run, step: dict[str, object], rule: str) -> None:
    handle = run(step)

    assert handle.status is PlanState.IN_REVIEW
    [card] = handle.reviews()
    assert [reason.rule for reason in card.reasons] == [rule]


def test_failures_of_skills_are_stored_with_their_reason(run: Run) -> None:
    handle = run(*({"do": do} for do in ("raises", "refuses", "wrong_type", "nothing", "huge", "overruns")))

    assert handle.status is PlanState.COMPLETED_WITH_FAILURES
    assert handle.counts.failed == 6
    codes = [result.outcome.code for result in handle.results() if isinstance(result.outcome, FailureOutcome)]
    assert codes == ["skill_raised", "closed", "wrong_type", "wrong_type", "output_too_large", "timeout"]
    attempts = [result.attempt for result in handle.results()]
    assert attempts == [2, 1, 1, 1, 1, 1], "only what may pass when tried again is tried again"


def test_async_skills_run(run: Run) -> None:
    handle = run(*({"do": "async", "text": f"text {number}"} for number in range(30)))

    assert handle.counts.committed == 30


def test_a_plan_of_no_tasks_completes_at_once(run: Run) -> None:
    handle = run(planner="test.numbers", count=0)

    assert handle.status is PlanState.COMPLETED
    assert handle.counts.tasks == 0


@pytest.mark.parametrize(
    ("planner", "inputs", "code"),
    [("test.raises", {"count": 300}, "planner_raised"), ("test.rubbish", {}, "not_a_task")],
)
def test_a_planner_that_fails_fails_the_plan_whole(
    run: Run, planner: str, inputs: dict[str, object], code: str
) -> None:
    handle = run(planner=planner, **inputs)

    plan = handle.plan
    assert plan.state is PlanState.FAILED
    assert plan.failure is not None
    assert plan.failure.code == code
    assert list(handle.results()) == []


def test_a_person_approves_and_denies(run: Run, services: Services) -> None:
    handle = run({"do": "say", "text": "yes", "confidence": 0.1}, {"do": "say", "text": "no", "confidence": 0.1})
    yes, no = handle.reviews()

    services.reviewing.reviews.approve(yes, "ana")
    assert handle.plan.state is PlanState.IN_REVIEW
    services.reviewing.reviews.deny(no, "ana", "not so")

    ended = handle.plan
    assert ended.state is PlanState.COMPLETED
    assert (handle.counts.committed, handle.counts.denied, handle.counts.in_review) == (1, 1, 0)
    with pytest.raises(CardAlreadyDecided, match="approved by ana already"):
        services.reviewing.reviews.deny(yes, "ben", "too late")
    assert [card.status for card in handle.reviews(status=None)] == [CardStatus.APPROVED, CardStatus.DENIED]


def test_a_task_waits_for_those_it_depends_on(run: Run) -> None:
    handle = run(
        {"do": "say", "text": "first"},
        {"do": "refuses"},
        {"do": "say", "text": "after the first", "after": [0]},
        {"do": "say", "text": "after the refused", "after": [0, 1]},
        {"do": "say", "text": "last", "after": [2]},
    )

    assert handle.status is PlanState.COMPLETED_WITH_FAILURES
    states = {result.ordinal: result.state for result in handle.results()}
    assert states[2] is states[4] is TaskState.APPROVED
    assert states[3] is TaskState.EXHAUSTED
    assert by_code(handle)["dependency_not_approved"] is TaskState.EXHAUSTED


def test_a_task_that_depends_on_a_reviewed_one_goes_on_after_the_review(
    run: Run, chimera: Chimera, tenant: str, services: Services
) -> None:
    steps = [{"do": "say", "confidence": 0.1}, {"do": "say", "after": [0]}]
    handle = chimera.submit("test.steps", tenant=tenant, inputs={"steps": steps})
    for event in handle.events(timeout=30):
        if event.facts.get("verdict") == "hitl":
            [card] = handle.reviews()
            services.reviewing.reviews.approve(card, "ana")

    assert handle.status is PlanState.COMPLETED
    assert handle.counts.committed == 2


def test_of_two_that_change_one_state_both_are_committed_one_after_the_other(run: Run) -> None:
    handle = run({"do": "say", "text": "one", "key": "greeting"}, {"do": "say", "text": "two", "key": "greeting"})

    assert handle.counts.committed == 2
    assert [result.attempt for result in handle.results()] == [1, 2], "the second read again what the first wrote"


def test_the_same_key_is_the_same_plan(chimera: Chimera, tenant: str) -> None:
    first = chimera.submit("test.numbers", tenant=tenant, inputs={"count": 1}, idempotency_key="k")
    again = chimera.submit("test.numbers", tenant=tenant, inputs={"count": 1}, idempotency_key="k")

    assert (first.created, again.created) == (True, False)
    assert again.id == first.id
    with pytest.raises(IdempotencyConflict):
        chimera.submit("test.numbers", tenant=tenant, inputs={"count": 2}, idempotency_key="k")
    first.wait(timeout=30)


def test_an_unknown_tenant_is_refused(chimera: Chimera) -> None:
    with pytest.raises(UnknownTenant, match="chimera tenant add nobody"):
        chimera.submit("test.numbers", tenant="nobody", inputs={"count": 1})


def test_a_cancelled_plan_ends_with_one_decision_for_each_task(
    chimera: Chimera, services: Services, tenant: str
) -> None:
    steps = [{"do": "slow", "seconds": 0.5} for _ in range(40)] + [{"do": "say", "confidence": 0.1}]
    handle = chimera.submit("test.steps", tenant=tenant, inputs={"steps": steps})
    for event in handle.events(timeout=30):
        if event.kind == "task.decided":  # some are done, most are not
            handle.cancel("ana")
            break
    plan = handle.wait(timeout=30)

    assert plan.state is PlanState.CANCELLED
    assert plan.counts.cancelled > 0
    assert plan.counts.open == plan.counts.in_review == 0
    decided = Counter(entry.task_id for entry in entries(services, tenant) if (entry.facts or {}).get("final"))
    assert len(decided) == 41
    assert set(decided.values()) == {1}
    assert handle.cancel("ana") is PlanState.CANCELLED, "twice is once"


def test_a_plan_that_has_ended_cannot_be_cancelled(run: Run) -> None:
    handle = run(planner="test.numbers", count=1)

    with pytest.raises(PlanAlreadyEnded):
        handle.cancel()


def test_events_tell_the_whole_story_in_order(run: Run) -> None:
    handle = run({"do": "say"}, {"do": "say", "confidence": 0.5})

    kinds = [str(event).split()[0] for event in handle.events(timeout=10)]
    assert kinds == [
        "plan.submitted",
        "plan.planned",
        "task.decided",
        "task.decided",
        "review.opened",
        "plan.in_review",
    ]


def test_progress_is_the_plan_until_it_is_settled(chimera: Chimera, tenant: str) -> None:
    handle = chimera.submit("test.numbers", tenant=tenant, inputs={"count": 1200})

    seen = [(plan.counts.gated, plan.state) for plan in handle.progress(timeout=60)]
    assert seen == sorted(seen, key=lambda look: look[0])
    assert seen[-1] == (1200, PlanState.COMPLETED)
    assert PlanState.COMPLETED not in {state for _, state in seen[:-1]}
    assert len(seen) > 1
