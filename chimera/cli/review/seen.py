"""What a person saw of a card before deciding on it: a decision names its version and hash, or asks about it."""

import difflib
import json
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from chimera.cli.context import command, find_id, services
from chimera.cli.output import say, tell
from chimera.cli.text import visible
from chimera.errors import CardChanged, InvalidInput
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from chimera.models.gate.review import ReviewCard, Revision

# So many hex digits of the hash are shown to be pasted, and so many are needed.
SHOWN_DIGITS = 16
LEAST_DIGITS = 8
_SHA = re.compile(rf"[0-9a-f]{{{LEAST_DIGITS},64}}")

Version = Annotated[
    int | None, typer.Option("--version", metavar="N", min=1, help="The version of the card that you saw.")
]
Sha = Annotated[
    str | None,
    typer.Option(
        "--sha", metavar="PREFIX", help=f"How the hash of what you saw begins, {LEAST_DIGITS} hex digits or more."
    ),
]


class Seen(NamedTuple):
    """What the command line says was seen."""

    version: int
    sha: str

    @classmethod
    def given(cls, version: int | None, sha: str | None) -> "Seen | None":
        """What was given; None where nothing was.

        Raises:
            InvalidInput: only one of the two was given, or the hash is none.
        """
        if version is None and sha is None:
            return None
        if version is None or sha is None:
            raise InvalidInput("--version and --sha go together: `chimera review show` prints both")
        if not _SHA.fullmatch(sha.lower()):
            raise InvalidInput(f"--sha: {LEAST_DIGITS} to 64 hex digits")
        return cls(version, sha.lower())


def seen_words(card: "ReviewCard") -> tuple[str, ...]:
    """`--version 1 --sha 0f1e2d3c4b5a6978`: what a decision on this card has to name."""
    return ("--version", str(card.version), "--sha", card.result_sha256.hex()[:SHOWN_DIGITS])


def decide(
    tenant: str,
    card_id: str,
    seen: Seen | None,
    words: tuple[str, ...],
    change: "Callable[[ReviewCard], ReviewCard]",
) -> "ReviewCard":
    """Decides on a card as the person saw it; where it is not that any more, shows what changed and asks.

    Args:
        tenant: whose card it is.
        card_id: the card, as the person named it.
        seen: what the person says that they saw; None where they did not say it: they are shown the card and asked.
        words: the command and its options, for messages: `("approve",)`, `("edit", "--to", "better.json")`.
        change: what is done to the card once it is what was seen.

    Raises:
        InvalidInput: nothing says what was seen, and nobody can be asked.
        CardChanged: the card is not what was seen any more, and nobody can be asked.
        typer.Exit: whoever was asked did not want it.
    """
    reviews = services().reviewing.reviews
    card = reviews.card(tenant, find_id(tenant, IdKind.CARD, card_id))
    if card.status == "pending":
        if seen is None:
            _ask_about(card, words)
        elif not card.is_what_was_seen(seen.version, seen.sha):
            _ask_about_change(card, reviews.what_was_seen(card, seen.sha), seen.version, words)
    while True:
        try:
            return change(card)
        except CardChanged:
            before, card = card, reviews.card(tenant, card.card_id)
            if card.status == "pending":
                _ask_about_change(card, reviews.what_was_seen(card, before.result_sha256.hex()), before.version, words)


def changes(before: "Revision | None", now: "ReviewCard") -> list[str]:
    """What the card shows now beside what it showed then, as lines of a diff."""
    then = _lines(before.outcome, [str(reason) for reason in before.reasons]) if before else []
    new = _lines(now.outcome, [str(reason) for reason in now.reasons])
    number = before.number if before else "unknown"
    found = difflib.unified_diff(then, new, f"revision {number}", f"revision {now.revision}", lineterm="")
    return [visible(line) for line in found]


def _lines(outcome: str | None, reasons: list[str]) -> list[str]:
    output = json.dumps(json.loads(outcome or "{}").get("output"), indent=2, sort_keys=True, ensure_ascii=False)
    return [*output.splitlines(), *(f"why: {reason}" for reason in reasons)]


def _ask_about(card: "ReviewCard", words: tuple[str, ...]) -> None:
    from chimera.cli.review.card_view import show_card

    name = format_id(IdKind.CARD, card.card_id)
    if not sys.stdin.isatty():
        raise InvalidInput(
            f"which version did you see? Look at it: `{command('review', 'show', name, '--tenant', card.tenant_id)}`. "
            f"As it is now: `{_typed(card, words)}`"
        )
    show_card(card)
    _ask(f"{words[0]} version {card.version} of {name}, {card.result_sha256.hex()[:SHOWN_DIGITS]}?")


def _ask_about_change(card: "ReviewCard", before: "Revision | None", version: int, words: tuple[str, ...]) -> None:
    name = format_id(IdKind.CARD, card.card_id)
    said = f"review card {name} has changed since it was shown: version {version} then, {card.version} now"
    if before is None:
        said = f"review card {name} never showed what --sha names: it is at version {card.version}"
    lines = changes(before, card) or ["what it shows is the same"]
    if not sys.stdin.isatty():
        for line in lines:
            say(line)
        raise CardChanged(f"{said}. If that is right: `{_typed(card, words)}`")
    say(said)
    for line in lines:
        tell(line)
    _ask(f"{words[0]} version {card.version} all the same?")


def _typed(card: "ReviewCard", words: tuple[str, ...]) -> str:
    name = format_id(IdKind.CARD, card.card_id)
    return command("review", words[0], name, *seen_words(card), *words[1:], "--tenant", card.tenant_id)


def _ask(question: str) -> None:
    say(f"{question} [y/N]")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        say("nothing was changed")
        raise typer.Exit(1)
