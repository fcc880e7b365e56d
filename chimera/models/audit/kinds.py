"""What an audit entry can be about."""

from enum import StrEnum


class AuditKind(StrEnum):
    """The kind of an audit entry: what happened. docs/audit.md says what each one's facts are."""

    TENANT_ADDED = "tenant.added"
    TENANT_CREDENTIALS = "tenant.credentials"  # it got logins of its own, or new passwords for them
    TENANT_CREDENTIALS_REVOKED = "tenant.credentials_revoked"
    POLICY_APPLIED = "policy.applied"

    PLAN_SUBMITTED = "plan.submitted"
    PLAN_PLANNED = "plan.planned"  # its planner has run: it has tasks
    PLAN_PAUSED = "plan.paused"
    PLAN_RESUMED = "plan.resumed"
    PLAN_CANCELLED_ASKED = "plan.cancelled_asked"  # somebody cancelled it: its open tasks are being closed
    PLAN_EXPIRED_ASKED = "plan.expired_asked"  # its deadline has passed: the same
    PLAN_IN_REVIEW = "plan.in_review"  # only people's decisions are missing
    PLAN_COMPLETED = "plan.completed"  # every task was approved, or denied by the gate or a person
    PLAN_COMPLETED_WITH_FAILURES = "plan.completed_with_failures"  # every task has ended, some without an answer
    PLAN_FAILED = "plan.failed"  # its planner failed
    PLAN_CANCELLED = "plan.cancelled"
    PLAN_EXPIRED = "plan.expired"
    PLAN_REPLAN_ASKED = "plan.replan_asked"  # its planner was asked about a task that the gate sent back
    PLAN_REPLAN_ANSWERED = "plan.replan_answered"
    PLAN_BUDGET_REACHED = "plan.budget_reached"  # a budget has nothing left for some of its tasks

    SESSION_OPENED = "session.opened"  # its first plan made it
    SESSION_PAUSED = "session.paused"  # plans that are submitted to it wait
    SESSION_RESUMED = "session.resumed"
    SESSION_STOPPED = "session.stopped"  # plans that are submitted to it are refused

    TASK_DECIDED = "task.decided"  # the Judge, a person, or the end of its plan decided on a task

    REVIEW_OPENED = "review.opened"  # a card waits for people
    REVIEW_CLAIMED = "review.claimed"  # it is one person's for a while
    REVIEW_RELEASED = "review.released"  # it is everybody's again
    REVIEW_EDITED = "review.edited"  # it shows a person's version of the result
    REVIEW_APPROVED = "review.approved"  # a person approved it, and others must, too
    REVIEW_DECIDED = "review.decided"  # a person decided it

    BUDGET_ALLOWED = "budget.allowed"  # a person allowed more than the policy does
    BUDGET_OVERRUN = "budget.overrun"  # attempts cost more than was set aside for them

    ACCESS_REFUSED = "access.refused"  # somebody asked for what the tenant does not have
    AUDIT_READ = "audit.read"  # the audit was listed or exported
    # Says which facts and results were erased, and so may be missing. Its own facts are never erased.
    AUDIT_ERASED = "audit.erased"
    AUDIT_REPAIRED = "audit.repaired"  # says which entries are wrong, and that the chain goes on behind them

    @classmethod
    def plan_is(cls, state: str) -> "AuditKind":
        """That a plan is in this state now."""
        return cls(f"plan.{state}")

    @classmethod
    def plan_is_to_be(cls, end: str) -> "AuditKind":
        """That a plan is to end so: its open tasks are being closed."""
        return cls(f"plan.{end}_asked")

    @classmethod
    def session_is(cls, state: str) -> "AuditKind":
        """That a session was put in this state."""
        return cls.SESSION_RESUMED if state == "open" else cls(f"session.{state}")


# What people do, and say their name with. Entries of these kinds have `by_user` and `by_login` among their facts: the
# user of the process with its machine, and its login in the database.
OF_PERSONS = frozenset(
    {
        AuditKind.TENANT_ADDED,
        AuditKind.TENANT_CREDENTIALS,
        AuditKind.TENANT_CREDENTIALS_REVOKED,
        AuditKind.POLICY_APPLIED,
        AuditKind.PLAN_PAUSED,
        AuditKind.PLAN_RESUMED,
        AuditKind.PLAN_CANCELLED_ASKED,
        AuditKind.SESSION_PAUSED,
        AuditKind.SESSION_RESUMED,
        AuditKind.SESSION_STOPPED,
        AuditKind.REVIEW_CLAIMED,
        AuditKind.REVIEW_RELEASED,
        AuditKind.REVIEW_EDITED,
        AuditKind.REVIEW_APPROVED,
        AuditKind.REVIEW_DECIDED,
        AuditKind.BUDGET_ALLOWED,
        AuditKind.AUDIT_READ,
        AuditKind.AUDIT_ERASED,
        AuditKind.AUDIT_REPAIRED,
    }
)
