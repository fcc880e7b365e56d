"""A tenant's text that keeps the gate busy: it goes to a person soon, and other tenants' results have their turn."""

import random
import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from chimera.models.gate.gate import Staged, gate
from chimera.models.gate.policy import BUILT_IN
from chimera.models.work.decision import Ruling, Verdict
from chimera.models.work.result import SuccessOutcome
from chimera.models.work.skill import Success
from chimera.models.work.task import TaskSpec
from chimera.models.work.wave import WaveRef
from tests.unit.services.house import House

SIZE = 300_000
# Calls of functions, which do not depend on the machine: so many, and one more for each byte.
MOST_CALLS = 300_000
BYTES_FOR_A_CALL = 1


def ruled(output: Any) -> Ruling:
    outcome = SuccessOutcome(output=output, confidence=1.0)
    staged = Staged(
        task_id=UUID(int=1), skill="any", input={}, attempt=1, max_attempts=1, outcome=outcome, sha256=bytes(32)
    )
    return gate(staged, BUILT_IN.policy, None)


def calls(function: Callable[[], object]) -> int:
    """How many functions were called, of Python and of C."""
    count = 0

    def counted(_frame: object, event: str, _what: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(counted)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def many(piece: str) -> str:
    return piece * (SIZE // len(piece))


def drawn(alphabet: str, size: int = SIZE) -> str:
    return "".join(random.Random(7).choices(alphabet, k=size))


TEXTS = {
    "cards": many("4111-"),
    "cards with spaces": many("4111 "),
    "cards in threes": many("555-"),
    "cards that fail": many("4111 1111 1111 1112 "),
    "accounts": many("GB82"),
    "long accounts": many("GB82WEST1234569876543 "),
    "accounts in fours": many("DE89 3704 "),
    "social security": many("000-12-3456 "),
    "digits and signs": drawn("0123456789-."),
    "full width": many("\uff14\uff11\uff11\uff11-"),
    "a list of words": ["x9"] * (SIZE // 10) + ["a password"],
    "private use": "password " + "".join(map(chr, range(0xF0000, 0xF0000 + 60_000))),
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_looked_at_no_longer_than_its_length_allows(text: str) -> None:
    ruled("warm up 4111 1111 1111 1111, GB82, password")
    assert calls(lambda: ruled(TEXTS[text])) < MOST_CALLS + SIZE / BYTES_FOR_A_CALL


@pytest.mark.parametrize("text", ["cards", "accounts", "accounts in fours", "social security", "5 MB"])
def test_what_is_not_looked_at_to_the_end_goes_to_a_person(text: str) -> None:
    assert ruled(TEXTS.get(text, "a word " * 750_000)).verdict is Verdict.HITL


@pytest.fixture
def wave(house: House, monkeypatch: pytest.MonkeyPatch) -> WaveRef:
    """With 3 results of 8 kB, which are for the Judge: together they need a reservation."""
    if turn := sys.modules.get("chimera.services.turn"):
        monkeypatch.setattr(turn, "UNRESERVED_BYTES", 10_000)
    house.skill(large)
    house.planned(*[TaskSpec(skill="large", input={"number": number}) for number in range(3)])
    dispatch = house.queue.dispatches.pop()
    house.run_batches(dispatch)
    return dispatch.wave


@pytest.fixture
def house() -> House:
    return House()


def large(number: int) -> Success[str]:
    return Success(f"{number} words " * 900, confidence=1.0)


def test_a_wave_with_much_text_is_gated_by_one_judge_at_a_time(house: House, wave: WaveRef) -> None:
    assert house.decisions.reserve_wave(wave, uuid4(), 60)
    assert house.judge().judge_wave(wave) == 0


def test_a_judge_takes_other_waves_in_between(house: House, wave: WaveRef, monkeypatch: pytest.MonkeyPatch) -> None:
    if turn := sys.modules.get("chimera.services.turn"):
        monkeypatch.setattr(turn, "TURN_SECONDS", -1.0)
    judged = []
    while decided := house.judge().judge_wave(wave):
        judged.append(decided)
    assert (max(judged), sum(judged)) == (1, 3)
    # Each time but the last it had asked for itself.
    assert len(house.queue.judged) >= len(judged) - 1


def test_what_a_small_wave_had_no_time_for_has_a_message_of_its_own(
    house: House, wave: WaveRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    if turn := sys.modules.get("chimera.services.turn"):
        monkeypatch.setattr(turn, "UNRESERVED_BYTES", 1_000_000)
        monkeypatch.setattr(turn, "TURN_SECONDS", -1.0)
    asked_before = len(house.queue.judged)
    decided = house.judge().judge_wave(wave)
    assert (decided < 3) == (len(house.queue.judged) > asked_before)
    while more := house.judge().judge_wave(wave):
        decided += more
    assert decided == 3
