"""The decorators that make a function a skill or a planner."""

from collections.abc import Iterator

import pytest

import chimera
from chimera import registration
from chimera.errors import InvalidInput
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.task import TaskSpec


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """An empty catalogue in place of the process's."""
    empty = Catalogue()
    monkeypatch.setattr(registration, "CATALOGUE", empty)
    return empty


def test_a_skill_is_named_after_its_function(catalogue: Catalogue) -> None:
    @chimera.skill
    def echo(text: str) -> str:
        return text

    assert catalogue.skills == {"echo": echo}
    assert (echo.max_batch, echo.timeout_seconds, echo.max_attempts) == (50, 60.0, 3)
    assert echo("a") == "a"


def test_a_skill_s_name_and_limits_can_be_given(catalogue: Catalogue) -> None:
    @chimera.skill(name="text.echo", max_batch=1, timeout_seconds=2.5, max_attempts=1)
    def echo(text: str) -> str:
        return text

    skill = catalogue.skill("text.echo")
    assert skill is echo
    assert (skill.max_batch, skill.timeout_seconds, skill.max_attempts) == (1, 2.5, 1)


def test_a_planner_is_named_after_its_function_or_as_given(catalogue: Catalogue) -> None:
    @chimera.planner
    def plain(goal: str) -> Iterator[TaskSpec]:
        yield TaskSpec(skill=goal, input={})

    @chimera.planner(name="named")
    def other() -> list[TaskSpec]:
        return []

    assert catalogue.planners == {"plain": plain, "named": other}


def test_a_second_function_of_one_name_is_refused(catalogue: Catalogue) -> None:
    @chimera.skill(name="one")
    def first() -> None:
        pass

    with pytest.raises(InvalidInput, match="declared twice"):

        @chimera.skill(name="one")
        def second() -> None:
            pass

    assert catalogue.skill("one") is first
