"""An export of a tenant's audit: its records, of which the first says what it is, signed by the key that seals it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from chimera.models.audit.checkpoint import CLOCK_SKEW
from chimera.models.audit.entry_filter import EntryFilter
from chimera.models.audit.trust import Hex32, Hex64, KeyId, TrustedKey, key_id_of
from chimera.models.record import HexId, Instant, Record, TenantId, canonical_json


class HeaderSeal(Record):
    """Whose signature an export's header has."""

    key_id: KeyId
    signature: Hex64


class ExportHeader(Record):
    """Where an export begins and ends, and the keys of its checkpoints."""

    # 1: that of releases which did not sign it.
    chimera_audit_export: Literal[1, 2] = 2
    tenant_id: TenantId
    exported_at: Instant
    # The entry before the first one here, 0 and zeros where there is none; and the last.
    after_seq: int
    after_hash: Hex32
    head_seq: int
    head_hash: Hex32
    # How many entries there are, and the number of the checkpoint that seals the last.
    entries: int | None = None
    checkpoint: int | None = None
    # A verifier that believes these believes the export's author: the key that seals has to be known from elsewhere.
    keys: tuple[TrustedKey, ...]
    # What was selected; then the entries are no chain, there are no checkpoints, and nothing can be verified.
    filter: EntryFilter | None = None
    # None for a selection, and for exports of releases that did not sign them.
    seal: HeaderSeal | None = None

    @property
    def signed_text(self) -> str:
        """What is signed: canonical JSON of all that it says of the entries, and the id of the key."""
        said = self.model_dump(mode="json", exclude={"keys", "filter", "seal"})
        return canonical_json(said | {"key_id": self.seal and self.seal.key_id})


# Who asked longer ago than ten minutes for the seal of an export has given up.
ASKED_SECONDS = 600.0


class AskedExport(Record):
    """An export that somebody wants to have sealed."""

    tenant_id: TenantId
    export_id: UUID
    # The last entry before those that are wanted.
    after_seq: int


def sign_header(draft: ExportHeader, key: Ed25519PrivateKey, at: datetime) -> ExportHeader:
    """The draft, dated and signed."""
    key_id = key_id_of(key.public_key().public_bytes_raw().hex())
    unsigned = draft.model_copy(update={"exported_at": at, "seal": HeaderSeal(key_id=key_id, signature="0" * 128)})
    signature = key.sign(unsigned.signed_text.encode()).hex()
    return unsigned.model_copy(update={"seal": HeaderSeal(key_id=key_id, signature=signature)})


def header_fault(header: ExportHeader, known: Mapping[str, TrustedKey], now: datetime) -> str | None:  # noqa: PLR0911
    """What is wrong with a header by keys that are known from elsewhere than the export; None where nothing is."""
    if header.seal is None or header.entries is None or header.checkpoint is None:
        return (
            "its header is not signed, as in exports of earlier releases: it may leave out, or add, "
            "whatever its author liked. Export it anew"
        )
    key = known.get(header.seal.key_id)
    if key is None:
        return f"it is sealed by the key {header.seal.key_id}, which is not among those that were named to be believed"
    if not key.signed(header.signed_text, header.seal.signature):
        return f"its header is not what its key {key.key_id} has signed"
    if key.retired(max(now, header.exported_at)):
        return (
            f"its key {key.key_id} is retired: who kept it can write such an export at any time, and date it back. "
            "Export it anew"
        )
    if not key.created_at - CLOCK_SKEW <= header.exported_at <= now + CLOCK_SKEW:
        return f"it is dated {header.exported_at.isoformat()}, which is not a time at which its key can have sealed it"
    if header.head_seq - header.after_seq != header.entries or header.entries < 1:
        return "its header does not agree with itself"
    return None


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
