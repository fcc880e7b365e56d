"""Checkpoints as the database knows them: what is to be signed, and what was; the store in the role `seal`."""

from datetime import datetime
from typing import Protocol

from chimera.models.audit.audit import ChainHead
from chimera.models.audit.checkpoint import Checkpoint


class CheckpointStore(Protocol):
    """Each method is one transaction; all raise StoreUnavailable."""

    def due(self, interval_seconds: float, key_id: str | None) -> list[str]:
        """The tenants that need a checkpoint: of all tenants, those whose last is older than the interval and does not
        cover all entries, or is of another key than `key_id`, or was not kept by all places.
        """
        ...

    def numbers(self) -> dict[str, int]:
        """The number of each tenant's latest checkpoint, of all tenants that have one."""
        ...

    def head(self, tenant_id: str) -> ChainHead:
        """The end of the tenant's audit."""
        ...

    def entry_hash(self, tenant_id: str, seq: int) -> bytes | None:
        """The hash of one entry; None where there is no such entry."""
        ...

    def last(self, tenant_id: str) -> Checkpoint | None:
        """The tenant's latest checkpoint, kept by all places or not."""
        ...

    def after(self, tenant_id: str, number: int) -> list[Checkpoint]:
        """The tenant's checkpoints above a number, in order."""
        ...

    def add(self, checkpoint: Checkpoint) -> bool:
        """Notes a checkpoint before any place is told; False where another one has its number, or the entry that it
        names is not there with that hash.
        """
        ...

    def unsealed_since(self, tenant_id: str) -> datetime | None:
        """When the tenant's first entry was written that no checkpoint of all places covers; None without one."""
        ...

    def mark_kept(self, tenant_id: str, number: int) -> None:
        """Every place keeps this checkpoint and all before it."""
        ...
