"""Results that are sent back, and shared state that several want, through real workers."""

from collections import Counter
from pathlib import Path

import pytest

from chimera import Chimera, PlanState, TaskState
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.policy_store import PolicyStore
from chimera.bootstrap import Services
from chimera.models.gate.policy import Bands, Policy, SkillPolicy
from chimera.models.work.result import SuccessOutcome
from tests.integration.conftest import Run
from tests.integration.skills import CANARY

RETRY = Policy(name="retry", defaults=SkillPolicy(confidence=Bands(approve=0.7, hitl=0.7, retry=0.0)))


@pytest.fixture(autouse=True)
def _low_confidence_is_sent_back(swarm_owner: Database, tenant: str) -> None:
    PolicyStore(swarm_owner).apply(tenant, RETRY, "tests")


def facts(services: Services, tenant: str, kind: str) -> list[dict[str, object]]:
    entries = services.adapters.plans.entries(tenant, None, 0, 100_000)
    return [(entry.facts or {}) for entry in entries if entry.kind == kind]


def test_a_planner_s_hook_mends_what_was_denied(run: Run, services: Services, tenant: str) -> None:
    handle = run(planner="test.guesses_again", texts=["a", "sure", "hopeless"])

    assert handle.status is PlanState.COMPLETED
    results = list(handle.results())
    assert [result.state for result in results] == [TaskState.APPROVED, TaskState.APPROVED, TaskState.DENIED]
    outputs = [result.outcome.output for result in results if isinstance(result.outcome, SuccessOutcome)]
    assert outputs == ["a, surely confidence.below", "sure", "hopeless"]
    answers = Counter(str(answer["answer"]) for answer in facts(services, tenant, "plan.replan_answered"))
    assert answers == {"task": 1, "given_up": 1}
    assert len(facts(services, tenant, "plan.replan_asked")) == 2
    assert Counter(bool(fact["final"]) for fact in facts(services, tenant, "task.decided")) == {True: 3, False: 2}


def test_a_hook_that_raises_is_asked_again_and_its_task_ends_with_the_reason(
    run: Run, services: Services, tenant: str
) -> None:
    handle = run(planner="test.guesses_again", texts=["broken", "sure"])

    assert handle.status is PlanState.COMPLETED
    assert [result.state for result in handle.results()] == [TaskState.DENIED, TaskState.APPROVED]
    answers = facts(services, tenant, "plan.replan_answered")
    assert [answer["again"] for answer in answers] == [True, True, False]
    [ended] = [fact for fact in facts(services, tenant, "task.decided") if fact["state"] == "denied"]
    assert [reason["rule"] for reason in ended["reasons"]] == ["confidence.below", "replan.failed"]  # type: ignore[attr-defined]
    assert not any(CANARY in entry.body for entry in services.adapters.plans.entries(tenant, None, 0, 1000))


def test_a_planner_that_dies_over_a_task_is_asked_again(
    run: Run, services: Services, tenant: str, tmp_path: Path
) -> None:
    handle = run(planner="test.dies_replanning", texts=["a", "die", "b"], folder=str(tmp_path))

    assert handle.status is PlanState.COMPLETED
    assert handle.counts.committed == 3
    tries = Counter(fact["try"] for fact in facts(services, tenant, "plan.replan_asked"))
    assert tries == {1: 3, 2: 1}
    answers = [fact["answer"] for fact in facts(services, tenant, "plan.replan_answered")]
    assert answers == ["task"] * 3


def test_without_a_hook_the_task_gets_the_reasons(run: Run) -> None:
    handle = run(planner="test.guesses", texts=["a"])

    [result] = handle.results()
    assert (result.state, result.attempt) == (TaskState.APPROVED, 3)
    assert isinstance(result.outcome, SuccessOutcome)
    assert result.outcome.output == "a confidence.below"


def test_nothing_goes_back_more_than_five_times(run: Run, services: Services, tenant: str) -> None:
    handle = run(planner="test.stubborn", count=30)

    assert handle.status is PlanState.COMPLETED_WITH_FAILURES
    assert Counter((result.state, result.attempt) for result in handle.results()) == {(TaskState.EXHAUSTED, 6): 30}
    depths = Counter(fact["depth"] for fact in facts(services, tenant, "plan.replan_asked"))
    assert depths == dict.fromkeys(range(1, 6), 30)


def test_two_plans_that_change_one_entry_are_both_committed_once_and_in_order(
    chimera: Chimera, services: Services, tenant: str
) -> None:
    handles = [
        chimera.submit("test.append", tenant=tenant, inputs={"key": "names", "text": text, "seconds": seconds})
        for text, seconds in (("first", 0.4), ("second", 0.4))
    ]
    plans = [handle.wait(timeout=60) for handle in handles]

    assert [plan.counts.committed for plan in plans] == [1, 1]
    later, earlier = services.adapters.states.history(tenant, "names", 10)
    assert (earlier.version, later.version) == (1, 2)
    assert later.value == earlier.value + [text for text in ("first", "second") if [text] != earlier.value]
    assert {earlier.plan_id, later.plan_id} == {plan.plan_id for plan in plans}
    assert chimera.state(tenant, "names").value == later.value
