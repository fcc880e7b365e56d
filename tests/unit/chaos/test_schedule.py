from itertools import islice

import pytest

from chimera.chaos.faults import Registry
from chimera.chaos.injector import Injector
from chimera.chaos.kinds import BY_NAME, KINDS
from chimera.chaos.load import LARGEST_PLAN, TENANTS, approves, draw_plan
from chimera.chaos.run import Options
from chimera.chaos.schedule import one_by_one, storm
from chimera.errors import InvalidInput


def test_the_same_seed_draws_the_same_faults() -> None:
    assert list(islice(one_by_one(7), 200)) == list(islice(one_by_one(7), 200))
    assert storm(7, 600, 60) == storm(7, 600, 60)
    assert list(islice(one_by_one(7), 5)) != list(islice(one_by_one(8), 5))


def test_one_by_one_has_every_kind_in_each_round() -> None:
    names = [draw.kind.name for draw in islice(one_by_one(3), 2 * len(KINDS))]
    assert sorted(names[: len(KINDS)]) == sorted(names[len(KINDS) :]) == sorted(BY_NAME)


def test_a_fault_lasts_as_long_as_its_kind_may() -> None:
    draws = list(islice(one_by_one(1), 50 * len(KINDS)))
    assert all(draw.kind.seconds[0] - 0.001 <= draw.seconds <= draw.kind.seconds[1] + 0.001 for draw in draws)
    partitions = [draw.seconds for draw in draws if draw.kind.name == "partition"]
    assert min(partitions) < 8
    assert max(partitions) > 25


def test_a_storm_has_so_many_a_minute_in_order() -> None:
    faults = storm(5, 1800, 40)
    times = [fault.at_seconds for fault in faults]
    assert times == sorted(times)
    assert times[-1] < 1800
    assert len(faults) == pytest.approx(1200, rel=0.1)
    assert {fault.draw.kind.name for fault in faults} == set(BY_NAME)


def test_every_kind_has_its_fault() -> None:
    assert Injector.__module__  # its module registers them
    assert set(Registry.known) == set(BY_NAME)


def test_only_some_kinds() -> None:
    kinds = Options(seed=1, only=("flushall",)).kinds()
    assert {draw.kind.name for draw in islice(one_by_one(1, kinds), 10)} == {"flushall"}
    with pytest.raises(InvalidInput, match="no kind of fault is named 'earthquake'; there are child_killed, "):
        Options(seed=1, only=("earthquake",)).kinds()


def test_a_plan_is_drawn_from_its_number() -> None:
    plans = [draw_plan(7, number, 2.0) for number in range(400)]
    assert plans[17] == draw_plan(7, 17, 2.0)
    assert len({plan.key for plan in plans}) == 400
    assert {plan.tenant_id for plan in plans} == set(TENANTS)
    sizes = [len(plan.steps) for plan in plans]
    assert min(sizes) == 1
    assert LARGEST_PLAN / 2 < max(sizes) <= LARGEST_PLAN
    assert any(plan.cancel_after for plan in plans)
    assert any(plan.deadline_after for plan in plans)
    steps = [step for plan in plans for step in plan.steps]
    assert {step.do for step in steps} == {"quick", "slow", "flaky", "unsure", "keyed"}
    assert max(step.seconds for step in steps) <= 2
    assert all(step.after is None or step.after < place for plan in plans for place, step in enumerate(plan.steps))


def test_the_person_decides_the_same_each_time() -> None:
    answers = [approves(7, f"plan-7-1/{place}") for place in range(200)]
    assert answers == [approves(7, f"plan-7-1/{place}") for place in range(200)]
    assert 100 < sum(answers) < 180
