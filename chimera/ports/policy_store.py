"""Policies, version by version."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from chimera.models.gate.gate import Staged
from chimera.models.gate.policy import Policy, PolicyInForce
from chimera.models.record import Instant, Record
from chimera.models.work.decision import Verdict


class PolicyVersion(Record):
    """A policy that was applied."""

    number: int
    name: str
    version: str  # as decisions name it
    applied_at: Instant
    applied_by: str


class JudgedResult(Record):
    """A result, and what the tenant's policy of the time said of it."""

    plan_id: UUID
    task_id: UUID
    attempt: int
    verdict: Verdict
    final: bool
    # None where it was erased.
    staged: Staged | None


class PolicyStore(Protocol):
    """Each method is one transaction; all raise StoreUnavailable. A tenant of None is the default of all."""

    def apply(self, tenant_id: str | None, policy: Policy, actor: str) -> PolicyInForce:
        """Puts a policy in force, and on the record of whom it changes something for, with what it asks less of.

        The one in force again is no new version. A default with a floor raises all tenants' policies to it.

        Raises:
            UnknownTenant: there is no such tenant.
            BelowFloor: it asks less than the floor of the default, or of its own where it is one; nothing was written.
        """
        ...

    def in_force(self, tenant_id: str) -> PolicyInForce:
        """The tenant's own policy, else the default that was applied, else the one built in; raised to the floor."""
        ...

    def default(self) -> PolicyInForce:
        """What applies to tenants without a policy of their own."""
        ...

    def versions(self, tenant_id: str | None) -> list[PolicyVersion]:
        """What was applied, newest first."""
        ...

    def judged(
        self, tenant_id: str, since: datetime | None, plan_id: UUID | None, after: tuple[UUID, int], limit: int
    ) -> list[JudgedResult]:
        """Results that a policy has ruled on, of one plan or of all, by task and attempt after those given."""
        ...
