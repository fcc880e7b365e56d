from typing import Any

import pytest

from chimera.chaos import baseline_run
from chimera.chaos import run as swarm_run
from chimera.chaos.baseline_run import BaselineReport
from chimera.chaos.invariants import Harm, Violation
from chimera.chaos.report import Report, recoveries, summed
from chimera.chaos.run import Options, Say
from tests.unit.cli.conftest import Run

TWICE = Violation(
    invariant="task_committed_twice",
    sentence="No task is committed twice.",
    harm=Harm.DUPLICATED,
    tenant_id="ash",
    id="0199",
    what="2 commits",
)


def report(options: Options, *violations: Violation) -> Report:
    measured = {"child_killed": [1.0, 2.5, 6.25], "message_dropped": [0.5]}
    return Report(
        seed=options.seed,
        seconds=options.seconds,
        faults={"child_killed": 3, "message_dropped": 1, "link_cut": 2},
        plans=40,
        tasks=1000,
        ends={"approved": 900, "denied": 100},
        runs=1010,
        unexpected=(),
        leftovers={"judge": 1, "unacked": 0},
        starts={"worker": 2},
        without=options.without,
        environment={"celery": "5.7.0"},
        **summed(violations),
        **recoveries(measured, ["child_killed", "message_dropped", "link_cut"]),
    )


@pytest.fixture
def ends_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the next run end with these violations, at once."""

    def prepare(*violations: Violation) -> None:
        def run(options: Options, say: Say) -> Report:
            say("checking")
            return report(options, *violations)

        monkeypatch.setattr(swarm_run, "run", run)

    return prepare


def test_a_run_without_harm_ends_with_0(run: Run, ends_with: Any) -> None:
    ends_with()
    ran = run("chaos", "run", "--seed", "7", "-o", "json")
    assert ran.code == 0
    assert ran.json["seed"] == 7
    assert ran.json["faults"] == {"child_killed": 3, "message_dropped": 1, "link_cut": 2}
    assert (ran.json["lost"], ran.json["duplicated"], ran.json["unfinished_plans"]) == (0, 0, 0)
    assert ran.json["max_recovery_seconds"] == {"child_killed": 6.25, "message_dropped": 0.5}
    assert ran.json["faults_injected"] == 6
    assert ran.json["over_limit"] == {"child_killed": 6.25}


def test_people_see_a_table_the_totals_and_the_seed(run: Run, ends_with: Any) -> None:
    ends_with()
    ran = run("chaos", "run", "--seed", "7")
    lines = [line.split() for line in ran.out.splitlines()]
    assert lines[0] == ["FAULT", "INJECTED", "MEASURED", "MEDIAN", "s", "WORST", "s", "LIMIT", "s"]
    assert ["child_killed", "3", "3", "2.5", "6.2", "5.0"] in lines
    assert ["link_cut", "2", "0", "-", "-", "-"] in lines
    assert ["lost", "0"] in lines
    assert ["seed", "7"] in lines
    assert "seed 7" in ran.err


def test_harm_ends_with_1_and_is_named(run: Run, ends_with: Any) -> None:
    ends_with(TWICE, TWICE.model_copy(update={"id": "0200"}))
    ran = run("chaos", "run", "--seed", "7")
    assert ran.code == 1
    assert ["duplicated", "2"] in [line.split() for line in ran.out.splitlines()]
    assert "duplicated: No task is committed twice. Not so 2 times (task_committed_twice):" in ran.err
    assert "ash 0199: 2 commits" in ran.err


def test_strict_recovery_ends_with_1_over_a_limit(run: Run, ends_with: Any) -> None:
    ends_with()
    assert run("chaos", "run", "--seed", "7", "--strict-recovery").code == 1


def test_a_seed_is_drawn_where_none_is_given(run: Run, ends_with: Any) -> None:
    ends_with()
    assert run("chaos", "run", "-o", "json").json["seed"] != run("chaos", "run", "-o", "json").json["seed"]


def test_an_unknown_guard_is_refused(run: Run, ends_with: Any) -> None:
    ends_with()
    ran = run("chaos", "run", "--without", "luck")
    assert ran.code == 2
    assert "fence, decision, sweep, epoch" in ran.err


def test_the_baseline_prints_what_bare_celery_lost(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_baseline(options: Options, _say: Say) -> BaselineReport:
        return BaselineReport(
            seed=options.seed,
            seconds=options.seconds,
            faults={"flushall": 2},
            skipped=("beat_killed", "backend_killed"),
            plans=50,
            tasks=900,
            bodies=43,
            lost=7,
            duplicated=1,
            tasks_run_again=12,
            tasks_never_run=90,
            leftovers={},
            environment={},
        )

    monkeypatch.setattr(baseline_run, "run_baseline", run_baseline)
    ran = run("chaos", "run", "--baseline", "--seed", "7")
    assert ran.code == 0
    assert ["lost", "7"] in [line.split() for line in ran.out.splitlines()]
    assert "bare Celery has neither PostgreSQL nor beat; not injected: beat_killed, backend_killed" in ran.err
    assert run("chaos", "run", "--baseline", "--seed", "7", "-o", "json").json["lost"] == 7
