"""Review cards to read: the store in the role `app`."""

from typing import Protocol
from uuid import UUID

from chimera.models.gate.review import EVERY_CARD, CardFilter, CardStatus, ReviewCard, Revision


class ReviewStore(Protocol):
    """Each method is one transaction in the scope of one tenant; all raise StoreUnavailable."""

    def cards(
        self,
        tenant_id: str,
        *,
        plan_id: UUID | None,
        status: CardStatus | None,
        limit: int,
        wanted: CardFilter = EVERY_CARD,
    ) -> list[ReviewCard]:
        """Cards, oldest first."""
        ...

    def card(self, tenant_id: str, card_id: UUID) -> ReviewCard:
        """One card.

        Raises:
            CardNotFound: the tenant has no such card.
        """
        ...

    def revisions(self, tenant_id: str, card_id: UUID) -> list[Revision]:
        """Every version of a card's result: number 0 is what the agent staged, the others are people's.

        Raises:
            CardNotFound: the tenant has no such card.
        """
        ...
