"""Checkpoints: signed statements, kept outside of the database, of how far a tenant's audit was, and its hash."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from chimera.models.audit.trust import Hex32, Hex64, KeyId, TrustedKey, key_id_of
from chimera.models.record import Instant, Record, TenantId, canonical_json, sha256

# What the first checkpoint of a tenant names as the one before it.
NO_CHECKPOINT = "0" * 64
# The clocks of the machines that sign, and of the database, may differ by 5 minutes.
CLOCK_SKEW = timedelta(minutes=5)
# For 15 minutes after a key was retired, the last checkpoint may still be signed by it: the next one is on its way.
ROTATION_GRACE = timedelta(minutes=15)


class UnsignedCheckpoint(Record):
    """A checkpoint before a key has signed it."""

    # Names the deployment, so that a checkpoint of another one with the same tenants is told apart.
    origin: str = Field(min_length=1)
    tenant_id: TenantId
    # 1, 2, 3 ... for each tenant.
    number: int = Field(ge=1)
    # The last entry of the audit that it covers, and that entry's hash: by the chain it covers all before.
    seq: int = Field(ge=1)
    hash: Hex32
    # Of the checkpoint before this one, signature included: the holder of a key cannot put one between two others.
    previous: Hex32


class Checkpoint(UnsignedCheckpoint):
    """A signed statement of a tenant's audit."""

    at: Instant
    key_id: KeyId
    signature: Hex64

    @cached_property
    def signed_text(self) -> str:
        """What is signed: canonical JSON of all but the signature."""
        return canonical_json(self.model_dump(mode="json", exclude={"signature"}))

    @cached_property
    def text(self) -> str:
        """The whole checkpoint as canonical JSON, as places keep it."""
        return canonical_json(self.model_dump(mode="json"))

    @cached_property
    def digest(self) -> str:
        """What the next checkpoint names as `previous`: SHA-256 of `text`, in hex."""
        return sha256(self.text).hex()


def parse_checkpoint(text: str) -> Checkpoint:
    """A checkpoint from its JSON text.

    Raises:
        pydantic.ValidationError: it is none.
    """
    return Checkpoint.model_validate_json(text)


def sign(draft: UnsignedCheckpoint, key: Ed25519PrivateKey, at: datetime) -> Checkpoint:
    """The draft, signed."""
    public_key = key.public_key().public_bytes_raw().hex()
    unsigned = Checkpoint(**draft.model_dump(), at=at, key_id=key_id_of(public_key), signature="0" * 128)
    signature = key.sign(unsigned.signed_text.encode()).hex()
    return Checkpoint(**unsigned.model_dump(exclude={"signature"}), signature=signature)


class CheckpointChain:
    """One tenant's checkpoints, looked at one after the other, from any of them on."""

    def __init__(self, tenant_id: str, keys: Iterable[TrustedKey]) -> None:
        self._tenant_id = tenant_id
        self._keys = {key.key_id: key for key in keys}
        # The last that was in order.
        self.last: Checkpoint | None = None

    def fault(self, checkpoint: Checkpoint) -> str | None:
        """What is wrong with the next checkpoint; None where nothing is, and then it is the last."""
        fault = self._own_fault(checkpoint)
        if fault is None and self.last is not None:
            fault = self._following_fault(self.last, checkpoint)
        if fault is None:
            self.last = checkpoint
        return fault

    def entry_fault(self, checkpoint: Checkpoint, entry_hash: bytes, entry_at: datetime) -> str | None:
        """What is wrong between a checkpoint that is in order and the entry that it names."""
        name = _name(checkpoint)
        if entry_hash.hex() != checkpoint.hash:
            return f"{name} says that entry {checkpoint.seq} has the hash {checkpoint.hash[:16]}..., and it has another"
        if entry_at > checkpoint.at + CLOCK_SKEW:
            return f"{name} was signed before entry {checkpoint.seq} was written"
        key = self._keys[checkpoint.key_id]
        if key.retired(entry_at - CLOCK_SKEW):
            return f"{name} covers entries that were written after its key {key.key_id} was retired"
        return None

    def end_fault(self, now: datetime) -> str | None:
        """What is wrong with the last checkpoint as such: that its key was retired and no newer one signed since.

        Whoever kept a retired key could have written all of them: the next key's signature, above them in the chain
        of checkpoints, is what vouches for them.
        """
        if self.last is None:
            return None
        key = self._keys[self.last.key_id]
        if key.retired_at is None or not key.retired(now - ROTATION_GRACE):
            return None
        return (
            f"{_name(self.last)} is the last, and its key {key.key_id} was retired at {key.retired_at.isoformat()}: "
            "it proves nothing until a checkpoint of the present key follows it"
        )

    def _own_fault(self, checkpoint: Checkpoint) -> str | None:  # noqa: PLR0911  a list of what may be wrong
        name = _name(checkpoint)
        key = self._keys.get(checkpoint.key_id)
        if checkpoint.tenant_id != self._tenant_id:
            return f"{name} is tenant {checkpoint.tenant_id!r}'s"
        if key is None:
            return f"{name} is signed with the key {checkpoint.key_id}, which is not among the trusted keys"
        if not key.signed(checkpoint.signed_text, checkpoint.signature):
            return f"{name} has a signature that is not that of its key {key.key_id}"
        if key.retired(checkpoint.at):
            return f"{name} is signed with the key {key.key_id} after that was retired"
        if checkpoint.at < key.created_at - CLOCK_SKEW:
            return f"{name} is dated before its key {key.key_id} was made"
        if (checkpoint.number == 1) != (checkpoint.previous == NO_CHECKPOINT):
            return f"{name} does not name the checkpoint before it"
        return None

    def _following_fault(self, last: Checkpoint, checkpoint: Checkpoint) -> str | None:
        name = _name(checkpoint)
        if checkpoint.number != last.number + 1 or checkpoint.previous != last.digest:
            return f"{name} does not follow {_name(last)}: one is missing between them, or was replaced"
        if checkpoint.origin != last.origin:
            return f"{name} is of the deployment {checkpoint.origin!r}, the one before it of {last.origin!r}"
        if checkpoint.seq < last.seq:
            return f"{name} covers less than the one before it"
        if checkpoint.at < last.at - CLOCK_SKEW:
            return f"{name} is dated before the one before it"
        if self._keys[checkpoint.key_id].created_at < self._keys[last.key_id].created_at:
            return f"{name} is signed with the key {checkpoint.key_id}, which a newer one had replaced by then"
        return None


def _name(checkpoint: Checkpoint) -> str:
    return f"checkpoint {checkpoint.number}"
