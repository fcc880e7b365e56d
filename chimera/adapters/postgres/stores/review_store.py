"""Review cards to read, in PostgreSQL."""

from uuid import UUID

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.refusals import refusals_noted
from chimera.errors import CardNotFound
from chimera.models.gate.review import EVERY_CARD, CardFilter, CardStatus, ReviewCard, Revision
from chimera.models.ids import IdKind, format_id
from chimera.ports import review_store as port

_SQL = statements("review_store")


class ReviewStore(port.ReviewStore):
    """In the role `app`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cards(  # noqa: D102  see the port
        self,
        tenant_id: str,
        *,
        plan_id: UUID | None,
        status: CardStatus | None,
        limit: int,
        wanted: CardFilter = EVERY_CARD,
    ) -> list[ReviewCard]:
        return self._cards(tenant_id, None, plan_id, status, limit, wanted)

    def card(self, tenant_id: str, card_id: UUID) -> ReviewCard:  # noqa: D102
        with refusals_noted(self._database, tenant_id, format_id(IdKind.CARD, card_id)):
            cards = self._cards(tenant_id, card_id, None, None, 1)
            if not cards:
                raise _not_found(tenant_id, card_id)
        return cards[0]

    def revisions(self, tenant_id: str, card_id: UUID) -> list[Revision]:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            rows = connection.execute(_SQL["revisions"], {"tenant": tenant_id, "card": card_id}).fetchall()
        if not rows:
            raise _not_found(tenant_id, card_id)
        return [Revision.model_validate(row, strict=False) for row in rows]

    def _cards(
        self,
        tenant_id: str,
        card_id: UUID | None,
        plan_id: UUID | None,
        status: CardStatus | None,
        limit: int,
        wanted: CardFilter = EVERY_CARD,
    ) -> list[ReviewCard]:
        values = {"tenant": tenant_id, "card": card_id, "plan": plan_id, "status": status, "limit": limit}
        values |= wanted.model_dump(mode="python", exclude={"task_id"}) | {"task": wanted.task_id}
        with self._database.transaction(tenant_id) as connection:
            rows = connection.execute(_SQL["cards"], values)
            return [ReviewCard.model_validate(row, strict=False) for row in rows]


def _not_found(tenant_id: str, card_id: UUID) -> CardNotFound:
    return CardNotFound(f"tenant {tenant_id!r} has no review card rc_{card_id.hex}")
