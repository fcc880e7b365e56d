"""A place outside of the database that keeps checkpoints, out of reach of everybody who can write to the database."""

from collections.abc import Iterator
from typing import Protocol

from chimera.models.audit.checkpoint import Checkpoint


class CheckpointPlace(Protocol):
    """Keeps each tenant's checkpoints in order."""

    # Where it is, as messages name it; without secrets.
    name: str
    # Whether it can be asked for all that it keeps. Of one that cannot, `last` may be None, and `read` has no more.
    readable: bool

    def append(self, checkpoint: Checkpoint) -> None:
        """Keeps one more; when it returns, the checkpoint outlives a loss of power. The last one again changes nothing.

        Raises:
            AuditUnavailable: it cannot be written.
            CheckpointConflict: it does not follow the last that the place keeps. A place that keeps none takes any.
        """
        ...

    def last(self, tenant_id: str) -> Checkpoint | None:
        """The tenant's latest checkpoint.

        Raises:
            AuditUnavailable: the place cannot be read, or holds what is no checkpoint.
        """
        ...

    def read(self, tenant_id: str) -> Iterator[Checkpoint]:
        """All of the tenant's, oldest first; raises as `last`."""
        ...

    def tenants(self) -> set[str]:
        """The tenants that it keeps checkpoints of; raises as `last`."""
        ...

    def check(self) -> None:
        """Returns where a checkpoint could be appended now.

        Raises:
            AuditUnavailable: none could; the message says why, and what to do.
        """
        ...
