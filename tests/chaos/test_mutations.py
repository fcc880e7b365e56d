"""The check can fail: with a guard taken away, the very faults that it guards against turn a run red."""

import pytest

from tests.chaos.runs import chaos

# Forty copies within 4 s; what they do is seen at once.
COPIES = ("--kind", "messages_duplicated", "--faults-per-minute", "600", "--plans-per-second", "4", "--seconds", "4")
DROPS = ("--kind", "message_dropped", "--faults-per-minute", "90", "--seconds", "8")
# What provokes each guard, and which of the invariants may then not hold.
PROVOKED = {
    "fence": ((*COPIES, "--settle", "5"), {"result_of_another_agent"}),
    "decision": ((*COPIES, "--settle", "5"), {"task_decided_twice", "task_committed_twice"}),
    # A plan that has not ended 20 s after the last fault does not end.
    "sweep": ((*DROPS, "--settle", "20"), {"plan_not_ended"}),
}


STORM = ("--storm", "1")
SHORT = ("--seed", "5", *STORM)
# Whether a copy is taken while its original is worked on is chance: nine runs of ten at "decision", all at the others.
SEEDS = ("5", "6", "7", "8")
# Few plans: what is timed is how soon it is noticed and mended, and not how busy this machine is otherwise.
FLUSHES = (
    "--strict-recovery",
    "--plans-per-second",
    "1",
    "--seed",
    "5",
    "--kind",
    "flushall",
    "--seconds",
    "12",
    "--storm",
    "0",
    "--settle",
    "30",
)


@pytest.mark.timeout(180)
@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("guard", PROVOKED)
def test_without_a_guard_a_run_is_red(guard: str) -> None:
    options, expected = PROVOKED[guard]
    for seed in SEEDS:
        code, report, said = chaos("--without", guard, "--seed", seed, *STORM, *options)
        assert report["without"] == guard, said
        found = {violation["invariant"] for violation in report["violations"]}
        assert code == (1 if found else 0), said
        if expected <= found:
            break
    assert expected <= found, f"in none of {len(SEEDS)} runs; in the last one {sorted(found)}"


@pytest.mark.timeout(180)
@pytest.mark.exhaustive(keep=0)
def test_without_the_epoch_a_flush_is_recovered_from_too_late() -> None:
    code, report, said = chaos("--without", "epoch", *FLUSHES)
    assert code == 1, said
    assert report["over_limit"]["flushall"] > 5


@pytest.mark.timeout(180)
@pytest.mark.exhaustive(keep=0)  # a short run with all guards is in test_random.py
@pytest.mark.parametrize(
    "options",
    [(*SHORT, *COPIES), (*SHORT, *DROPS), FLUSHES],
    ids=["duplicated", "dropped", "flushed"],
)
def test_with_all_guards_the_same_runs_are_green(options: tuple[str, ...]) -> None:
    # Copies of copies are thousands of messages to work off: it takes as long as it takes, and not longer.
    code, report, said = chaos(*options, "--settle", "90")
    assert code == 0, (said, report.get("violations"))
    assert report["faults_injected"] > 0
    assert report["violations"] == []
