"""`chimera review`: what waits for people, and what they decide."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chimera.cli.context import Actor, Tenant, actor, choice, command, find_id, require_tenant, services
from chimera.cli.output import Format, Limit, Output, age, document, moment, number, say, table
from chimera.cli.review.seen import Seen, Sha, Version, decide, seen_words
from chimera.cli.since import Since, Until, period
from chimera.cli.text import erased_by
from chimera.errors import InvalidInput
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from chimera.models.gate.review import CardStatus, ReviewCard

app = typer.Typer(help="See what waits for people, and decide it.", no_args_is_help=True)

CardId = Annotated[str, typer.Argument(metavar="CARD", help="A review card's id, whole or short: rc_...")]
Full = Annotated[bool, typer.Option("--full", help="Show all of every text, however long.")]
Minutes = Annotated[float, typer.Option("--minutes", help="How long nobody else decides on it; at most a day.")]


@app.command("list")
def list_cards(
    tenant: Tenant,
    plan: Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="Only cards of this plan.")] = None,
    status: Annotated[
        str, typer.Option("--status", help="pending, approved, edited, denied, expired, cancelled, or all.")
    ] = "pending",
    since: Since = None,
    until: Until = None,
    who: Annotated[
        str | None,
        typer.Option("--actor", metavar="NAME", help="Only cards that this person decided or holds."),
    ] = None,
    task: Annotated[str | None, typer.Option("--task", metavar="TASK", help="Only cards of this task.")] = None,
    rule: Annotated[
        str | None, typer.Option("--rule", metavar="RULE", help="Only cards that this rule asks for: keyword.password.")
    ] = None,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """The review cards, oldest first. --since and --until are when they were decided, or opened while they wait."""
    from chimera.models.gate.review import CardFilter

    wanted_status, (start, end) = _status(status), period(since, until)
    plan_id = find_id(tenant, IdKind.PLAN, plan) if plan else None
    task_id = find_id(tenant, IdKind.TASK, task) if task else None
    wanted = CardFilter(since=start, until=end, actor=who, task_id=task_id, rule=rule)
    cards = services().reviewing.reviews.cards(
        tenant, plan_id=plan_id, status=wanted_status, limit=limit, wanted=wanted
    )
    if not cards:
        require_tenant(tenant)
    if output is Format.JSON:
        document([card_json(card) for card in cards])
        return
    if not cards:
        say(f"no {'' if status == 'all' else f'{status} '}review cards of {tenant}")
        return
    if wanted_status == "pending":
        table(["CARD", "SKILL", "STATUS", "CONF", "WHY", "AGE", "CLAIMED"], map(_row, cards))
    else:
        table(["CARD", "SKILL", "STATUS", "BY", "AT", "CONF", "WHY"], map(_decided_row, cards))
    if len(cards) == limit:
        say(f"the first {limit}; --limit shows more")
    card = format_id(IdKind.CARD, cards[0].card_id)
    say(f"next: {command('review', 'show', card, '--tenant', tenant)}")


@app.command()
def show(
    card: CardId,
    tenant: Tenant,
    revision: Annotated[
        int | None, typer.Option("--revision", min=0, help="A version of its result: 0 is what the agent staged.")
    ] = None,
    full: Full = False,
    output: Output = Format.TABLE,
) -> None:
    """A card: what went in, what came out, and why a person is asked. Long texts are cut, around what was found."""
    reviews = services().reviewing.reviews
    found = reviews.card(tenant, find_id(tenant, IdKind.CARD, card))
    shown = found if revision is None else found.showing(reviews.revision(found, revision))
    _show(shown, output, tenant, full=full, is_current=shown.revision == found.revision)


@app.command("next")
def next_card(
    tenant: Tenant,
    skill: Annotated[str | None, typer.Option("--skill", help="Only cards of this skill.")] = None,
    minutes: Minutes = 15.0,
    by: Actor = None,
    full: Full = False,
    output: Output = Format.TABLE,
) -> None:
    """Claim the oldest card that nobody has claimed, and show it."""
    who = actor(by)
    _show(services().reviewing.reviews.claim_next(tenant, who, minutes * 60, skill=skill), output, tenant, full=full)


@app.command()
def claim(
    card: CardId, tenant: Tenant, minutes: Minutes = 15.0, by: Actor = None, output: Output = Format.TABLE
) -> None:
    """Keep a card for yourself: until then nobody else decides on it."""
    who, reviews = actor(by), services().reviewing.reviews
    _told(reviews.claim(reviews.card(tenant, find_id(tenant, IdKind.CARD, card)), who, minutes * 60), output)


@app.command()
def release(card: CardId, tenant: Tenant, by: Actor = None, output: Output = Format.TABLE) -> None:
    """Give a claim back."""
    who, reviews = actor(by), services().reviewing.reviews
    _told(reviews.release(reviews.card(tenant, find_id(tenant, IdKind.CARD, card)), who), output)


@app.command()
def approve(
    card: CardId,
    tenant: Tenant,
    version: Version = None,
    sha: Sha = None,
    reason: Annotated[str | None, typer.Option("--reason", help="A note for the audit.")] = None,
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Approve the result on a card as you saw it: with the last approval that it needs it is committed."""
    who, reviews, seen = actor(by), services().reviewing.reviews, Seen.given(version, sha)
    words = ("approve", *(("--reason", reason) if reason else ()), "--as", who)
    _told(decide(tenant, card, seen, words, lambda shown: reviews.approve(shown, who, reason)), output)


@app.command()
def deny(
    card: CardId,
    tenant: Tenant,
    reason: Annotated[str, typer.Option("--reason", help="What is wrong with the result.")],
    version: Version = None,
    sha: Sha = None,
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Refuse the result on a card for good."""
    if not reason.strip():
        raise InvalidInput("--reason: a denial needs one")
    who, reviews, seen = actor(by), services().reviewing.reviews, Seen.given(version, sha)
    words = ("deny", "--reason", reason, "--as", who)
    _told(decide(tenant, card, seen, words, lambda shown: reviews.deny(shown, who, reason)), output)


@app.command()
def edit(
    card: CardId,
    tenant: Tenant,
    new: Annotated[
        str, typer.Option("--to", metavar="FILE|JSON", help="The output as it should be; - reads standard input.")
    ],
    version: Version = None,
    sha: Sha = None,
    note: Annotated[str | None, typer.Option("--note", help="Why, for the audit.")] = None,
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Put another output in the place of the card's; the policy gates it again, and it counts as your approval."""
    value, who, seen = _json(new), actor(by), Seen.given(version, sha)
    reviews = services().reviewing.reviews
    words = ("edit", "--to", new, *(("--note", note) if note else ()), "--as", who)
    after = decide(tenant, card, seen, words, lambda shown: reviews.edit(shown, value, who, note))
    _told(after, output)
    if after.status == "pending" and who not in after.approvals:
        say("nothing was committed: the policy found what the card has not shown before")
        for reason in after.reasons:
            say(f"  {reason}")
        say(f"look at it: {command('review', 'show', card, '--tenant', tenant)}, and approve it or edit it again")


def card_json(card: "ReviewCard") -> dict[str, Any]:
    """The card without what it shows; ids as the command line takes them.

    `erasure_reason` is there only where an erasure closed the card.
    """
    hidden = {"input", "outcome", "result_sha256", "reasons", "card_id", "plan_id", "task_id"}
    values = card.model_dump(mode="json", exclude=hidden if card.erasure_reason else hidden | {"erasure_reason"})
    return {
        "card_id": format_id(IdKind.CARD, card.card_id),
        "plan_id": format_id(IdKind.PLAN, card.plan_id),
        "task_id": format_id(IdKind.TASK, card.task_id),
        **values,
        "redacted": card.erased_at is not None,
        "result_sha256": card.result_sha256.hex(),
        "reasons": [reason.model_dump(mode="json") | {"text": str(reason)} for reason in card.reasons],
    }


def _status(text: str) -> "CardStatus | None":
    from chimera.models.gate.review import CardStatus

    return None if text == "all" else choice(CardStatus, text, "--status")


def _json(text: str) -> Any:
    """What the option holds, or the file that it names does.

    Raises:
        InvalidInput: it is neither JSON nor a file with JSON.
    """
    if text == "-":
        return _parsed(sys.stdin.read(), "standard input")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        file = Path(text)
    try:
        return _parsed(file.read_text(encoding="utf-8-sig"), text)
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise InvalidInput(f"--to {text}: it is no JSON, and as a file it cannot be read: {reason}") from exc


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise InvalidInput(f"--to: {where} does not hold JSON: {exc}") from exc


def _show(card: "ReviewCard", output: Format, tenant: str, *, full: bool, is_current: bool = True) -> None:
    from chimera.cli.review.card_view import card_contents, show_card

    if output is Format.JSON:
        document(card_json(card) | card_contents(card))
        return
    cut = show_card(card, full=full)
    name = format_id(IdKind.CARD, card.card_id)
    for what in cut:
        say(f"cut: {what}")
    if cut:
        revision = ("--revision", str(card.revision)) if card.revision else ()
        say(f"all of it: {command('review', 'show', name, '--tenant', tenant, *revision, '--full')}")
    if card.status == "pending" and not is_current:
        say(f"to decide, see what the card shows now: {command('review', 'show', name, '--tenant', tenant)}")
    elif card.status == "pending":
        words = (*seen_words(card), "--tenant", tenant)
        say(f"next: {command('review', 'approve', name, *words)}")
        say(f"or:   {command('review', 'edit', name, *words, '--to', 'better.json')}")
        say(f"or:   {command('review', 'deny', name, *words, '--reason', 'what is wrong with it')}")


def _told(card: "ReviewCard", output: Format) -> None:
    """How the card stands now."""
    if output is Format.JSON:
        document(card_json(card))
        return
    by = card.decided_by or ", ".join(card.approvals)
    claimed = f"{card.claimed_by} until {moment(card.claim_expires_at)}" if card.claimed_by else ""
    approvals = f"{len(card.approvals)} of {card.approvals_needed}"
    table(
        ["CARD", "STATUS", "APPROVALS", "BY", "CLAIMED", "NOTE"],
        [[format_id(IdKind.CARD, card.card_id), card.status, approvals, by, claimed, card.note or ""]],
    )
    if card.status == "pending" and card.approvals:
        missing = card.approvals_needed - len(card.approvals)
        say(f"not committed yet: {missing} more {'person' if missing == 1 else 'people'} must approve it")


def _decided_row(card: "ReviewCard") -> list[str]:
    """The card with who decided it, and when; one that waits with who has it or has approved it."""
    return [
        format_id(IdKind.CARD, card.card_id),
        card.skill,
        card.status,
        ", ".join(dict.fromkeys([*card.approvals, *filter(None, [card.decided_by or card.claimed_by])])),
        moment(card.decided_at),
        number(card.confidence),
        "; ".join(filter(None, [*map(str, card.reasons), erased_by(card.decided_by, card.erasure_reason)])),
    ]


def _row(card: "ReviewCard") -> list[str]:
    return [
        format_id(IdKind.CARD, card.card_id),
        card.skill,
        card.status,
        number(card.confidence),
        "; ".join(map(str, card.reasons)),
        age(card.opened_at),
        card.claimed_by or "",
    ]
