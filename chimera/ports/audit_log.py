"""The audit as who verifies reads it: everything of one tenant, as it was at one moment."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from chimera.models.audit.audit import ChainHead
from chimera.models.audit.checkpoint import Checkpoint
from chimera.models.audit.entry_filter import EntryFilter
from chimera.models.audit.proof import DecisionRow, EntryRow, Fault


class AuditView(Protocol):
    """One moment of a tenant's audit. Iterators hold a few thousand rows at the most; one at a time."""

    def head(self) -> ChainHead:
        """Where the chain is said to end."""
        ...

    def entry_before(self, since: datetime) -> ChainHead:
        """The last entry from before a time; `seq` 0 without one."""
        ...

    def entries(self, after_seq: int) -> Iterator[Sequence[EntryRow]]:
        """The entries after a sequence, in order, some at a time."""
        ...

    def matching(self, wanted: EntryFilter) -> Iterator[Sequence[EntryRow]]:
        """The entries that a filter holds, in order, some at a time."""
        ...

    def checkpoints(self) -> Iterator[Checkpoint]:
        """The checkpoints, as the database has them; may be read beside the entries."""
        ...

    def doubtful(self, after_seq: int) -> Generator[DecisionRow]:
        """Decisions after a sequence, in order: all that do not plainly agree with entry, result and commit; others may
        come too.
        """
        ...

    def strays(self) -> Generator[Fault]:
        """Commits without an approving decision, and shared state that is not what was last committed."""
        ...


class AuditLog(Protocol):
    """Where audits are read, in the role `app`; all methods raise StoreUnavailable."""

    def view(self, tenant_id: str) -> AbstractContextManager[AuditView]:
        """The tenant's audit as it is now; stays so while it is read."""
        ...
