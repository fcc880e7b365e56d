"""Short runs of random faults; docs/reliability.md has the long ones."""

import pytest

from tests.chaos.runs import chaos


@pytest.mark.timeout(240)
@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("seed", [7, 8, 9])
def test_nothing_is_lost_done_twice_or_left_unfinished(seed: int) -> None:
    code, report, said = chaos("--seconds", "12", "--seed", str(seed), "--storm", "0.6")
    assert (report["lost"], report["duplicated"], report["unfinished_plans"]) == (0, 0, 0), said
    assert report["violations"] == []
    assert report["unexpected"] == []
    assert code == 0
    assert report["seed"] == seed
    assert report["faults_injected"] == sum(report["faults"].values()) >= 4
    assert report["plans"] > 20
    assert report["tasks"] > 500
    assert report["ends"]["approved"] > report["tasks"] / 2
    assert report["max_recovery_seconds"]


@pytest.mark.timeout(240)
@pytest.mark.exhaustive(keep=0)
def test_bare_celery_is_struck_by_the_same_faults() -> None:
    code, report, _ = chaos("--baseline", "--seconds", "6", "--seed", "7", "--storm", "1", "--kind", "child_killed")
    assert code == 0
    assert report["faults"]["child_killed"] >= 1
    assert report["plans"] >= report["bodies"] > 0
    assert report["lost"] == report["plans"] - report["bodies"]
