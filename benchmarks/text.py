"""How well the detectors find what is labelled in texts that they were not made on: precision and recall by kind.

The texts are drawn from a seed: messages of examples/tickets with numbers written as people, forms and programs write
them, some of them in disguise, beside as many texts of what only looks alike. With --public, in an environment that has
faker and presidio-evaluator too: the sentence templates of the one, filled by the other, neither of which is ours.
Telephone numbers are looked for with regions and without. Prints a table, or with --json one JSON document.
"""

import argparse
import base64
import csv
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import UUID

import phonenumbers
from stdnum import iban, luhn

from chimera.models.gate.rules import Part, Rule, TextRules
from chimera.models.text.detectors import Detector

SAMPLE = Path("examples/tickets/sample.csv")
SEED = 20261127
REGIONS = ("DE", "GB", "US", "FR", "ES", "IT", "NL", "IN")
DIGITS = "0123456789"
WHOLE = "plain"


class Drawn(NamedTuple):
    """A value of the record that is looked at, and what is in it."""

    value: Any
    kind: str  # of what is in it; empty: nothing is
    form: str  # how it is written


# Prefix and length of card numbers as issuers and testers draw them.
ISSUERS = (
    ("4", 16), ("4", 16), ("4", 16), ("4", 13), ("4", 19), ("51", 16), ("53", 16), ("55", 16), ("2221", 16),
    ("2500", 16), ("2720", 16), ("34", 15), ("37", 15), ("300", 14), ("305", 14), ("36", 14), ("38", 14), ("6011", 16),
    ("65", 16), ("35", 16), ("3528", 16), ("3589", 16), ("2131", 15), ("1800", 15), ("5018", 12), ("5020", 12),
    ("5038", 12), ("56", 12), ("6304", 12), ("6759", 12), ("6761", 16), ("62", 16), ("62", 19),
)  # fmt: skip
SENTENCES = (
    "{}", "my number is {}", "{} please", "Please use {}.", "Es ist die {}, danke", "Voici le numéro : {}",
    "el número es {}", "il numero {} non funziona", "It was {} I think", "ref: {}", '{{"value":"{}"}}', "a;b;{};c",
    "({})", "<td>{}</td>",
    "Name: Kim\nNumber: {}\nDate: 2026-03-01", "{}, exp 09/27", "no.{}", "„{}“", "是 {} 吗", "номер {}",
)  # fmt: skip
CALLED = {
    "card_number": ("Visa", "card", "Kreditkarte ", "carte bancaire: ", "tarjeta ", "cc="),
    "iban": ("IBAN", "Konto: ", "IBAN ", "compte "),
    "phone": ("call ", "Tel. ", "Telefon: ", "my phone is ", "téléphone ", "móvil ", "Handy ", "", "", ""),
    "ssn": ("SSN ", "social security number "),
    "email": ("mail ", "to ", "E-Mail: ", ""),
}


def card(random: Random) -> str:
    prefix, length = random.choice(ISSUERS)
    body = prefix + "".join(random.choices(DIGITS, k=length - 1 - len(prefix)))
    return body + luhn.calc_check_digit(body)


def grouped(number: str, between: str) -> str:
    sizes = [4, 6, len(number) - 10] if len(number) in (14, 15) else [4] * 5
    groups, at = [], 0
    for size in sizes:
        groups.append(number[at : at + size])
        at += size
    return between.join(filter(None, groups))


def account(random: Random) -> str:
    country, form = random.choice(
        [("DE", "d" * 18), ("GB", "llll" + "d" * 14), ("FR", "d" * 23), ("NL", "llll" + "d" * 10), ("ES", "d" * 20),
         ("IT", "l" + "d" * 22), ("AT", "d" * 16), ("CH", "d" * 17), ("PL", "d" * 24), ("BE", "")]
    )  # fmt: skip
    if country == "BE":
        body = "".join(random.choices(DIGITS, k=10))
        form, drawn = "", f"{body}{int(body) % 97 or 97:02}"
    else:
        drawn = "".join(random.choice(DIGITS if each == "d" else "ABCDEFGHIJKLMNOPQRSTUVWXYZ") for each in form)
    checked = iban.calc_check_digits(f"{country}00{drawn}")
    return f"{country}{checked}{drawn}"


def telephone(random: Random) -> str:
    """A number that its country gives out, as its country writes it, with or without its code."""
    region = random.choice(REGIONS)
    kind = random.choice((phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE))
    example = phonenumbers.example_number_for_type(region, kind)
    assert example is not None
    while True:
        national = str(example.national_number)
        kept = random.choice((3, 4))
        drawn = national[:kept] + "".join(random.choices(DIGITS, k=len(national) - kept))
        number = phonenumbers.PhoneNumber(country_code=example.country_code, national_number=int(drawn))
        if example.italian_leading_zero:
            number.italian_leading_zero = True
        if phonenumbers.is_valid_number_for_region(number, region):
            break
    formats = phonenumbers.PhoneNumberFormat
    form = random.choice((formats.NATIONAL, formats.NATIONAL, formats.NATIONAL, formats.INTERNATIONAL, formats.E164))
    written = str(phonenumbers.format_number(number, form))
    return random.choice((str, str, lambda each: each.replace(" ", "-"), lambda each: each.replace(" ", ".")))(written)


def social(random: Random) -> str:
    return f"{random.randint(101, 650)}-{random.randint(10, 99)}-{random.randint(1000, 9999)}"


def address(random: Random) -> str:
    names = ("jane", "k.ito", "maria.silva", "o'neill", "support+eu", "j_doe", "a.b.c", "li-wei", "info", "x1")
    hosts = ("example.com", "mail.example.org", "acme.co.uk", "firma.de", "posta.example.it", "a-b.example.io")
    return f"{random.choice(names)}@{random.choice(hosts)}"


DRAW: dict[str, Callable[[Random], str]] = {
    "card_number": card, "iban": account, "phone": telephone, "ssn": social, "email": address,
}  # fmt: skip


def plainly(kind: str, random: Random) -> tuple[str, str]:
    """One thing, and how it is written."""
    written = DRAW[kind](random)
    if kind == "card_number":
        between = random.choice(("", "", "", " ", " ", "-", "."))
        written = grouped(written, between)
    elif kind == "iban" and random.random() < 0.5:
        written = " ".join(written[at : at + 4] for at in range(0, len(written), 4))
    return written, WHOLE


def entities(text: str, random: Random) -> str:
    shown = random.choice(("&#{};", "&#x{:x};"))
    return "".join(shown.format(ord(char)) if not char.isalpha() else char for char in text)


def disguised(kind: str, random: Random) -> tuple[Any, str]:
    """One thing within what hides it from who looks for it as it is."""
    number, words = DRAW[kind](random), random.choice(CALLED[kind])
    ways: list[tuple[str, Callable[[], Any]]] = [
        ("base64", lambda: base64.b64encode(f"{words}{number} ok".encode()).decode()),
        ("base64url", lambda: base64.urlsafe_b64encode(f"it is {number}?>".encode()).decode().rstrip("=")),
        ("hex", lambda: f"{words} {number}".encode().hex()),
        ("percent", lambda: f"https://example.com/a?q={quote(f'{words} {number}', safe='')}&b=1"),
        ("entities", lambda: f"<p>{words} {entities(number, random)}</p>"),
        ("full width", lambda: "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in number)),
    ]
    if kind in ("card_number", "iban"):
        between = random.choice(("_", "/", ",", "\n", "\t", "&nbsp;", "\u00a0", " / ", "\u2009"))
        four = [number[at : at + 4] for at in range(0, len(number), 4)]
        ways += [
            (f"between {between!r}", lambda: grouped(number, between) if kind == "card_number" else between.join(four)),
            (f"between {between!r}", lambda: grouped(number, between) if kind == "card_number" else between.join(four)),
            ("list", lambda: four),
            ("glued", lambda: f"{words.strip(' :=')}{number}"),
        ]
    if kind == "email":
        ways += [("query", lambda: f"https://example.com/u?mail={quote(number)}&x=2")] * 2
    name, way = random.choice(ways)
    return way(), name


def nothing(random: Random) -> str:
    """What only looks like something."""

    def many(count: int, of: str = DIGITS) -> str:
        return "".join(random.choices(of, k=count))

    month, day = random.randint(1, 12), random.randint(1, 28)
    return random.choice(
        (
            lambda: f"order 20{many(2)}{month:02}{day:02}{many(6)}",
            lambda: f"order {random.randint(1, 9)}{many(random.randint(5, 11))}",
            lambda: f"invoice {many(4)}-{many(6)}-{many(2)}",
            lambda: f"20{many(2)}-{month:02}-{day:02} {many(2)}:{many(2)}:{many(2)}",
            lambda: f"{day:02}.{month:02}.20{many(2)} / {day:02}.{month:02}.20{many(2)}",
            lambda: f"total {random.randint(1, 999)},{many(3)}.{many(2)} EUR, tax {many(3)}.{many(2)}",
            lambda: f"commit {many(40, '0123456789abcdef')}",
            lambda: f"sha256:{many(64, '0123456789abcdef')}",
            lambda: f"request {UUID(int=random.getrandbits(128), version=4)}",
            lambda: f"ISBN 978-{random.randint(0, 9)}-{many(2)}-{many(6)}-{many(1)}",
            lambda: f"tracking 1Z{many(3, 'ABCDEFGHXYZ')}{many(13)}",
            lambda: f"parcel JJD0{many(18)}",
            lambda: f"tracking 94{many(20)}",
            lambda: f"parcel R{many(1, 'ABC')}{many(9)}DE",
            lambda: (
                f"from 10.{random.randint(0, 255)}.{random.randint(0, 255)}.{random.randint(1, 254)} port {many(4)}"
            ),
            lambda: f"version {random.randint(0, 30)}.{many(2)}.{many(3)}-rc{many(1)}+build.{many(5)}",
            lambda: f"x = [{many(1)}, {many(2)}, {many(3)}, {many(4)}]; y = 0x{many(8, '0123456789abcdef')}",
            lambda: f"def f(a, b={many(4)}): return a[{many(1)}:{many(2)}] + {many(6)}",
            lambda: f"t=1{many(12)} id=7{many(14)}",
            lambda: f"EAN 40{many(11)}",
            lambda: f"meter {many(4)} {many(4)} {many(4)}",
            lambda: f"{many(5)} {many(5)}, {many(5)}-{many(4)}",
            lambda: f"lat 5{many(1)}.{many(6)}, lon 1{many(1)}.{many(6)}",
            lambda: f"token_{many(6, 'abcdef')} userId={many(8)} pageSize=50",
            lambda: base64.b64encode(f"hello number {many(3)}, all is well".encode()).decode(),
            lambda: base64.b64encode(random.randbytes(30)).decode(),
            lambda: f"https://example.com/a%20b?page={many(2)}&q=caf%C3%A9&t={many(10)}",
            lambda: f"Zimmer {many(3)}, Kapitel {many(1)}.{many(1)}.{many(2)}, § {many(3)} Abs. {many(1)}",
            lambda: f"case {many(8)}/{many(2)}, flight LH{many(4)}, seat {many(2)}A",
            lambda: f"&copy; 2026 &ndash; A&amp;B &#8364; {many(4)}",
        )
    )()


def corpus(seed: int, count: int) -> Iterator[Drawn]:
    """For each kind `count` texts that have one, and as many in disguise; and twice as many of neither."""
    random = Random(seed)
    messages = [row["text"] for row in csv.DictReader(SAMPLE.open(encoding="utf-8", newline=""))]
    # What the sample itself has is not labelled.
    messages = [text for text in messages if not any(char.isdigit() or char == "@" for char in text)]

    def carried(text: str) -> str:
        before, behind = random.choice(messages), random.choice(messages)
        return random.choice((f"{before} {text}", f"{text}\n{behind}", f"{before}\n\n{text}\n\n{behind}", text))

    for kind in DRAW:
        for _ in range(count):
            written, form = plainly(kind, random)
            called = random.choice(CALLED[kind])
            if not called.endswith(" "):
                called += " "
            yield Drawn(carried(random.choice(SENTENCES).format(called + written)), kind, form)
        for _ in range(count):
            hidden, form = disguised(kind, random)
            yield Drawn(hidden if isinstance(hidden, list) else carried(hidden), kind, form)
    for _ in range(2 * count * len(DRAW)):
        yield Drawn(carried(random.choice(SENTENCES).format(nothing(random))), "", "nothing")


def public(count: int) -> Iterator[Drawn]:
    """Templates of presidio-evaluator, filled by faker."""
    faker = import_module("faker")
    # Without importing it, which would ask for its models.
    package = find_spec("presidio_evaluator")
    if package is None or package.submodule_search_locations is None:
        raise SystemExit("presidio-evaluator is not installed")
    folder = Path(package.submodule_search_locations[0], "data_generator", "raw_data")
    templates = (folder / "templates.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    kinds = {
        "credit_card_number": ("card_number", "credit_card_number"),
        "phone_number": ("phone", "phone_number"),
        "iban": ("iban", "iban"),
        "ssn": ("ssn", "ssn"),
        "us_ssn": ("ssn", "ssn"),
        "email": ("email", "email"),
    }
    others = {
        "ip_address": "ipv4",
        "date_time": "date",
        "zipcode": "postcode",
        "url": "url",
        "address": "street_address",
    }
    random = Random(SEED)
    locales = ("en_US", "en_US", "de_DE", "en_GB", "fr_FR", "es_ES", "it_IT", "nl_NL")
    fakers = {locale: faker.Faker(locale) for locale in set(locales)}
    for number, each in enumerate(fakers.values()):
        each.seed_instance(SEED + number)
    for _ in range(count):
        for template in templates:
            found, form = set(), ""
            locale = random.choice(locales)
            parts = template.replace("\\n", "\n").split("{{")
            text = parts[0]
            for part in parts[1:]:
                name, _, rest = part.partition("}}")
                kind, provider = kinds.get(name, ("", others.get(name, "name")))
                source = fakers["en_US" if kind == "ssn" else locale]
                text += str(getattr(source, provider)()) + rest
                if kind:
                    found.add(kind)
                    form = f"{locale} {kind}"
            # Texts with things of two kinds say nothing of one: whether both were found is asked of each.
            yield Drawn(text, ",".join(sorted(found)), form)


def rules(with_regions: bool) -> TextRules:
    def rule(detector: Detector) -> Rule:
        more = {"regions": REGIONS} if with_regions and detector is Detector.PHONE else {}
        return Rule.model_validate({"name": f"is.{detector}", "detector": detector, "within": (Part.OUTPUT,), **more})

    return TextRules(tuple(rule(detector) for detector in Detector if str(detector) in DRAW))


def measured(drawn: list[Drawn], asked: TextRules, show: int) -> dict[str, Any]:
    """By kind: texts with it that were found, missed, and texts that have none and fired; by form, what was found."""
    found: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    total: Counter[str] = Counter()
    forms: dict[str, Counter[str]] = {}
    for each in drawn:
        fired = {fired.rule.removeprefix("is.") for fired in asked.fired("any", {"output": each.value})}
        labels = set(filter(None, each.kind.split(",")))
        for kind in labels:
            total[kind] += 1
            found[kind] += kind in fired
            form = forms.setdefault(f"{kind}: {each.form}", Counter())
            form["found" if kind in fired else "missed"] += 1
            if kind not in fired and show > 0:
                print("MISSED", kind, each.form, repr(each.value)[:300], file=sys.stderr)
                show -= 1
        for kind in fired - labels:
            wrong[kind] += 1
            if show > 0:
                print("WRONG", kind, each.form, repr(each.value)[:300], file=sys.stderr)
                show -= 1
    return {
        "kinds": {
            kind: {
                "texts": total[kind],
                "recall": round(found[kind] / total[kind], 3) if total[kind] else None,
                "precision": round(found[kind] / (found[kind] + wrong[kind]), 3) if found[kind] + wrong[kind] else None,
            }
            for kind in DRAW
        },
        "forms": {
            form: round(counts["found"] / counts.total(), 3)
            for form, counts in sorted(forms.items())
            if counts["missed"]
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--count", type=int, default=1000, help="texts of each kind, plain and disguised (1000)")
    parser.add_argument("--public", action="store_true")
    parser.add_argument("--without-regions", action="store_true")
    parser.add_argument("--show", type=int, default=0, help="of what was missed or wrong, show this many")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    drawn = [*(public(max(1, arguments.count // 50)) if arguments.public else corpus(arguments.seed, arguments.count))]
    report = measured(drawn, rules(not arguments.without_regions), arguments.show)
    if arguments.json:
        print(json.dumps(report))
        return 0
    for kind, score in report["kinds"].items():
        print(f"{kind:12} {score['texts']:6} texts, recall {score['recall']}, precision {score['precision']}")
    for form, share in report["forms"].items():
        print(f"    {form:40} {share}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
