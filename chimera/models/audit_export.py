"""An export of a tenant's audit: what its first record says, before the entries and the checkpoints among them."""

from typing import Literal

from chimera.models.record import Instant, Record, TenantId
from chimera.models.trust import Hex32, TrustedKey


class ExportHeader(Record):
    """Where an export begins and ends, and the keys of its checkpoints."""

    chimera_audit_export: Literal[1] = 1
    tenant_id: TenantId
    exported_at: Instant
    # The entry before the first one here, 0 and zeros where there is none; and the last.
    after_seq: int
    after_hash: Hex32
    head_seq: int
    head_hash: Hex32
    # Who reads them here believes who wrote the export: compare the first with what was noted when it was made.
    keys: tuple[TrustedKey, ...]
