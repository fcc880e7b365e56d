"""Ids as people see them."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera.errors import InvalidInput
from chimera.models.ids import IdKind, format_id, parse_id

SOME = UUID(int=0x0199F1)


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
