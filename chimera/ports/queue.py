"""The way to the workers. A message is a hint that something in the store is to be done; it holds ids only."""

from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from chimera.models.work.bound import BoundTenant
from chimera.models.work.quarantined import Quarantined
from chimera.models.work.wave import Dispatch, WaveRef


class Queue(Protocol):
    """Publishes after the transaction that describes what is published has committed.

    Every method raises QueueUnavailable where the broker does not take the message: the store's row
    stays unpublished and the sweep publishes it later.
    """

    def publish_plan(self, tenant_id: str, plan_id: UUID) -> None:
        """Asks for a plan's planner to run."""
        ...

    def publish_replan(self, wave: WaveRef) -> None:
        """Asks for a plan's planner to say what is done about tasks of a wave that the gate sent back."""
        ...

    def publish_wave(self, dispatch: Dispatch) -> None:
        """Sends a wave's batches to the tenant's workers, with the Judge to follow the last of them."""
        ...

    def publish_judge(self, wave: WaveRef) -> None:
        """Asks for what a wave has staged to be gated now."""
        ...

    def publish_dispatch(self, tenant_id: str) -> None:
        """Asks for the tenant's next waves to be sent."""
        ...

    def publish_stop(self, tenant_id: str, plan_id: UUID) -> None:
        """Asks for the open tasks of a stopping plan to be closed."""
        ...

    def epoch(self) -> str:
        """Names the memory of the broker as it is now: another one after it was flushed or started again.

        What was sent in another epoch may be lost.
        """
        ...

    def note_refused(self, reason: str) -> None:
        """Counts a message that asked for nothing that may be done; where the broker is away it is not counted."""
        ...

    def refused(self) -> dict[str, int]:
        """How many messages were refused, by reason."""
        ...

    def quarantined(self) -> list[Quarantined]:
        """Messages that were refused, the newest first; of very many the newest."""
        ...

    def drop_quarantined(self, entry_ids: frozenset[str] | None) -> int:
        """Forgets these of them, or all (None); returns how many there were."""
        ...

    def bound(self) -> set[str]:
        """The tenants that have workers with logins of their own, as far as the broker knows."""
        ...

    def keep_bound(self, tenants: Collection[BoundTenant]) -> None:
        """Lets the workers of these tenants in, and no longer those of others."""
        ...

    def backlog(self, tenant_id: str) -> int:
        """Batches of the tenant that no worker has taken yet."""
        ...
