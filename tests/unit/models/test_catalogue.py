"""Planners, and the catalogue of skills and planners by name."""

from collections.abc import Iterable, Iterator

import pytest

from chimera.errors import InvalidInput, UnknownPlanner, UnknownSkill
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.task import TaskSpec
from tests.unit.declared import as_planner, as_skill


def echo(text: str) -> str:
    return text


def each(goal: str, rows: list[int], start: int = 0) -> Iterator[TaskSpec]:
    for row in rows:
        yield TaskSpec(skill="echo", input={"text": f"{goal} {start + row}"})


def none() -> Iterable[TaskSpec]:
    return ()


# Planners.


def test_a_planner_gets_the_goal_and_its_inputs() -> None:
    specs = list(as_planner(each).specs("count", '{"rows":[1,2],"start":10}'))
    assert [spec.input["text"] for spec in specs] == ["count 11", "count 12"]


def test_a_planner_is_still_its_function() -> None:
    assert [spec.skill for spec in as_planner(each)("g", [1])] == ["echo"]


def test_a_planner_without_parameters_takes_no_inputs() -> None:
    assert list(as_planner(none).specs("goal", "{}")) == []
    with pytest.raises(InvalidInput):
        as_planner(none).check_inputs({"rows": []})


def test_the_goal_is_not_among_the_inputs() -> None:
    planner = as_planner(each)
    assert planner.input_schema["required"] == ["rows"]
    with pytest.raises(InvalidInput, match="goal: Extra inputs are not permitted"):
        planner.check_inputs({"rows": [], "goal": "g"})


def test_inputs_that_do_not_fit_are_described_by_field() -> None:
    with pytest.raises(
        InvalidInput, match=r"planner 'each': inputs do not fit: rows\.1: Input should be a valid integer"
    ):
        as_planner(each).check_inputs({"rows": [1, "two"]})
    with pytest.raises(InvalidInput, match="rows: Field required"):
        as_planner(each).check_inputs({})
    as_planner(each).check_inputs({"rows": [1]})


def test_inputs_that_do_not_fit_when_it_runs_are_refused_then() -> None:
    with pytest.raises(InvalidInput, match="rows: Input should be a valid array"):
        list(as_planner(each).specs("g", '{"rows":"all"}'))


def test_a_planner_whose_signature_cannot_become_a_schema_is_refused() -> None:
    def untyped(rows) -> Iterable[TaskSpec]:  # type: ignore[no-untyped-def]
        return ()

    with pytest.raises(InvalidInput, match="planner 'p': parameter 'rows' has no type annotation"):
        as_planner(untyped, name="p")


# The catalogue.


def test_what_was_added_is_found_by_name() -> None:
    catalogue = Catalogue()
    skill, planner = as_skill(echo, name="e"), as_planner(each, name="p")
    catalogue.add_skill(skill)
    catalogue.add_planner(planner)
    assert catalogue.skill("e") is skill
    assert catalogue.planner("p") is planner


def test_what_is_not_there_is_told_with_what_is() -> None:
    catalogue = Catalogue()
    with pytest.raises(UnknownSkill, match="no skill named 'b'; registered: none"):
        catalogue.skill("b")
    for name in ("c", "a"):
        catalogue.add_skill(as_skill(echo, name=name))
        catalogue.add_planner(as_planner(each, name=name))
    with pytest.raises(UnknownSkill, match="registered: a, c"):
        catalogue.skill("b")
    with pytest.raises(UnknownPlanner, match="no planner named 'b'; registered: a, c"):
        catalogue.planner("b")


def test_one_name_is_one_function_s() -> None:
    def other(text: str) -> str:
        return text

    catalogue = Catalogue()
    catalogue.add_skill(as_skill(echo, name="e"))
    with pytest.raises(InvalidInput, match=r"skill 'e' is declared twice: in .*echo and .*other"):
        catalogue.add_skill(as_skill(other, name="e"))
    catalogue.add_planner(as_planner(each, name="p"))
    with pytest.raises(InvalidInput, match=r"planner 'p' is declared twice"):
        catalogue.add_planner(as_planner(none, name="p"))


def test_the_same_function_again_replaces_itself_as_a_reload_does() -> None:
    catalogue = Catalogue()
    catalogue.add_skill(as_skill(echo))
    again = as_skill(echo, max_batch=7)
    catalogue.add_skill(again)
    assert catalogue.skill("echo") is again


def test_a_skill_that_is_not_known_here_goes_in_batches_of_one() -> None:
    catalogue = Catalogue()
    catalogue.add_skill(as_skill(echo, max_batch=7))
    assert (catalogue.max_batch("echo"), catalogue.max_batch("elsewhere")) == (7, 1)
