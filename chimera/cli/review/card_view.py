"""How a review card is shown: what the rules found stands out, and nothing in the text can act on the terminal."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from chimera.cli.output import age, facts, moment, number, stdout, tell
from chimera.cli.text import erased_by, excerpt, marked, pieces, visible
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from chimera.models.gate.review import ReviewCard

_INDENT = "    "
# A longer text is cut: to its beginning and what is around the first things that were found in it, in characters.
_FIRST = 2_000
_AROUND = 120
_SPANS = 50
# More values than these of one part of the card are left out.
_VALUES = 200
# In the place of what was erased.
REDACTED = "redacted"


def card_contents(card: "ReviewCard") -> dict[str, Any]:
    """What the gate judged: `input`, `output`, `reasoning`, `evidence`, and `tools` and `effects` where there are any.

    Spans are paths into it.
    """
    outcome = json.loads(card.outcome or "{}")
    said = {name: outcome[name] for name in ("tools", "effects") if outcome.get(name)}
    return {
        "input": json.loads(card.input or "null"),
        "output": outcome.get("output"),
        "reasoning": outcome.get("reasoning"),
        "evidence": outcome.get("evidence", []),
        **said,
    }


def show_card(card: "ReviewCard", *, full: bool = False) -> list[str]:
    """The card, for people; returns what was cut of it, a line each. `full` cuts nothing."""
    facts(
        [
            ("card", format_id(IdKind.CARD, card.card_id)),
            ("status", _status(card)),
            ("version", str(card.version)),
            ("sha", card.result_sha256.hex()),
            ("closed", erased_by(card.decided_by, card.erasure_reason)),
            ("note", _note(card)),
            ("approvals", _approvals(card)),
            ("claimed", f"{card.claimed_by}, until {moment(card.claim_expires_at)}" if card.claimed_by else ""),
            ("edited", f"by {card.edited_by}, revision {card.revision}" if card.revision else ""),
            ("plan", format_id(IdKind.PLAN, card.plan_id)),
            ("task", f"{format_id(IdKind.TASK, card.task_id)}, attempt {card.attempt}"),
            ("skill", card.skill),
            ("confidence", number(card.confidence)),
            ("policy", card.policy_version),
            ("opened", f"{moment(card.opened_at)} ({age(card.opened_at)} ago)"),
            ("due", moment(card.due_at)),
        ]
    )
    _heading("why")
    for reason in card.reasons:
        tell(f"  {reason}")
    if card.erased_at:
        _heading("contents")
        tell(f"  {REDACTED} {moment(card.erased_at)}")
        return []
    spans, cut = _spans(card), []
    for name, value in card_contents(card).items():
        if value not in (None, []):
            _heading(name)
            cut += _values(name, value, spans, full=full)
    return cut


def _values(name: str, value: Any, spans: dict[str, list[tuple[int, int]]], *, full: bool) -> list[str]:
    """Shows a part of the card; returns what was cut of it. A value in which something was found is never left out."""
    cut, shown, number = [], 0, 0
    for number, (path, leaf) in enumerate(leaves(value, name), start=1):  # noqa: B007  the last number is their count
        if not full and shown >= _VALUES and path not in spans:
            continue
        shown += 1
        found, text = spans.get(path, []), leaf if isinstance(leaf, str) else json.dumps(leaf)
        parts = [(0, len(text))] if full else excerpt(text, found, _FIRST, _AROUND, _SPANS)
        characters = sum(end - start for start, end in parts)
        if characters < len(text):
            cut.append(f"{visible(path)} shows {characters:,} of {len(text):,} characters")
        _leaf(path.removeprefix(f"{name}.") if path != name else "", text, found, parts)
    return [*cut, f"{name} shows {shown:,} of {number:,} values"] if shown < number else cut


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every value within that has no parts, with its path as spans name it: `output.reply`, `evidence.0`."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for place, item in enumerate(value):
            yield from leaves(item, f"{path}.{place}")
    else:
        yield path, value


def _spans(card: "ReviewCard") -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for reason in card.reasons:
        for span in reason.spans:
            found.setdefault(span.path, []).append((span.start, span.end))
    return found


def _status(card: "ReviewCard") -> str:
    by = f" by {card.decided_by}" if card.decided_by else ""
    return f"{card.status}{by}" + (f", {moment(card.decided_at)}" if card.decided_at else "")


def _note(card: "ReviewCard") -> str:
    """Nothing where the card was erased before somebody could note anything."""
    return REDACTED if card.erased_at and not card.erasure_reason else card.note or ""


def _approvals(card: "ReviewCard") -> str:
    """`1 of 2: ann`; nothing where one person decides."""
    if card.approvals_needed == 1:
        return ""
    return (
        f"{len(card.approvals)} of {card.approvals_needed}"
        + (": " if card.approvals else "")
        + ", ".join(card.approvals)
    )


def _heading(name: str) -> None:
    from rich.text import Text

    tell("")
    stdout().print(Text(name, style="bold"), soft_wrap=True)


def _leaf(name: str, value: str, spans: list[tuple[int, int]], parts: list[tuple[int, int]]) -> None:
    from rich.text import Text

    prefix = f"  {visible(name)}: " if name else "  "
    colours = stdout().is_terminal and not stdout().no_color
    text, plain, done = Text().append(prefix, "dim"), prefix, 0
    for start, end in [*parts, (len(value), len(value))]:
        gap = f"[... {start - done:,} characters ...]" if start > done else ""
        within = [
            (max(low, start) - start, min(high, end) - start) for low, high in spans if low < end and high > start
        ]
        text.append(gap, "dim")
        for piece, found in pieces(value[start:end], within):
            text.append(visible(piece, lines=True).replace("\n", f"\n{_INDENT}"), "bold reverse" if found else "")
        plain += gap + marked(value[start:end], within).replace("\n", f"\n{_INDENT}")
        done = end
    if colours:
        stdout().print(text, soft_wrap=True)
    else:
        tell(plain)
