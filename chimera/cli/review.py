"""`chimera review`: what waits for people, and what they decide."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from chimera.cli.context import Actor, Tenant, actor, choice, command, services
from chimera.cli.output import Format, Limit, Output, age, document, number, say, table
from chimera.errors import InvalidInput
from chimera.models.ids import IdKind, format_id, parse_id

if TYPE_CHECKING:
    from chimera.models.review import CardStatus, ReviewCard

app = typer.Typer(help="See what waits for people, and decide it.", no_args_is_help=True)

CardId = Annotated[str, typer.Argument(metavar="CARD", help="A review card id: rc_...")]


@app.command("list")
def list_cards(
    tenant: Tenant,
    plan: Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="Only cards of this plan.")] = None,
    status: Annotated[
        str, typer.Option("--status", help="pending, approved, edited, denied, expired, cancelled, or all.")
    ] = "pending",
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """The review cards, oldest first."""
    plan_id = parse_id(IdKind.PLAN, plan) if plan else None
    cards = services().reviews.cards(tenant, plan_id=plan_id, status=_status(status), limit=limit)
    if output is Format.JSON:
        document([card_json(card) for card in cards])
        return
    if not cards:
        say(f"no {'' if status == 'all' else f'{status} '}review cards of {tenant}")
        return
    table(["CARD", "SKILL", "STATUS", "CONF", "WHY", "AGE"], map(_row, cards))
    if len(cards) == limit:
        say(f"the first {limit}; --limit shows more")
    card = format_id(IdKind.CARD, cards[0].card_id)
    say(f"next: {command('review', 'show', card, '--tenant', tenant)}")


@app.command()
def show(card: CardId, tenant: Tenant, output: Output = Format.TABLE) -> None:
    """A card: what went in, what came out, and why a person is asked."""
    from chimera.cli.card_view import card_contents, show_card

    found = services().reviews.card(tenant, parse_id(IdKind.CARD, card))
    if output is Format.JSON:
        document(card_json(found) | card_contents(found))
        return
    show_card(found)
    if found.status == "pending":
        say(f"next: {command('review', 'approve', card, '--tenant', tenant)}")
        say(f"or:   {command('review', 'deny', card, '--tenant', tenant, '--reason', 'what is wrong with it')}")


@app.command()
def approve(
    card: CardId,
    tenant: Tenant,
    reason: Annotated[str | None, typer.Option("--reason", help="A note for the audit.")] = None,
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Commit the result on a card."""
    who, reviews = actor(by), services().reviews
    _decided(reviews.approve(reviews.card(tenant, parse_id(IdKind.CARD, card)), who, reason), output)


@app.command()
def deny(
    card: CardId,
    tenant: Tenant,
    reason: Annotated[str, typer.Option("--reason", help="What is wrong with the result.")],
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Refuse the result on a card for good."""
    if not reason.strip():
        raise InvalidInput("--reason: a denial needs one")
    who, reviews = actor(by), services().reviews
    _decided(reviews.deny(reviews.card(tenant, parse_id(IdKind.CARD, card)), who, reason), output)


def card_json(card: "ReviewCard") -> dict[str, Any]:
    """The card without what it shows; ids as the command line takes them."""
    values = card.model_dump(
        mode="json", exclude={"input", "outcome", "result_sha256", "reasons", "card_id", "plan_id", "task_id"}
    )
    return {
        "card_id": format_id(IdKind.CARD, card.card_id),
        "plan_id": format_id(IdKind.PLAN, card.plan_id),
        "task_id": format_id(IdKind.TASK, card.task_id),
        **values,
        "result_sha256": card.result_sha256.hex(),
        "reasons": [reason.model_dump(mode="json") | {"text": str(reason)} for reason in card.reasons],
    }


def _status(text: str) -> "CardStatus | None":
    from chimera.models.review import CardStatus

    return None if text == "all" else choice(CardStatus, text, "--status")


def _decided(card: "ReviewCard", output: Format) -> None:
    if output is Format.JSON:
        document(card_json(card))
        return
    table(
        ["CARD", "STATUS", "BY", "NOTE"],
        [[format_id(IdKind.CARD, card.card_id), card.status, card.decided_by or "", card.note or ""]],
    )


def _row(card: "ReviewCard") -> list[str]:
    return [
        format_id(IdKind.CARD, card.card_id),
        card.skill,
        card.status,
        number(card.confidence),
        "; ".join(map(str, card.reasons)),
        age(card.opened_at),
    ]
