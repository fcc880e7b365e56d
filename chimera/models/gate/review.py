"""A review card: a result that a person must decide on."""

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from chimera.models.record import Instant, Record, TenantId, is_named
from chimera.models.work.decision import Reason


class CardStatus(StrEnum):
    """What became of a card."""

    PENDING = "pending"
    APPROVED = "approved"
    EDITED = "edited"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class CardFilter(Record):
    """Cards that are all of what is given here, besides plan and status."""

    # Decided from this moment on and before that one; of a card that waits, opened.
    since: Instant | None = None
    until: Instant | None = None
    # Who decided it, approved or edited what it shows, or has claimed it.
    actor: str | None = None
    task_id: UUID | None = None
    # A rule among the reasons: `keyword.password`, or `keyword` for all that begin with `keyword.`.
    rule: str | None = None

    def holds(self, card: "ReviewCard") -> bool:
        """Whether the card is one of them."""
        at = card.decided_at or card.opened_at
        people = {None, card.decided_by, card.edited_by, card.claimed_by, *card.approvals}
        return (
            (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
            and self.actor in people
            and self.task_id in {None, card.task_id}
            and (self.rule is None or any(is_named(reason.rule, self.rule) for reason in card.reasons))
        )


EVERY_CARD = CardFilter()


class Revision(Record):
    """A version of a card's result."""

    number: int = Field(ge=0)  # 0 is what the agent staged
    outcome: str | None  # JSON text; None where it was erased
    sha256: bytes
    reasons: tuple[Reason, ...]
    policy_version: str
    edited_by: str | None = None
    edited_at: Instant | None = None
    note: str | None = None


class ReviewCard(Record):
    """A result shown to a person, with the rules that fired."""

    tenant_id: TenantId
    card_id: UUID
    plan_id: UUID
    task_id: UUID
    attempt: int
    skill: str
    input: str | None  # JSON text of the task's input; None where it was erased
    # JSON text of the outcome that is shown: the agent's, or a person's version of it; None where it was erased.
    outcome: str | None
    # The hash of that text.
    result_sha256: bytes
    # 0 is what the agent staged, 1 the first version of a person's.
    revision: int = Field(default=0, ge=0)
    edited_by: str | None = None
    # What the policy found in what is shown.
    reasons: tuple[Reason, ...]
    confidence: float | None
    policy_version: str
    status: CardStatus
    # Rises with what is shown and with the status: a decision names the version that was seen.
    version: int
    # How many different people must approve what is shown, and who has.
    approvals_needed: int = Field(default=1, ge=1, le=9)
    approvals: tuple[str, ...] = ()
    # Whose the card is for now, and until when; none where nobody has it.
    claimed_by: str | None = None
    claim_expires_at: Instant | None = None
    due_at: Instant | None = None
    decided_by: str | None = None
    decided_at: Instant | None = None
    note: str | None = None
    opened_at: Instant
    # When what it shows, and its note, were erased.
    erased_at: Instant | None = None
    # Why, where that closed the card while it waited: then `decided_by` is who erased. None where a person had decided.
    erasure_reason: str | None = None

    def is_what_was_seen(self, version: int, sha_prefix: str) -> bool:
        """Whether it is at this version, and shows what has a hash that begins so (lower-case hex)."""
        return self.version == version and self.result_sha256.hex().startswith(sha_prefix)

    def showing(self, revision: Revision) -> "ReviewCard":
        """The card with another version of its result shown: to be read, not to be decided on."""
        shown = {"outcome": revision.outcome, "result_sha256": revision.sha256, "revision": revision.number}
        found = {"reasons": revision.reasons, "policy_version": revision.policy_version}
        return self.model_copy(update=shown | found | {"edited_by": revision.edited_by})
