"""The times of the protocol: each has its name in one place, and docs and statements take them from there."""

import re
from pathlib import Path

import pytest

import chimera
from chimera.models.work import timing

ROOT = Path(__file__).parents[3]
STATEMENTS = sorted((Path(chimera.__file__).parent / "adapters" / "postgres" / "sql").glob("*.sql"))
DOCUMENTED = (ROOT / "docs" / "architecture.md").read_text()


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem)
def test_no_statement_has_a_time_of_its_own(path: Path) -> None:
    assert STATEMENTS
    assert re.findall(r"interval\s+'|secs\s*=>\s*[\d.]", path.read_text()) == []


@pytest.mark.parametrize(
    "sentence",
    [
        f"nobody touched for {timing.UNTOUCHED_SECONDS:g} s",
        f"have not renewed their leases for {timing.QUIET_SECONDS:g} s",
        f"its lease has run out, {timing.LEASE_SECONDS:g} s after the last renewal",
        f"and the wave was sent {timing.LOST_SECONDS:g} s ago; or it was sent {timing.RESEND_SECONDS:g} s ago "
        f"({timing.RESEND_SECONDS * 2:g}, {timing.RESEND_SECONDS * 4:g}, ...",
        f"its lease has run out, after {timing.PLANNING_LEASE_SECONDS:g} s",
        f"{timing.PLANNER_MESSAGE_SECONDS:g} s after the denial or {timing.RESEND_SECONDS:g} s after the last message",
        f"**Leases** last {timing.LEASE_SECONDS:g} s and are renewed every second",
    ],
)
def test_the_documented_times_are_these(sentence: str) -> None:
    assert timing.RENEW_SECONDS == 1.0
    assert sentence in DOCUMENTED


def test_a_lease_outlives_what_renews_it() -> None:
    assert timing.RENEW_SECONDS < timing.QUIET_SECONDS < timing.LEASE_SECONDS
    assert timing.RENEW_SECONDS < timing.PLANNING_LEASE_SECONDS
    assert timing.LOOK_AGAIN_SECONDS < timing.UNTOUCHED_SECONDS
