"""A review card: a result that a person must decide on."""

from enum import StrEnum
from uuid import UUID

from chimera.models.decision import Reason
from chimera.models.record import Instant, Record, TenantId


class CardStatus(StrEnum):
    """What became of a card."""

    PENDING = "pending"
    APPROVED = "approved"
    EDITED = "edited"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class ReviewCard(Record):
    """A result shown to a person, with the rules that fired."""

    tenant_id: TenantId
    card_id: UUID
    plan_id: UUID
    task_id: UUID
    attempt: int
    skill: str
    input: str  # JSON text of the task's input
    outcome: str  # JSON text of the staged outcome
    result_sha256: bytes
    reasons: tuple[Reason, ...]
    confidence: float | None
    policy_version: str
    status: CardStatus
    # Rises with every change: a decision names the version that was seen.
    version: int
    claimed_by: str | None = None
    claim_expires_at: Instant | None = None
    due_at: Instant | None = None
    decided_by: str | None = None
    decided_at: Instant | None = None
    note: str | None = None
    opened_at: Instant
