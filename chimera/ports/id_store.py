"""Ids that somebody wrote short: the store in the role `app`."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from chimera.models.ids import IdKind, IdRange


class IdStore(Protocol):
    """One transaction in the scope of one tenant; raises StoreUnavailable."""

    def find(self, tenant_id: str, kind: IdKind, text: str, ranges: Sequence[IdRange], limit: int) -> list[UUID]:
        """The tenant's plans, tasks or cards whose ids are in one of the ranges, in order.

        Args:
            tenant_id: whose.
            kind: of what; not agents, which the registry knows.
            text: what was asked for, for the record of what was refused.
            ranges: those of `ranges_of`.
            limit: the most that are returned.

        Raises:
            PlanNotFound, TaskNotFound, CardNotFound: the tenant has none; that goes on record.
        """
        ...
