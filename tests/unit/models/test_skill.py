"""Skills: functions with their types read off their signatures."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chimera.errors import InvalidInput
from chimera.models.work.declaration import skill_declarations
from chimera.models.work.signature import describe
from chimera.models.work.skill import SkillFailed, Success
from chimera.models.work.task import TaskSpec
from tests.unit.declared import as_planner, as_skill


class Colour(Enum):
    RED = "red"


class Reply(BaseModel):
    text: str
    tags: tuple[str, ...] = ()


class StrictReply(BaseModel):
    """As Chimera's own records are."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    text: str
    tags: tuple[str, ...] = ()
    at: datetime | None = None
    key: UUID | None = None


@dataclass
class Point:
    x: int
    y: int = 0


def classify(text: str, limit: int = 3, *, tags: list[str] | None = None) -> Success[Literal["bill", "other"]]:
    """Says what it is about."""
    return Success("bill")


# Calling and making tasks.


def test_a_skill_is_still_its_function() -> None:
    skill = as_skill(classify)
    assert skill("hello") == Success("bill")
    assert skill.__doc__ == classify.__doc__
    assert not skill.is_async


def test_a_task_names_its_arguments_however_they_were_given() -> None:
    task = as_skill(classify, name="c").task("hello", 5, tags=["a"])
    assert (task.skill, task.input) == ("c", {"text": "hello", "limit": 5, "tags": ["a"]})
    assert (task.depends_on, task.state_key, task.label) == ((), None, None)


def test_a_task_leaves_defaults_to_the_skill() -> None:
    assert as_skill(classify).task("hello").input == {"text": "hello"}


def test_arguments_that_no_call_could_have_are_refused() -> None:
    skill: Any = as_skill(classify)
    with pytest.raises(TypeError, match="takes 3 arguments, and 4 were given"):
        skill.task("a", 1, ["t"], 4)
    with pytest.raises(TypeError, match="several values for text"):
        skill.task("a", text="b")


def test_an_async_function_is_known_as_one() -> None:
    async def ask(text: str) -> str:
        return text

    assert as_skill(ask).is_async


# Schemas.


def test_parameters_become_a_json_schema() -> None:
    schema = as_skill(classify).input_schema
    assert schema["required"] == ["text"]
    assert schema["properties"]["limit"]["type"] == "integer"
    assert schema["additionalProperties"] is False


def test_the_return_type_becomes_a_json_schema_without_the_success_around_it() -> None:
    assert as_skill(classify).output_schema == {"enum": ["bill", "other"], "type": "string"}


def test_a_return_type_that_says_nothing_takes_anything() -> None:
    def bare(text: str) -> Success:  # type: ignore[type-arg]
        return Success(text)

    def none(text: str):  # type: ignore[no-untyped-def]
        return text

    for function in (bare, none):
        skill = as_skill(function)
        assert skill.output_schema == {}
        assert skill.dump_output({"a": [1]}) == {"a": [1]}


def test_annotations_carry_constraints_and_descriptions() -> None:
    def rate(stars: Annotated[int, Field(ge=1, le=5, description="how good")]) -> int:
        return stars

    skill = as_skill(rate)
    assert skill.input_schema["properties"]["stars"]["description"] == "how good"
    with pytest.raises(ValidationError):
        skill.dump_input({"stars": 6})


def test_a_function_without_parameters_is_a_skill() -> None:
    def now() -> str:
        return "now"

    assert as_skill(now).load_input(as_skill(now).dump_input({})) == {}


# Inputs.


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (str, "ü\x00\u2028"),
        (int, 10**30),
        (float, 1e308),
        (bool, True),
        (date, date(2026, 3, 1)),
        (datetime, datetime(2026, 3, 1, tzinfo=UTC)),
        (Decimal, Decimal("1.10")),
        (bytes, b"abc"),
        (UUID, UUID(int=1)),
        (Colour, Colour.RED),
        (Reply, Reply(text="a", tags=("b",))),
        (StrictReply, StrictReply(text="a", tags=("b",), at=datetime(2026, 3, 1, tzinfo=UTC), key=UUID(int=1))),
        (Point, Point(1, 2)),
        (list[Point], [Point(1)]),
        (dict[str, int | None], {"a": None}),
        (tuple[int, str], (1, "a")),
        (set[int], {1, 2}),
        (Any, {"a": [1, None]}),
    ],
    ids=str,
)
def test_an_argument_comes_back_as_it_was(kind: Any, value: Any) -> None:
    def take(it) -> None:  # type: ignore[no-untyped-def]
        pass

    take.__annotations__["it"] = kind
    skill = as_skill(take)
    assert skill.load_input(skill.dump_input({"it": value})) == {"it": value}


@pytest.mark.parametrize(
    "arguments",
    [{}, {"text": 1}, {"text": "a", "colour": "red"}, {"text": "a", "limit": "many"}, {"text": "a", "limit": 1.5}],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        as_skill(classify).dump_input(arguments)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"text":1}', '{"text":"a","x":1}', '{"text":"a"} {}'])
def test_a_text_that_is_no_call_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        as_skill(classify).load_input(text)


# Outputs.


@pytest.mark.parametrize(
    ("kind", "output", "dumped"),
    [
        (Reply, Reply(text="a", tags=("b",)), {"text": "a", "tags": ["b"]}),
        (Reply, {"text": "a"}, {"text": "a", "tags": []}),
        (Point, Point(1), {"x": 1, "y": 0}),
        (date, date(2026, 3, 1), "2026-03-01"),
        (Colour, Colour.RED, "red"),
        (tuple[int, ...], (1, 2), [1, 2]),
        (Decimal, Decimal("1.10"), "1.10"),
        (UUID, UUID(int=1), str(UUID(int=1))),
        (None, None, None),
        (
            StrictReply,
            StrictReply(text="a", tags=("b",), at=datetime(2026, 3, 1, tzinfo=UTC), key=UUID(int=1)),
            {"text": "a", "tags": ["b"], "at": "2026-03-01T00:00:00Z", "key": str(UUID(int=1))},
        ),
    ],
    ids=lambda value: getattr(value, "__name__", str(value))[:30],
)
def test_an_output_becomes_json_that_the_judge_finds_right(kind: Any, output: Any, dumped: Any) -> None:
    def give() -> None:
        pass

    give.__annotations__["return"] = kind
    skill = as_skill(give)
    assert skill.dump_output(output) == dumped
    assert skill.output_fault(dumped, 100) is None


@pytest.mark.parametrize("output", ["spam", 1, None, ["bill"], {"bill": 1}])
def test_an_output_of_another_type_is_refused_by_worker_and_judge(output: object) -> None:
    skill = as_skill(classify)
    with pytest.raises(ValidationError):
        skill.dump_output(output)
    assert skill.output_fault(output, 100)


# Declarations that cannot be.


def untyped(text) -> None:  # type: ignore[no-untyped-def]
    pass


def unknown_name(text: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
    pass


def no_schema(pattern: object()) -> None:  # type: ignore[valid-type]
    pass


class Opaque:
    pass


def opaque(thing: Opaque) -> None:
    pass


def opaque_output() -> Opaque:
    return Opaque()


def callback(then: Callable[[], int]) -> None:
    pass


def positional(text: str, /) -> None:
    pass


def star(*texts: str) -> None:
    pass


def stars(**texts: str) -> None:
    pass


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (untyped, "parameter 'text' has no type annotation"),
        (unknown_name, "Nowhere"),
        (no_schema, "cannot become a JSON Schema"),
        (opaque, "its parameters cannot become a JSON Schema"),
        (opaque_output, "its output cannot become a JSON Schema"),
        (callback, "its parameters cannot become a JSON Schema"),
        (positional, "cannot be given by name"),
        (star, "cannot be given by name"),
        (stars, "cannot be given by name"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_signature_that_cannot_become_a_schema_is_refused_by_the_skill_s_name(
    function: Callable[..., Any], says: str
) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)) as caught:
        as_skill(function, name="s")
    assert "skill 's'" in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"max_batch": 0},
        {"timeout_seconds": 0},
        {"timeout_seconds": -1.0},
        {"max_attempts": 0},
        {"timeout_seconds": float("nan")},
        {"timeout_seconds": float("inf")},
        {"max_attempts": 101},
    ],
    ids=repr,
)
def test_limits_that_no_task_can_have_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        as_skill(classify, **options)


def test_a_timeout_that_is_longer_than_the_broker_waits_is_refused_with_the_limit() -> None:
    assert as_skill(classify, timeout_seconds=3540.0).timeout_seconds == 3540.0
    with pytest.raises(InvalidInput, match=r"skill 'classify': timeout_seconds is at most 3540 \(59 minutes\)"):
        as_skill(classify, timeout_seconds=3541.0)


# Planners.


def async_planner() -> Any:
    async def tasks() -> list[TaskSpec]:
        return []

    return tasks


def async_generator_planner() -> Any:
    async def tasks() -> AsyncIterator[TaskSpec]:
        yield TaskSpec(skill="echo", input={})

    return tasks


def planner_of_none() -> Any:
    def tasks() -> None:
        pass

    return tasks


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (async_planner, "planner 'tasks' must not be async"),
        (async_generator_planner, "planner 'tasks' must not be async"),
        (planner_of_none, "planner 'tasks' returns None"),
    ],
)
def test_a_planner_that_cannot_yield_tasks_is_refused_when_it_is_declared(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        as_planner(make())


# Failing on purpose, and saying what is wrong.


def test_a_failure_says_what_it_knows() -> None:
    failed = SkillFailed("no answer", code="rate_limited", retryable=False, status=429)
    assert (str(failed), failed.code, failed.retryable, failed.details) == (
        "no answer",
        "rate_limited",
        False,
        {"status": 429},
    )
    assert (SkillFailed("x").code, SkillFailed("x").retryable) == ("skill_failed", True)


def test_a_description_names_the_fields_and_shows_no_values() -> None:
    def take(rows: list[Point]) -> None:
        pass

    with pytest.raises(ValidationError) as caught:
        as_skill(take).dump_input({"rows": [{"x": "s3cret"}], "more": "s3cret"})
    text = describe(caught.value)
    assert "rows.0.x: Input should be a valid integer" in text
    assert "more: Extra inputs are not permitted" in text
    assert "s3cret" not in text


def test_a_description_ends_after_a_few_faults() -> None:
    def take(rows: list[int]) -> None:
        pass

    with pytest.raises(ValidationError) as caught:
        as_skill(take).dump_input({"rows": ["x"] * 8})
    assert describe(caught.value).endswith("; and 3 more")
    assert describe(caught.value, limit=8).count("valid integer") == 8


def test_a_description_of_a_lone_value_calls_it_that() -> None:
    with pytest.raises(ValidationError) as caught:
        as_skill(classify).dump_output(1)
    assert describe(caught.value).startswith("value: ")


# What is said of them.


def test_a_skill_is_described_by_the_first_paragraph_of_its_docstring() -> None:
    def told() -> str:
        """Says
        something.

        And more.
        """
        return ""

    def untold() -> str:
        return ""

    assert as_skill(told).description == "Says something."
    assert as_skill(untold).description == ""
    assert as_skill(told, description="Better.\nMuch.").description == "Better. Much."
    assert as_planner(told_planner).description == "Plans nothing."
    assert as_planner(told_planner, description="").description == ""


def told_planner(count: int) -> list[TaskSpec]:
    """Plans nothing."""
    return []


def test_examples_are_arguments_as_json_has_them() -> None:
    def paint(colour: Colour, at: datetime | None = None) -> str:
        return ""

    skill = as_skill(
        paint, examples=[{"colour": Colour.RED}, {"colour": "red", "at": datetime(2026, 1, 2, tzinfo=UTC)}]
    )
    assert skill.examples == ({"colour": "red"}, {"colour": "red", "at": "2026-01-02T00:00:00Z"})
    assert as_planner(told_planner, examples=[{"count": 3}]).examples == ({"count": 3},)
    with pytest.raises(
        InvalidInput, match=r"skill 'paint': an example does not fit its parameters: colour: Input should"
    ):
        as_skill(paint, examples=[{"colour": "blue"}])
    with pytest.raises(
        InvalidInput, match=r"planner 'told_planner': an example does not fit its parameters: size: Extra"
    ):
        as_planner(told_planner, examples=[{"count": 3, "size": 1}])


def test_the_fingerprint_tells_apart_what_takes_or_answers_something_else() -> None:
    def shout(text: str) -> str:
        """Loud."""
        return text

    def louder(text: str) -> str:
        """Louder."""
        return text

    def counted(text: str) -> int:
        return len(text)

    first, second, third = skill_declarations(
        [as_skill(shout, name="a"), as_skill(louder, name="b"), as_skill(counted, name="c")]
    )
    assert len(first.fingerprint) == 32
    assert first.model_copy(update={"max_batch": 1}).fingerprint == first.fingerprint
    assert third.fingerprint not in {first.fingerprint, second.fingerprint}
