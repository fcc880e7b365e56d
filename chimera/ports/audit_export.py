"""An export of a tenant's audit, as who verifies reads it."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from chimera.models.audit.checkpoint import Checkpoint
from chimera.models.audit.export import ExportHeader
from chimera.models.audit.proof import EntryRow


class AuditExport(Protocol):
    """All methods raise InvalidInput where it is no export; the message names the line."""

    name: str

    def header(self) -> ExportHeader:
        """What the export says of itself."""
        ...

    def entries(self) -> Iterator[Sequence[EntryRow]]:
        """The entries, in order, some at a time."""
        ...

    def checkpoints(self) -> Iterator[Checkpoint]:
        """The checkpoints, in order; may be read beside the entries."""
        ...
