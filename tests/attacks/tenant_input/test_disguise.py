"""A tenant's text, written so that the rules on text do not see what is in it: a person does."""

import base64
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from chimera.models.gate.gate import Staged, gate
from chimera.models.gate.policy import Policy
from chimera.models.gate.rules import Rule
from chimera.models.text.detectors import Detector
from chimera.models.work.decision import Ruling, Verdict
from chimera.models.work.result import SuccessOutcome

RULES = (
    Rule(name="secret.words", keywords=("password", "secret key", "delete all")),
    Rule(name="pii.card_number", detector=Detector.CARD_NUMBER),
    Rule(name="pii.iban", detector=Detector.IBAN),
    Rule(name="pii.email", detector=Detector.EMAIL),
    Rule(name="pii.ssn", detector=Detector.SSN),
    Rule(name="ids.internal", pattern=r"\bKX-[0-9]{3}\b"),
)
POLICY = Policy(rules=RULES)
CARD, IBAN, MAIL = "4111111111111111", "GB82WEST12345698765432", "jane@acme.com"
FOURS = ["4111", "1111", "1111", "1111"]


def ruled(output: Any, policy: Policy = POLICY, **more: Any) -> Ruling:
    outcome = SuccessOutcome(output=output, confidence=1.0, **more)
    staged = Staged(
        task_id=UUID(int=1), skill="any", input={}, attempt=1, max_attempts=1, outcome=outcome, sha256=bytes(32)
    )
    return gate(staged, policy, None)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


DISGUISES: dict[str, tuple[str, Any]] = {
    "base64 card": ("pii.card_number", f"see {b64(f'card {CARD}')}"),
    "base64 url-safe iban": ("pii.iban", base64.urlsafe_b64encode(f"~~{IBAN}?>".encode()).decode().rstrip("=")),
    "base64 in lines": (
        "pii.card_number",
        base64.encodebytes(f"{'some words ' * 5}{CARD} and so on".encode()).decode(),
    ),
    "base64 of base64": ("pii.card_number", b64(b64(f"card {CARD}"))),
    "base64 keyword": ("secret.words", f"data:text/plain;base64,{b64('the password is x')}"),
    "base64 pattern": ("ids.internal", b64("part KX-200 it is")),
    "base64 list": ("secret.words", [b64("the password is x")[:12], b64("the password is x")[12:]]),
    "hex card": ("pii.card_number", CARD.encode().hex()),
    "hex with spaces": ("secret.words", b"password".hex(" ")),
    "escapes": ("secret.words", "".join(f"\\x{ord(char):02x}" for char in "password")),
    "unicode escapes": ("pii.card_number", "".join(f"\\u{ord(char):04x}" for char in CARD)),
    "entities decimal": ("pii.card_number", "".join(f"&#{ord(char)};" for char in CARD)),
    "entities hexadecimal": ("secret.words", "".join(f"&#x{ord(char):x};" for char in "password")),
    "entity at": ("pii.email", "jane&commat;acme.com"),
    "percent in percent": ("pii.email", f"https://x.example/?u={quote(quote(MAIL))}"),
    "percent card": ("pii.card_number", "".join(f"%{ord(char):02X}" for char in CARD)),
    "percent space": ("pii.card_number", "https://x.example/4111%201111%201111%201111"),
    "quoted-printable": ("secret.words", "the pass=\nword"),
    "quoted-printable digits": ("pii.card_number", "".join(f"={ord(char):02X}" for char in CARD)),
    "mail in a query": ("pii.email", f"https://x.example/u?mail={MAIL}"),
    "mail in a query encoded": ("pii.email", f"https://x.example/u?mail={quote(MAIL)}"),
    "glued card": ("pii.card_number", f"Visa{CARD}"),
    "glued card behind": ("pii.card_number", f"{CARD}Visa"),
    "glued iban": ("pii.iban", f"IBAN{IBAN}"),
    "underscores": ("pii.card_number", "_".join(FOURS)),
    "slashes": ("pii.card_number", "/".join(FOURS)),
    "commas": ("pii.card_number", ",".join(FOURS)),
    "nbsp entity": ("pii.card_number", "&nbsp;".join(FOURS)),
    "lines": ("pii.card_number", "\n".join(FOURS)),
    "tabs": ("pii.card_number", "\t".join(FOURS)),
    "iban with underscores": ("pii.iban", "GB82_WEST_1234_5698_7654_32"),
    "card as a list": ("pii.card_number", FOURS),
    "card as numbers of a list": ("pii.card_number", [4111, 1111, 1111, 1111]),
    "card in digits": ("pii.card_number", list(CARD)),
    "card as fields": ("pii.card_number", dict(zip("abcd", FOURS, strict=True))),
    "iban as a list": ("pii.iban", ["GB82", "WEST", "1234", "5698", "7654", "32"]),
    "keyword in lines": ("secret.words", "the pass\nword"),
    "keyword hyphenated": ("secret.words", "the pass-\n  word"),
    "keyword with a tab": ("secret.words", "the pass\tword"),
    "keyword as a list": ("secret.words", ["pass", "word"]),
    "keyword in letters": ("secret.words", list("password")),
    "keywords as a list": ("secret.words", ["delete", "all"]),
    "camel case": ("secret.words", "setUserPassword(x)"),
    "camel case words": ("secret.words", {"secretKey": "x"}),
    "capitals of camel case": ("secret.words", "theSECRETKeyOf"),
    "JCB of 15 digits": ("pii.card_number", "2131 123456 78904"),
    "Maestro of 12 digits": ("pii.card_number", "501800000009"),
    "35xx": ("pii.card_number", "3500000000000009"),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguise_does_not_hide_it(disguise: str) -> None:
    rule, output = DISGUISES[disguise]
    ruling = ruled(output)
    assert ruling.verdict is Verdict.HITL
    assert rule in {reason.rule for reason in ruling.reasons}


@pytest.mark.parametrize("part", ["tools", "effects"])
@pytest.mark.parametrize("text", ["delete all", f"mail {CARD}", f"post KX-200 {MAIL}"])
def test_what_a_result_says_that_it_does_is_text_too(part: str, text: str) -> None:
    said: dict[str, Any] = {part: (text,)}
    assert ruled("done", **said).verdict is Verdict.HITL


@pytest.mark.parametrize(
    ("region", "text"),
    [
        ("GB", "020 7946 0958"),
        ("DE", "030 / 901820"),
        ("FR", "01 46 86 56 90"),
        ("ES", "912 345 678"),
        ("IT", "02 1234 5678"),
        ("NL", "06-12345678"),
        ("US", "call 2127365000"),
    ],
)
def test_a_number_as_its_country_writes_it_is_found_where_the_policy_names_the_country(region: str, text: str) -> None:
    body = {"rules": [{"name": "pii.phone", "detector": "phone", "regions": ["CA", region]}]}
    if "regions" not in Rule.model_fields:  # there is no way to ask for it
        del body["rules"][0]["regions"]
    assert ruled(text, Policy.model_validate(body, strict=False)).verdict is Verdict.HITL
