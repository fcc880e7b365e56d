"""How a review card is shown: what the rules found stands out, and nothing in the text can act on the terminal."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from chimera.cli.output import age, facts, moment, number, stdout, tell
from chimera.cli.text import marked, pieces, visible
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from chimera.models.gate.review import ReviewCard

_INDENT = "    "
# In the place of what was erased.
REDACTED = "redacted"


def card_contents(card: "ReviewCard") -> dict[str, Any]:
    """What the gate judged: `input`, `output`, `reasoning`, `evidence`; spans are paths into it."""
    outcome = json.loads(card.outcome or "{}")
    return {
        "input": json.loads(card.input or "null"),
        "output": outcome.get("output"),
        "reasoning": outcome.get("reasoning"),
        "evidence": outcome.get("evidence", []),
    }


def show_card(card: "ReviewCard") -> None:
    """The card, for people."""
    facts(
        [
            ("card", format_id(IdKind.CARD, card.card_id)),
            ("status", _status(card)),
            ("note", REDACTED if card.erased_at else card.note or ""),
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
        return
    spans = _spans(card)
    for name, value in card_contents(card).items():
        if value not in (None, []):
            _heading(name)
            for path, leaf in leaves(value, name):
                _leaf(path.removeprefix(f"{name}.") if path != name else "", leaf, spans.get(path, []))


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


def _leaf(name: str, value: Any, spans: list[tuple[int, int]]) -> None:
    from rich.text import Text

    prefix = f"  {visible(name)}: " if name else "  "
    if not isinstance(value, str):
        tell(prefix + json.dumps(value))
        return
    if stdout().is_terminal and not stdout().no_color:
        text = Text().append(prefix, "dim")
        for piece, found in pieces(value, spans):
            text.append(visible(piece, lines=True).replace("\n", f"\n{_INDENT}"), "bold reverse" if found else "")
        stdout().print(text, soft_wrap=True)
    else:
        tell(prefix + marked(value, spans).replace("\n", f"\n{_INDENT}"))
