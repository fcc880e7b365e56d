"""What a skill can ask about the task that it runs as."""

import threading
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

import chimera
from chimera.errors import NoCurrentTask
from chimera.models.gate.policy import Bands, SkillPolicy
from chimera.models.work.context import TaskContext
from chimera.models.work.decision import Reason
from chimera.models.work.skill import SkillFailed, Success
from chimera.services.task_context import current_task
from chimera.testing import running_task
from tests.unit.services.house import TENANT, House


@pytest.fixture
def seen() -> list[TaskContext]:
    return []


def runs(house: House, seen: list[TaskContext], **policy: Any) -> Any:
    def note(text: str) -> Success[str]:
        seen.append(current_task())
        return Success(text, confidence=0.9 if "sure" in text else 0.2)

    house.apply(name="p", **policy)
    return house.skill(note)


def test_a_skill_sees_its_task(house: House, seen: list[TaskContext]) -> None:
    plan_id = house.planned(runs(house, seen).task("sure"))
    house.run_all()
    [result] = house.results(plan_id)
    assert seen == [
        TaskContext(tenant_id=TENANT, plan_id=plan_id, task_id=result.task_id, attempt=1, max_attempts=3),
    ]


def test_a_task_that_was_sent_back_sees_why(house: House, seen: list[TaskContext]) -> None:
    skill = runs(house, seen, defaults=SkillPolicy(confidence=Bands(hitl=0.7, retry=0.0)))
    house.planned(skill.task("a"))
    house.run_all()
    assert [context.attempt for context in seen] == [1, 2, 3]
    assert [context.feedback for context in seen[:2]] == [
        (),
        (Reason(rule="confidence.below", threshold=0.7, value=0.2),),
    ]
    assert str(seen[1].feedback[0]) == "confidence.below 0.20 < 0.7"


def test_a_task_that_failed_sees_why(house: House) -> None:
    feedback: list[list[str]] = []

    def fail(text: str) -> Success[str]:
        feedback.append([str(reason) for reason in current_task().feedback])
        raise SkillFailed("not now", code="closed")

    house.planned(house.skill(fail, max_attempts=2).task("a"))
    house.run_all()
    assert feedback == [[], ["failure.closed"]]


def test_a_task_sees_the_entry_that_it_changes(house: House) -> None:
    seen: list[tuple[Any, int | None]] = []

    def count(key: str) -> Success[int]:
        task = current_task()
        seen.append((task.state_value, task.state_version))
        return Success((task.state_value or 0) + 1, confidence=1.0)

    skill = house.skill(count)
    for _ in range(3):
        house.planned(skill.task("k").options(state_key="k"))
        house.run_all()
    assert seen == [(None, 0), (1, 1), (2, 2)]
    assert [entry.value for entry in house.database.state[TENANT, "k"]] == [1, 2, 3]


def test_an_async_skill_sees_its_task(house: House) -> None:
    seen: list[UUID] = []

    async def note(text: str) -> Success[str]:
        seen.append(current_task().task_id)
        return Success(text, confidence=1.0)

    plan_id = house.planned(house.skill(note).task("a"))
    house.run_all()
    assert seen == [house.results(plan_id)[0].task_id]


def test_a_skill_in_the_threads_pool_sees_its_task(house: House, seen: list[TaskContext]) -> None:
    plan_id = house.planned(runs(house, seen).task("sure"))
    [dispatch] = house.queue.dispatches
    thread = threading.Thread(target=house.run_batches, args=(dispatch,))
    thread.start()
    thread.join(30)
    assert [context.plan_id for context in seen] == [plan_id]


def test_outside_of_a_task_there_is_none(house: House, seen: list[TaskContext]) -> None:
    house.planned(runs(house, seen).task("sure"))
    house.run_all()
    assert seen
    with pytest.raises(NoCurrentTask, match="no task runs here"):
        current_task()


def test_a_test_of_a_skill_says_what_its_task_is() -> None:
    with running_task(attempt=2, feedback=["confidence.below"], state_key="k", state_value=3) as given:
        task = chimera.current_task()
    assert task is given
    assert (task.attempt, task.feedback, task.state_value, task.state_version) == (
        2,
        (Reason(rule="confidence.below"),),
        3,
        1,
    )
    with running_task(state_key="k") as new, running_task() as plain:
        assert (new.state_version, plain.state_version) == (0, None)
    with pytest.raises(ValidationError):
        running_task(attempt=0)
