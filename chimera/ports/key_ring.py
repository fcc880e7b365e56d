"""The keys of checkpoints: the private one that signs, and the public ones that are believed."""

from typing import Protocol

from chimera.models.audit.checkpoint import Checkpoint, UnsignedCheckpoint
from chimera.models.audit.export import ExportHeader
from chimera.models.audit.trust import TrustedKey


class KeyRing(Protocol):
    """One private key at a time; the public keys of all times."""

    def trusted(self) -> tuple[TrustedKey, ...]:
        """The trusted keys, oldest first.

        Raises:
            AuditUnavailable: they cannot be read.
        """
        ...

    def sign(self, draft: UnsignedCheckpoint) -> Checkpoint:
        """The draft with time, key and signature.

        Raises:
            AuditUnavailable: the private key is lost, unreadable, retired or not trusted; the message says which,
                and what to do.
        """
        ...

    def sign_header(self, draft: ExportHeader) -> ExportHeader:
        """The draft of an export's header with time, all public keys and signature.

        Raises:
            AuditUnavailable: as `sign`.
        """
        ...
