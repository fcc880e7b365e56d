"""What a skill hands over is as hostile as the skill: one such result is its task's failure, and nobody else's.

In each attack a batch holds the hostile task between two honest ones, and goes through the worker and the Judge as
they are: the honest results are committed, the hostile one is refused, and asked again the Judge has nothing to do.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from chimera import Success, skill
from chimera.bootstrap import Services
from chimera.models.work.result import Usage
from chimera.models.work.skill import SkillFailed
from chimera.models.work.task import TaskState
from chimera.models.work.wave import Wave
from tests.contract.scene import Scene
from tests.integration.conftest import services_with


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def costs(**fields: Any) -> Callable[[], Any]:
    values: dict[str, Any] = {"tokens": 1, "cost_usd": Decimal(0)} | fields
    return lambda: Success("fine", confidence=1.0, usage=Usage.model_construct(**values))


def fails_at(**fields: Any) -> Callable[[], Any]:
    values: dict[str, Any] = {"tokens": 1, "cost_usd": Decimal(0)} | fields

    def fail() -> Any:
        raise SkillFailed("no", retryable=False, usage=Usage.model_construct(**values))

    return fail


def gives(output: Any) -> Callable[[], Any]:
    return lambda: Success(output, confidence=1.0)


class Text(str):
    """A text that says of itself that it is another one."""

    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no")

    def encode(self, *_: object, **__: object) -> bytes:
        raise RuntimeError("no")


HOSTILE: dict[str, Callable[[], Any]] = {
    "costs_nan": costs(cost_usd=Decimal("NaN")),
    "costs_signaling_nan": costs(cost_usd=Decimal("sNaN")),
    "costs_infinity": costs(cost_usd=Decimal("Infinity")),
    "costs_1e400": costs(cost_usd=Decimal("1e400")),
    "costs_5000_digits": costs(cost_usd=Decimal("1" * 5000)),
    "costs_5000_places": costs(cost_usd=Decimal("1e-5000")),
    "costs_less_than_nothing": costs(cost_usd=Decimal(-1)),
    "costs_a_text": costs(cost_usd="a lot"),
    "costs_a_float_nan": costs(cost_usd=float("nan")),
    "used_less_than_no_tokens": costs(tokens=-1),
    "used_more_tokens_than_a_column_holds": costs(tokens=2**70),
    "used_tokens_of_5000_digits": costs(tokens=10**5000),
    "used_half_a_token": costs(tokens=0.5),
    "failed_and_costs_nan": fails_at(cost_usd=Decimal("NaN")),
    "failed_and_used_5000_digits": fails_at(tokens=10**5000),
    "nul": gives("a\x00b"),
    "nul_in_reasoning": lambda: Success("fine", confidence=1.0, reasoning="a\x00b"),
    "number_of_400_digits": gives(10**400),
    "number_of_4000_digits": gives(10**4000),
    "nested_150_deep": gives(nested(150)),
    "nested_3000_deep": gives(nested(3000)),
}
# What looks hostile and is none of it: it is committed, or gated as any other.
ODD: dict[str, Callable[[], Any]] = {
    "text_of_another_type": gives(Text("fine")),
    "backslashes": gives("\\u0000 \\ud800 \\\\u0000"),
    "whole_characters_above_the_first_plane": gives("\U0001f600"),
    "nested_100_deep": gives(nested(100)),
}


@skill(name="attacks.hostile", max_attempts=1)
def hostile(attack: str) -> Any:
    return (HOSTILE | ODD | {"none": gives("fine")})[attack]()


@pytest.fixture(scope="module")
def services(servers: dict[str, str]) -> Services:
    """Worker and Judge in this process, over the real stores."""
    return services_with(servers)


def states_after(scene: Scene, services: Services, attack: str) -> list[TaskState]:
    plan_id = scene.submit()
    token = scene.begin(plan_id)
    tasks = [
        scene.task(
            plan_id, ordinal=ordinal, skill="attacks.hostile", input=json.dumps({"attack": name}), max_attempts=1
        )
        for ordinal, name in enumerate(("none", attack, "none"))
    ]
    wave = Wave(wave_no=0, task_count=3, has_dependencies=False)
    assert scene.world.plans.save_tasks(scene.tenant_id, plan_id, token, [wave], tasks)
    scene.send()
    ref = scene.wave(plan_id)
    services.working.worker.run_batch(ref, [task.task_id for task in tasks], 60)
    # A turn ends when its time is over, having gated one at least.
    for _ in tasks:
        services.judging.judge.judge_wave(ref)
    assert services.judging.judge.judge_wave(ref) == 0
    return scene.states(plan_id)


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_result_is_one_task_s_failure(real_scene: Scene, services: Services, attack: str) -> None:
    states = states_after(real_scene, services, attack)
    assert states == [TaskState.APPROVED, TaskState.EXHAUSTED, TaskState.APPROVED]


@pytest.mark.parametrize("attack", ODD)
def test_an_odd_result_is_one_as_any_other(real_scene: Scene, services: Services, attack: str) -> None:
    states = states_after(real_scene, services, attack)
    assert (states[0], states[2]) == (TaskState.APPROVED, TaskState.APPROVED)
    assert states[1] in {TaskState.APPROVED, TaskState.IN_REVIEW}
