"""A plan's request and counts."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chimera.models.work.plan import PlanCounts, PlanRequest


def request(**fields: Any) -> PlanRequest:
    return PlanRequest(**{"tenant_id": "acme", "planner": "p", "trace_id": "t"} | fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"tenant_id": "Acme"},
        {"tenant_id": ""},
        {"tenant_id": "a" * 64},
        {"tenant_id": "acme\n"},
        {"tenant_id": "a/b"},
        {"planner": ""},
        {"goal": "g" * 10_001},
        {"priority": -1},
        {"priority": 101},
        {"priority": True},
        {"priority": "50"},
        {"idempotency_key": ""},
        {"idempotency_key": "k" * 201},
        {"session_id": "s" * 201},
        {"trace_id": ""},
        {"deadline": datetime(2026, 3, 1)},  # noqa: DTZ001  that is the case
        {"deadline": "2026-03-01T00:00:00Z"},
        {"inputs": []},
        {"inputs": {1: 2}},
        {"inputs": None},
        {"unknown": 1},
    ],
    ids=repr,
)
def test_a_request_that_is_not_valid_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        request(**fields)


@pytest.mark.parametrize("field", ["planner", "goal", "session_id", "idempotency_key", "trace_id"])
@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"], ids=["nul", "surrogate"])
def test_a_text_that_the_store_cannot_hold_is_refused_by_the_field_s_name(field: str, text: str) -> None:
    # PostgreSQL's text has neither: later it would be a driver's error, in the submitter's face.
    with pytest.raises(ValidationError, match=field):
        request(**{field: text})


def test_a_request_s_identity_leaves_out_trace_and_key() -> None:
    first = request(trace_id="one", idempotency_key="a", inputs={"a": 1, "b": 2})
    second = request(trace_id="two", idempotency_key="b", inputs={"b": 2, "a": 1})
    assert first.sha256() == second.sha256()


@pytest.mark.parametrize(
    "fields",
    [
        {"tenant_id": "globex"},
        {"planner": "q"},
        {"goal": "g"},
        {"inputs": {"a": 1}},
        {"priority": 51},
        {"session_id": "s"},
        {"deadline": datetime(2026, 3, 1, tzinfo=UTC)},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_request_s_identity_is_everything_else(fields: dict[str, Any]) -> None:
    assert request(**fields).sha256() != request().sha256()


@given(st.lists(st.integers(0, 1000), min_size=6, max_size=6))
def test_counts_add_up(numbers: list[int]) -> None:
    waiting, committed, in_review, denied, failed, cancelled = numbers
    counts = PlanCounts(
        tasks=sum(numbers),
        committed=committed,
        in_review=in_review,
        denied=denied,
        failed=failed,
        cancelled=cancelled,
    )
    assert (counts.open, counts.gated) == (waiting, sum(numbers) - waiting)
