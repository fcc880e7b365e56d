"""An export of a tenant's audit: its records, of which the first says what it is."""

from typing import Annotated, Literal

from pydantic import Field

from chimera.models.audit.entry_filter import EntryFilter
from chimera.models.audit.trust import Hex32, TrustedKey
from chimera.models.record import HexId, Instant, Record, TenantId


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
    # A verifier that takes the keys from here trusts the export's author: compare the first key with a note of it.
    keys: tuple[TrustedKey, ...]
    # What was selected; then the entries are no chain, there are no checkpoints, and nothing can be verified.
    filter: EntryFilter | None = None


class HeaderRecord(Record):
    """The first record."""

    record: Literal["header"] = "header"
    payload: str  # JSON: an ExportHeader


class EntryRecord(Record):
    """An audit entry."""

    record: Literal["entry"] = "entry"
    seq: int
    at: Instant
    kind: str
    actor: str
    plan_id: HexId | None = None
    task_id: HexId | None = None
    payload: str | None = None
    body: str
    hash: Hex32


class CheckpointRecord(Record):
    """A checkpoint, after the entry that it seals."""

    record: Literal["checkpoint"] = "checkpoint"
    seq: int
    payload: str  # JSON: a Checkpoint


ExportRecord = Annotated[HeaderRecord | EntryRecord | CheckpointRecord, Field(discriminator="record")]
