"""The audit: one chain of entries per tenant, each entry's hash covering the one before it."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from chimera.models.record import Instant, Record, TenantId, canonical_json


class AuditEvent(Record):
    """Something that happened, before it has its place in the chain."""

    kind: str  # plan.submitted, plan.planned, plan.completed, ..., task.decided, review.decided, tenant.added
    actor: str
    plan_id: UUID | None = None
    task_id: UUID | None = None
    facts: dict[str, Any]


class AuditEntry(Record):
    """An event in its tenant's chain."""

    tenant_id: TenantId
    seq: int
    at: Instant
    kind: str
    actor: str
    plan_id: UUID | None
    task_id: UUID | None
    body: str  # canonical JSON of all of the above and the facts
    hash: bytes


# What the first entry's hash is chained to, and the head of a chain without entries.
GENESIS = bytes(32)


def chained(previous: bytes, body: str) -> bytes:
    """An entry's hash: SHA-256(previous hash || UTF-8 of body), 32 bytes."""
    return hashlib.sha256(previous + body.encode()).digest()


def chain(
    tenant_id: str, head_seq: int, head_hash: bytes, at: datetime, events: Iterable[AuditEvent]
) -> list[AuditEntry]:
    """The entries that these events become after the chain's head.

    A body names its tenant and sequence, so that an entry fits one place only.
    """
    entries: list[AuditEntry] = []
    seq, previous = head_seq, head_hash
    stamp = at.isoformat()
    for event in events:
        seq += 1
        body = canonical_json(
            {
                "tenant_id": tenant_id,
                "seq": seq,
                "at": stamp,
                "kind": event.kind,
                "actor": event.actor,
                "plan_id": event.plan_id and event.plan_id.hex,
                "task_id": event.task_id and event.task_id.hex,
                "facts": event.facts,
            }
        )
        previous = chained(previous, body)
        entries.append(
            AuditEntry(
                tenant_id=tenant_id,
                seq=seq,
                at=at,
                kind=event.kind,
                actor=event.actor,
                plan_id=event.plan_id,
                task_id=event.task_id,
                body=body,
                hash=previous,
            )
        )
    return entries
