"""The gate on rules alone: results a second that the built-in policy is asked about, in one process, on one core.

Results are made of the messages of examples/tickets/sample.csv, each as input, reply, reasoning and evidence, in
mixed sizes. Beside it, on the same texts: the first pass over a result's text (is there anything that a rule could be
about?) on RE2 and on Python's own engine. With --presidio, in an environment that has presidio-analyzer too, what its
recognisers find of the labelled texts of tests/unit/models/labelled.txt, and how fast. CPU time, the median of the
rounds; and what 1 MB of each text of tests/unit/models/hostile.py takes. Prints a table, or with --json one JSON
document.
"""

import argparse
import csv
import json
import re
import statistics
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from random import Random
from time import process_time
from typing import Any
from uuid import UUID

from chimera.models.gate.gate import Staged, gate
from chimera.models.gate.policy import BUILT_IN
from chimera.models.gate.rules import DEFAULT_RULES, Part
from chimera.models.text.detectors import Detected, Detector
from chimera.models.text.engine import any_of
from chimera.models.text.folding import Folded, fold
from chimera.models.text.joined import joined
from chimera.models.work.result import SuccessOutcome
from tests.unit.models.hostile import HOSTILE
from tests.unit.models.labelled import Score, scores

SAMPLE = Path("examples/tickets/sample.csv")
ROUNDS = 7
# Python's engine takes a hundred times as long.
OF_PYTHON = 200
RECOGNISERS = {
    "card_number": "CREDIT_CARD",
    "ssn": "US_SSN",
    "iban": "IBAN_CODE",
    "email": "EMAIL_ADDRESS",
    "phone": "PHONE_NUMBER",
}


def results(count: int) -> list[Staged]:
    """Results of 300 to 800 characters of text, the same ones each time."""
    random = Random(4)
    messages = [row["text"] for row in csv.DictReader(SAMPLE.open(encoding="utf-8", newline=""))]
    # As in the sample, few results have anything in them that is for people.
    plain = [text for text in messages if not BUILT_IN.policy.text_rules.fired("any", {"output": text})]
    return [_result(number, random, plain if random.random() < 0.9 else messages) for number in range(count)]


def _result(number: int, random: Random, messages: list[str]) -> Staged:
    size, text = random.randint(200, 600), ""
    while len(text) < size:
        text += random.choice(messages) + " "
    outcome = SuccessOutcome(
        output={"category": "delivery", "reply": "Thank you for your message. We look into it and answer today."},
        confidence=random.uniform(0.7, 1.0),
        reasoning="The words of the message speak for this category.",
        evidence=tuple(text.split()[:4]),
    )
    return Staged(
        task_id=UUID(int=number),
        skill="tickets.triage",
        input={"text": text},
        attempt=1,
        max_attempts=3,
        outcome=outcome,
        sha256=bytes(32),
    )


def rate(call: Callable[[Any], object], items: list[Any]) -> float:
    """Calls a second of CPU time, the median of the rounds."""
    rounds = []
    for _ in range(ROUNDS):
        began = process_time()
        for item in items:
            call(item)
        rounds.append(len(items) / (process_time() - began))
    return statistics.median(rounds)


def texts_of(staged: Staged) -> bytes:
    """All texts of a result, folded, as the first pass sees them."""
    outcome = staged.outcome.model_dump() if isinstance(staged.outcome, SuccessOutcome) else {}
    return fold(joined(outcome | {"input": staged.input}, [*Part])).encode()


def measured(count: int) -> dict[str, Any]:
    staged = results(count)
    texts = [texts_of(each) for each in staged]
    signs = [sign for rule in DEFAULT_RULES for sign in rule.finder.signs]
    (ours,) = any_of(signs)
    python = re.compile(b"|".join(f"(?:{sign})".encode() for sign in signs))
    policy = BUILT_IN.policy
    on_re2 = rate(ours.search, texts)
    on_python = rate(python.search, texts[:OF_PYTHON])
    firing = [each for each in staged if gate(each, policy, None).reasons]
    return {
        "results": count,
        "characters": {
            "mean": statistics.mean(map(len, texts)),
            "least": min(map(len, texts)),
            "most": max(map(len, texts)),
        },
        "with_reasons": len(firing) / count,
        "gate_per_second": rate(lambda each: gate(each, policy, None), staged),
        "gate_with_reasons_per_second": rate(lambda each: gate(each, policy, None), firing),
        "first_pass_re2_per_second": on_re2,
        "first_pass_python_per_second": on_python,
        "times_python": on_re2 / on_python,
    }


def hostile() -> dict[str, float]:
    """Milliseconds that the built-in rules take for 1 MB of each hostile text, the least of three: the dearest ten."""
    rules = BUILT_IN.policy.text_rules
    took: dict[str, float] = {}
    for name, make in HOSTILE.items():
        text, rounds = make(1_000_000).encode()[:1_000_000].decode(errors="ignore"), []
        for _ in range(3):
            began = process_time()
            rules.fired("any", {"output": text})
            rounds.append(1000 * (process_time() - began))
        took[name] = min(rounds)
    dearest = sorted(took, key=took.__getitem__, reverse=True)[:10]
    return {"median": statistics.median(took.values()), **{name: took[name] for name in dearest}}


def ours(kind: str, text: str) -> Iterator[tuple[int, int]]:
    return Detected(Detector(kind)).find(Folded(text))


def presidio(items: list[str]) -> tuple[Callable[[str, str], Iterator[tuple[int, int]]], float]:
    """What finds a kind with Presidio's recognisers, and the texts a second that all of them look at."""
    recognisers = import_module("presidio_analyzer.predefined_recognizers")
    analyser = import_module("presidio_analyzer")
    # English words; no model, since none of these recognisers asks for names or places.
    words = import_module("presidio_analyzer.nlp_engine").SpacyNlpEngine()
    words.nlp = {"en": import_module("spacy").blank("en")}
    registry = analyser.RecognizerRegistry(supported_languages=["en"])
    for name in ("CreditCard", "UsSsn", "Iban", "Email", "Phone"):
        registry.add_recognizer(getattr(recognisers, f"{name}Recognizer")())
    engine = analyser.AnalyzerEngine(registry=registry, nlp_engine=words, supported_languages=["en"])
    entities = list(RECOGNISERS.values())

    def find(kind: str, text: str) -> Iterator[tuple[int, int]]:
        found = engine.analyze(text, "en", entities=[RECOGNISERS[kind]])
        return ((each.start, each.end) for each in found)

    return find, rate(lambda text: engine.analyze(text, "en", entities=entities), items)


def shown(by_kind: dict[str, Score]) -> dict[str, Any]:
    return {
        kind: {**score._asdict(), "precision": score.precision, "recall": score.recall}
        for kind, score in by_kind.items()
    }


def printed(report: dict[str, Any]) -> None:
    for name, value in report.items():
        if isinstance(value, dict):
            for key, inner in value.items():
                numbers = inner.items() if isinstance(inner, dict) else [("", inner)]
                print(f"{name:12} {key:12}", *(f"{each} {number:.3g}" for each, number in numbers))
        else:
            print(f"{name:34} {value:,.3f}" if isinstance(value, float) else f"{name:34} {value}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, default=10_000)
    parser.add_argument("--presidio", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    report = measured(arguments.results)
    report["hostile_1_mb_ms"] = hostile()
    report["ours"] = shown(scores([str(kind) for kind in Detector], ours))
    if arguments.presidio:
        inputs = [texts_of(each).decode() for each in results(300)]
        find, per_second = presidio(inputs)
        report["presidio"] = shown(scores(RECOGNISERS, find))
        report["presidio_per_second"] = per_second
    if arguments.json:
        print(json.dumps(report))
    else:
        printed(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
