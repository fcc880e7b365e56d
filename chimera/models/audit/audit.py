"""The audit: one chain of entries per tenant, each entry's hash covering the one before it.

What happened (`facts`) stands beside the hashed text, which holds its SHA-256: so a person's data can be erased
from an entry, and the entry still proves what it was. Entries of the first releases have the facts in the hashed text
itself; which of the two an entry is, its hashed text says.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from chimera.models.audit.kinds import AuditKind
from chimera.models.record import Instant, Record, TenantId, canonical_json, sha256


class AuditEvent(Record):
    """Something that happened, before it has its place in the chain."""

    kind: AuditKind
    actor: str
    plan_id: UUID | None = None
    task_id: UUID | None = None
    facts: dict[str, Any]


class AuditEntry(Record):
    """An event in its tenant's chain."""

    tenant_id: TenantId
    seq: int
    at: Instant
    kind: str  # an AuditKind of this release, or one of another
    actor: str
    plan_id: UUID | None
    task_id: UUID | None
    body: str  # the hashed text: canonical JSON of all of the above and the payload's SHA-256
    payload: str | None  # the facts, canonical JSON; None where they stand in the body, or were erased
    hash: bytes

    @property
    def facts(self) -> dict[str, Any] | None:
        """What happened; None where that was erased."""
        found: dict[str, Any] | None = json.loads(self.payload) if self.payload else json.loads(self.body).get("facts")
        return found


# What the first entry's hash is chained to, and the head of a chain without entries.
GENESIS = bytes(32)


class ChainHead(Record):
    """Where a tenant's chain ends; `seq` 0 where it has no entry."""

    seq: int
    hash: bytes


NO_ENTRIES = ChainHead(seq=0, hash=GENESIS)


def chained(previous: bytes, body: str) -> bytes:
    """An entry's hash: SHA-256(previous hash || UTF-8 of body), 32 bytes."""
    return hashlib.sha256(previous + body.encode()).digest()


def body_of(event: AuditEvent, tenant_id: str, seq: int, at: datetime, payload: str) -> str:
    """The text that an entry's hash is taken of. It names its tenant and sequence, so that it fits one place only."""
    return canonical_json(
        {
            "tenant_id": tenant_id,
            "seq": seq,
            "at": at.astimezone(UTC).isoformat(),
            "kind": event.kind.value,
            "actor": event.actor,
            "plan_id": event.plan_id and event.plan_id.hex,
            "task_id": event.task_id and event.task_id.hex,
            "payload_sha256": sha256(payload).hex(),
        }
    )


def chain(
    tenant_id: str, head_seq: int, head_hash: bytes, at: datetime, events: Iterable[AuditEvent]
) -> list[AuditEntry]:
    """The entries that these events become after the chain's head."""
    entries: list[AuditEntry] = []
    seq, previous = head_seq, head_hash
    for event in events:
        seq += 1
        payload = canonical_json(event.facts)
        body = body_of(event, tenant_id, seq, at, payload)
        previous = chained(previous, body)
        entries.append(
            AuditEntry(
                tenant_id=tenant_id,
                seq=seq,
                at=at,
                kind=event.kind.value,
                actor=event.actor,
                plan_id=event.plan_id,
                task_id=event.task_id,
                body=body,
                payload=payload,
                hash=previous,
            )
        )
    return entries


class Erasures:
    """What may be missing, because entries of the chain say that it was erased."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        self._results: set[tuple[str, int]] = set()

    def learn(self, facts: Mapping[str, Any]) -> None:
        """Takes up the facts of one `audit.erased`.

        `entries` are ranges of sequences, both ends included, whose payload may be null; `results` are tasks and
        attempts whose outcome may be.
        """
        self._ranges += [(int(first), int(last)) for first, last in facts.get("entries", ())]
        self._results |= {(str(task_id), int(attempt)) for task_id, attempt in facts.get("results", ())}

    def names_entry(self, seq: int) -> bool:
        """Whether this entry's payload was erased."""
        return any(first <= seq <= last for first, last in self._ranges)

    def names_result(self, task_id: UUID, attempt: int) -> bool:
        """Whether this result's outcome was erased."""
        return (task_id.hex, attempt) in self._results
