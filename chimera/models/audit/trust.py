"""The keys that sign checkpoints: which are believed, from when until when, and on whose word."""

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import Annotated

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import StringConstraints, model_validator

from chimera.models.record import Instant, Record, canonical_json, sha256

Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
KeyId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


def key_id_of(public_key: str) -> str:
    """The id of a public key (32 bytes in hex): the first 16 hex digits of its SHA-256: it fits one key only."""
    return sha256(public_key).hex()[:16]


class Announcement(Record):
    """The key before says, by its signature, that this key follows it and that it signs nothing itself from then on."""

    by: KeyId
    signature: Hex64


class TrustedKey(Record):
    """A public key whose checkpoints are believed, from when and until when."""

    key_id: KeyId
    public_key: Hex32
    created_at: Instant
    retired_at: Instant | None = None
    # None for a first key, and one that was made because the key before it was lost.
    announced: Announcement | None = None

    @model_validator(mode="after")
    def _is_named_by_its_key(self) -> "TrustedKey":
        if self.key_id != key_id_of(self.public_key):
            raise ValueError("key_id is not that of public_key")
        return self

    def retired(self, at: datetime) -> bool:
        """Whether it may no longer sign at this time."""
        return self.retired_at is not None and at >= self.retired_at

    def signed(self, text: str, signature: str) -> bool:
        """Whether the signature (64 bytes in hex) under the text is this key's."""
        try:
            self._key.verify(bytes.fromhex(signature), text.encode())
        except InvalidSignature:
            return False
        return True

    @cached_property
    def _key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))


def new_key(private: Ed25519PrivateKey, at: datetime, before: Ed25519PrivateKey | None = None) -> TrustedKey:
    """The public side of a new key, announced by the key before it where that is at hand."""
    public_key = _public(private)
    made = TrustedKey(key_id=key_id_of(public_key), public_key=public_key, created_at=at)
    if before is None:
        return made
    by = key_id_of(_public(before))
    signature = before.sign(announcement(made, by).encode()).hex()
    return made.model_copy(update={"announced": Announcement(by=by, signature=signature)})


def announcement(key: TrustedKey, by: str) -> str:
    """What the key before signs, canonical JSON."""
    return canonical_json(
        {
            "announces": key.key_id,
            "public_key": key.public_key,
            "at": key.model_dump(mode="json")["created_at"],
            "retires": by,
        }
    )


def roots(keys: Iterable[TrustedKey]) -> tuple[str, ...]:
    """The ids of the keys that nobody announced: who believes these may believe all."""
    return tuple(key.key_id for key in keys if key.announced is None)


def trust_fault(keys: Iterable[TrustedKey]) -> str | None:
    """What is wrong with the keys as a whole; None where nothing is."""
    known: dict[str, TrustedKey] = {}
    for key in keys:
        if key.announced is not None:
            before = known.get(key.announced.by)
            if before is None or not before.signed(announcement(key, before.key_id), key.announced.signature):
                return f"key {key.key_id} says that the key {key.announced.by} announced it, and that did not"
            if before.retired_at is None or before.retired_at > key.created_at:
                return f"key {before.key_id} was retired by its own word at {key.created_at.isoformat()}, and not here"
        known[key.key_id] = key
    return None


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()
