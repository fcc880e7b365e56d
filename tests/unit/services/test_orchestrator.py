"""Submitting a plan."""

import math
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from chimera.errors import (
    IdempotencyConflict,
    InvalidInput,
    StoreUnavailable,
    UnknownPlanner,
    UnknownTenant,
)
from chimera.models.record import canonical_json
from chimera.models.work.plan import PlanState
from chimera.models.work.task import TaskSpec
from chimera.ports.sweep_store import PlanRef
from tests.fakes import FakePlanStore
from tests.unit.services.house import TENANT, House


def anything(rows: Any = ()) -> Iterator[TaskSpec]:
    yield from ()


@pytest.fixture(autouse=True)
def planner(house: House) -> None:
    house.plans_with(anything)


def test_a_plan_is_stored_and_its_planner_asked_for(house: House) -> None:
    submitted = house.orchestrator().submit(house.request(inputs={"rows": [1]}))
    assert submitted.created
    assert house.state(submitted.plan_id) is PlanState.SUBMITTED
    assert house.queue.plans == [PlanRef(tenant_id=TENANT, plan_id=submitted.plan_id)]


def test_a_plan_that_was_asked_for_is_not_asked_for_again_by_the_sweep(house: House) -> None:
    house.submit()
    house.clock.advance(5)
    house.sweep().run()
    assert len(house.queue.plans) == 1


def test_the_same_request_again_sends_nothing(house: House) -> None:
    first = house.orchestrator().submit(house.request(idempotency_key="k"))
    second = house.orchestrator().submit(house.request(idempotency_key="k"))
    assert (second.plan_id, second.created) == (first.plan_id, False)
    assert len(house.queue.plans) == 1


def test_another_request_under_the_same_key_is_refused(house: House) -> None:
    house.submit(idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        house.submit(idempotency_key="k", goal="another")


def test_without_a_broker_the_plan_is_stored_and_planned_later(house: House) -> None:
    house.queue.room = 0
    submitted = house.orchestrator().submit(house.request())
    assert submitted.created
    house.queue.room = math.inf
    house.clock.advance(5)
    house.sweep().run()
    house.run_all()
    assert house.state(submitted.plan_id) is PlanState.COMPLETED


def test_without_a_store_nothing_is_sent(house: House) -> None:
    house.database.available = False
    with pytest.raises(StoreUnavailable):
        house.submit()
    assert house.queue.plans == []


def test_a_plan_that_is_stored_is_returned_though_the_store_goes_away_then(house: House) -> None:
    # StoreUnavailable says that nothing is stored: who believes it submits a second plan.
    class GoesAway(FakePlanStore):
        def mark_published(self, tenant_id: str, plan_id: UUID, epoch: str) -> None:
            raise StoreUnavailable

    submitted = house.orchestrator(plans=GoesAway(house.database)).submit(house.request())
    assert submitted.created


def test_an_unknown_tenant_is_told_and_nothing_is_sent(house: House) -> None:
    with pytest.raises(UnknownTenant):
        house.submit(tenant_id="globex")
    assert house.queue.plans == []


def test_an_unknown_planner_is_told_before_anything_is_stored(house: House) -> None:
    with pytest.raises(UnknownPlanner, match="registered: p"):
        house.submit(planner="q")
    assert house.plans.list_plans(TENANT, 10) == []


def test_inputs_that_do_not_fit_the_planner_are_refused(house: House) -> None:
    with pytest.raises(InvalidInput, match="planner 'p': inputs do not fit: colour"):
        house.submit(inputs={"colour": "red"})
    assert house.plans.list_plans(TENANT, 10) == []


@pytest.mark.parametrize(
    "rows", [math.nan, [math.inf], b"x", object(), {1: 1, "a": 2}, 10**5000], ids=lambda it: type(it).__name__
)
def test_inputs_that_are_no_json_are_refused(house: House, rows: Any) -> None:
    with pytest.raises(InvalidInput, match="inputs: not JSON"):
        house.submit(inputs={"rows": rows})


@pytest.mark.parametrize("depth", [100, 300, 900, 5000, 100_000])
def test_inputs_that_are_nested_too_deep_are_refused(house: House, depth: int) -> None:
    rows: Any = 1
    for _ in range(depth):
        rows = [rows]
    try:
        house.orchestrator(max_inputs_bytes=10**6).submit(house.request(inputs={"rows": rows}))
    except InvalidInput:
        assert depth > 100


def test_inputs_are_measured_as_they_are_stored(house: House) -> None:
    inputs = {"rows": ["ü"]}
    size = len(canonical_json(inputs))
    assert house.orchestrator(max_inputs_bytes=size).submit(house.request(inputs=inputs)).created
    with pytest.raises(InvalidInput, match=rf"{size} bytes of JSON, and at most {size - 1}"):
        house.orchestrator(max_inputs_bytes=size - 1).submit(house.request(inputs=inputs))
