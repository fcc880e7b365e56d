"""Ids as people see them."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera.adapters.system_clock import SystemClock
from chimera.errors import InvalidInput
from chimera.models.ids import IdKind, format_id, parse_id, ranges_of, short_id, whole_id

SOME = UUID(int=0x0199F1)
NOW = datetime(2026, 11, 27, tzinfo=UTC)


@given(st.sampled_from(IdKind), st.uuids())
def test_an_id_comes_back_as_it_was(kind: IdKind, value: UUID) -> None:
    assert parse_id(kind, format_id(kind, value)) == value


def test_an_id_shows_what_it_names() -> None:
    assert format_id(IdKind.PLAN, SOME) == "pl_000000000000000000000000000199f1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pl_",
        SOME.hex,
        f"tk_{SOME.hex}",
        f"pl{SOME.hex}",
        f"pl_{SOME.hex}0",
        f"pl_{SOME.hex[:-1]}",
        f"pl_{SOME.hex[:-1]}g",
        f"pl_{SOME}",
        f" pl_{SOME.hex}",
        f"pl_{SOME.hex[:-1]}\n",
        f"pl_{{{SOME.hex[2:]}}}",
        f"pl_+{SOME.hex[1:]}",
        f"pl_{SOME.hex[:8]}_{SOME.hex[9:]}",
    ],
)
def test_what_is_no_plan_id_is_refused_and_one_is_shown(text: str) -> None:
    with pytest.raises(InvalidInput, match="plan id: one looks like pl_"):
        parse_id(IdKind.PLAN, text)


def made_at(moment: datetime, chance: random.Random) -> UUID:
    return UUID(int=int(moment.timestamp() * 1000) << 80 | 7 << 76 | chance.getrandbits(76))


def meant(kind: IdKind, text: str, among: list[UUID]) -> list[UUID]:
    ranges = ranges_of(kind, text, NOW)
    return [value for value in among if any(each.holds(value) for each in ranges)]


@given(st.timedeltas(timedelta(0), NOW - datetime(1970, 1, 2, tzinfo=UTC)), st.integers())
def test_a_short_form_means_its_id_whenever_that_was_made(age: timedelta, seed: int) -> None:
    chance = random.Random(seed)
    value = made_at(NOW - age, chance)
    others = [made_at(NOW - age + timedelta(days=day), chance) for day in range(9)]
    text = short_id(format_id(IdKind.TASK, value))
    assert len(text) == len("tk_") + 12
    for written in (text, text.removeprefix("tk_"), text.upper().replace("TK", "tk")):
        assert meant(IdKind.TASK, written, [value, *others]) == [value]


def test_short_forms_of_the_tasks_of_one_plan_differ() -> None:
    clock = SystemClock()
    values = [format_id(IdKind.TASK, clock.new_id()) for _ in range(5_000)]
    assert len(set(map(short_id, values))) == len(values)


@pytest.mark.parametrize("digits", [8, 11, 12, 13, 31])
def test_a_prefix_means_what_begins_so(digits: int) -> None:
    value = made_at(NOW - timedelta(days=1), random.Random(1))
    other = made_at(NOW - timedelta(days=2), random.Random(2))
    for text in (format_id(IdKind.CARD, value)[: 3 + digits], value.hex[:digits]):
        assert meant(IdKind.CARD, text, [value, other]) == [value]


@pytest.mark.parametrize("text", ["", "pl_", "pl_0199f1a", "tk_0199f1a0c3b2", "0199f1a0-c3b2", "pl_0199f1a0c3bg"])
def test_what_can_be_no_short_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a plan id: one looks like pl_"):
        ranges_of(IdKind.PLAN, text, NOW)


def test_a_whole_id_is_taken_as_logs_and_databases_write_it_too() -> None:
    value = made_at(NOW, random.Random(1))
    for text in (format_id(IdKind.TASK, value), value.hex, str(value), str(value).upper()):
        assert whole_id(IdKind.TASK, text) == value
    for text in (format_id(IdKind.PLAN, value), value.hex[:-1], f"{value}0", ""):
        assert whole_id(IdKind.TASK, text) is None
