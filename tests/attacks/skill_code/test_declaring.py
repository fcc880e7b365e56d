"""A skill's types become JSON Schemas that other processes read and check against: hostile ones are not taken.

Where they were, the check of a small output could take the Judge for years, its memory, or a connection to wherever the
schema says.
"""

from typing import Annotated, Any

import pytest
from pydantic import WithJsonSchema, create_model

from chimera.errors import InvalidInput
from chimera.models.work.skill import Skill


def doubling(levels: int, keyword: str = "allOf") -> dict[str, Any]:
    """Some 100 bytes a level, which stand for 2^levels parts."""
    defs: dict[str, Any] = {f"d{n}": {keyword: [{"$ref": f"#/definitions/d{n + 1}"}] * 2} for n in range(levels)}
    return {"definitions": defs | {f"d{levels}": {"type": "string"}}, "$ref": "#/definitions/d0"}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


def chained(levels: int) -> dict[str, Any]:
    """No two parts lie in each other, and all do once references are followed."""
    defs: dict[str, Any] = {f"d{n}": {"items": {"$ref": f"#/definitions/d{n + 1}"}} for n in range(levels)}
    return {"definitions": defs | {f"d{levels}": {}}, "$ref": "#/definitions/d0"}


HOSTILE: dict[str, dict[str, Any]] = {
    "doubles_60_times": doubling(60),
    "doubles_by_any_of": doubling(40, "anyOf"),
    "doubles_by_one_of": doubling(40, "oneOf"),
    "doubles_below_a_property_named_default": {"properties": {"default": {"$ref": "#/definitions/d0"}}} | doubling(30),
    "lies_300_deep": deep(300),
    "refers_4000_deep": chained(4000),
    "has_a_megabyte": {"enum": ["x" * 1000] * 1100},
    "has_a_pattern_of_a_billion_states": {"pattern": "(((a{1000}){1000}){1000})"},
    "has_a_pattern_that_backtracks": {"pattern": "^(?:(?=a)a+)+$"},
    "has_a_thousand_patterns": {"allOf": [{"pattern": f"^{n}(a|b){{50}}$"} for n in range(1000)]},
    "refers_to_another_server": {"$ref": "http://169.254.169.254/latest/meta-data"},
    "refers_to_a_file": {"allOf": [{"$ref": "file:///etc/passwd"}]},
    "calls_itself_something_else": {
        "$id": "http://127.0.0.1/schema",
        "$ref": "#/definitions/a",
        "definitions": {"a": {}},
    },
    "refers_as_the_reader_likes": {"$dynamicRef": "#a", "definitions": {"a": {"$dynamicAnchor": "a"}}},
    "refers_to_what_is_not_there": {"$ref": "#/definitions/nothing"},
    "is_no_schema": {"type": "nonsense"},
}


def doubling_type(levels: int) -> Any:
    """A model with two fields of a model with two fields, and so on: a few lines, and 2^levels parts."""
    kind: list[Any] = [str]
    for level in range(levels):
        kind.append(create_model(f"Level{level}", left=(kind[-1], ...), right=(kind[-1], ...)))
    return kind[-1]


def doubling_union(levels: int) -> Any:
    """Each is one of two that both are one of two."""
    kind: list[Any] = [str]
    for level in range(levels):
        one, other = (create_model(f"{name}{level}", value=(kind[-1], ...)) for name in ("One", "Other"))
        kind.append(one | other)
    return kind[-1]


# Those that pydantic lets a type say of itself.
TYPES: dict[str, Any] = {
    name: Annotated[Any, WithJsonSchema(schema)]
    for name, schema in HOSTILE.items()
    if "#/definitions" not in str(schema) and "allOf" not in schema
} | {"doubles_by_its_fields": doubling_type(20), "doubles_by_its_unions": doubling_union(18)}


@pytest.mark.parametrize("attack", TYPES)
def test_a_hostile_schema_is_not_taken(attack: str) -> None:
    def answer() -> Any:
        return 1

    answer.__annotations__["return"] = TYPES[attack]
    with pytest.raises(InvalidInput):
        Skill(answer, name="answer", max_batch=1, timeout_seconds=1.0, max_attempts=1)


def test_nor_is_one_of_its_arguments() -> None:
    def answer(text: str) -> str:
        return text

    answer.__annotations__["text"] = doubling_type(20)
    with pytest.raises(InvalidInput):
        Skill(answer, name="answer", max_batch=1, timeout_seconds=1.0, max_attempts=1)
