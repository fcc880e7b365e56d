"""What looks at text does work that grows with the text's length and no faster, whatever the text is made of."""

import pytest

from chimera.models.gate.rules import DEFAULT_RULES, Rule, TextRules
from chimera.models.text.allowance import FREE_LOOKS, Allowance
from chimera.models.text.detectors import Detector
from tests.unit.models.hostile import HOSTILE, calls

RULES = TextRules(
    (
        *DEFAULT_RULES,
        Rule(name="at.home", detector=Detector.PHONE, regions=("DE", "GB", "US")),
        Rule(name="a.pattern", pattern=r"\bKX-[0-9]{3}\b"),
    )
)
# Calls of functions: so many for each of the looks that are free, and so many for each byte.
FOR_FREE = 100 * FREE_LOOKS
FOR_A_BYTE = 3


@pytest.mark.exhaustive(keep=6)
@pytest.mark.parametrize("shape", HOSTILE)
def test_work_is_linear_in_the_text(shape: str) -> None:
    RULES.fired("any", {"output": "warm up: 4111 1111 1111 1111, GB82, +49 30 901820, %34, aB, c2VjcmV0IGtleQ=="})
    for size in (100_000, 200_000):
        text = HOSTILE[shape](size)
        counted = calls(lambda text=text: RULES.fired("any", {"output": text}))  # type: ignore[misc]
        assert counted < FOR_FREE + FOR_A_BYTE * len(text.encode())


def test_a_rule_that_used_up_its_looks_leaves_the_others_theirs() -> None:
    allowance = Allowance()
    fired = RULES.fired("any", {"output": "4111-" * 50_000 + " a password, KX-200"}, allowance)
    assert allowance.used_up == "candidates"
    assert [each.rule for each in fired] == ["keyword.password", "a.pattern"]


def test_more_bytes_than_are_looked_at_are_not() -> None:
    allowance = Allowance(1000)
    assert RULES.fired("any", {"output": "password " * 200}, allowance) == ()
    assert allowance.used_up == "bytes"


def test_where_it_takes_too_long_it_ends() -> None:
    allowance = Allowance(is_late=lambda: allowance.bytes > 0)
    RULES.fired("any", {"output": "4111-" * 50_000}, allowance)
    assert allowance.used_up == "seconds"
