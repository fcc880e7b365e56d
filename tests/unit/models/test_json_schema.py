"""JSON Schemas that somebody else wrote: which are taken, and what is said of a value that does not fit."""

from time import process_time
from typing import Any, Literal

import pytest
from pydantic import BaseModel, TypeAdapter, create_model

from chimera.models.work.json_schema import MAX_PARTS, UNCHECKED, JsonSchema, UnusableSchema
from tests.attacks.skill_code.test_declaring import HOSTILE, doubling


class Leaf(BaseModel):
    kind: Literal["leaf"]
    value: int


class Sum(BaseModel):
    kind: Literal["sum"]
    left: "Sum | Product | Leaf"
    right: "Sum | Product | Leaf"


class Product(BaseModel):
    kind: Literal["product"]
    left: "Sum | Product | Leaf"
    right: "Sum | Product | Leaf"


class Answer(BaseModel):
    label: Literal["bill", "other"]
    tags: list[str] = []


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_one_is_refused_at_once(attack: str) -> None:
    began = process_time()
    with pytest.raises(UnusableSchema):
        JsonSchema(HOSTILE[attack])
    assert process_time() - began < 1.0


def test_what_is_taken_doubles_a_few_times() -> None:
    schema = JsonSchema(doubling(10))
    began = process_time()
    assert schema.fault("fine", 6) is None
    assert schema.fault(7, 1)
    assert process_time() - began < 1.0
    assert 2**11 < MAX_PARTS < 2**15


def test_types_that_refer_to_themselves_are_taken() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(Sum | Product | Leaf)
    schema = JsonSchema(adapter.json_schema())
    value: dict[str, Any] = {"kind": "leaf", "value": 1}
    wrong: dict[str, Any] = {"kind": "leaf", "value": "one"}
    for _ in range(40):
        value = {"kind": "sum", "left": value, "right": {"kind": "leaf", "value": 1}}
        wrong = {"kind": "product", "left": wrong, "right": {"kind": "leaf", "value": 1}}
    assert schema.fault(value, 4000) is None
    began = process_time()
    assert schema.fault(wrong, 4000) == "it does not fit"
    assert process_time() - began < 1.0, "to say where would take 2^40 steps"


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"label": "bill"}, None),
        ({"label": "spam"}, "properties.label.enum"),
        ({"label": "bill", "tags": ["a", 1]}, "properties.tags.items.type"),
        ({}, "required"),
        ("bill", "type"),
    ],
)
def test_a_fault_names_the_place_in_the_schema_and_nothing_of_the_value(value: Any, fault: str | None) -> None:
    assert JsonSchema(Answer.model_json_schema()).fault(value, 100) == fault


def test_of_what_is_too_large_no_place_is_looked_for() -> None:
    schema = JsonSchema(TypeAdapter(list[Answer | Leaf]).json_schema())
    assert schema.fault([{"label": "spam"}] * 10, 8_000_000) == "it does not fit"


def test_what_would_take_long_is_not_checked() -> None:
    doubled = doubling(10)
    schema = JsonSchema({"type": "array", "items": {"$ref": "#/definitions/d0"}, "definitions": doubled["definitions"]})
    assert schema.fault(["fine"] * 10, 80) is None
    began = process_time()
    assert schema.fault(["fine"] * 125_000, 1_000_000) == UNCHECKED
    assert process_time() - began < 1.0


def test_a_type_of_many_fields_is_checked_however_large_the_value() -> None:
    fields: dict[str, Any] = {f"field_{number}": (int | None, None) for number in range(200)}
    row: Any = create_model("Row", **fields)
    schema = JsonSchema(TypeAdapter(list[row]).json_schema())
    assert schema.fault([{"field_1": 1}] * 60_000, 1_000_000) is None
