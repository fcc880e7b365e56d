"""Every error that Chimera raises on purpose, in one tree.

The docstring of a class is its default message, data about the case are attributes, and `exit_code` is
what the command line ends with. Errors of drivers stop at their adapter and arrive here as the cause.
"""


class ChimeraError(Exception):
    """Something in Chimera failed."""

    exit_code = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])


class InvalidInput(ChimeraError):
    """The input is not valid."""

    exit_code = 2


class AmbiguousId(InvalidInput):
    """A short id means several."""


class SettingsMissing(ChimeraError):
    """A setting that this needs has no value."""

    exit_code = 2


class IsolationImpossible(SettingsMissing):
    """This machine cannot keep what the level of isolation promises."""


class DeadlinePassed(InvalidInput):
    """The deadline has passed."""


class UnknownSkill(InvalidInput):
    """No such skill is registered."""


class UnknownPlanner(InvalidInput):
    """No such planner is registered."""


class NoCurrentTask(ChimeraError):
    """No task runs here."""


class NotFound(ChimeraError):
    """There is no such thing for this tenant."""

    exit_code = 3


class UnknownTenant(NotFound):
    """There is no such tenant."""

    @classmethod
    def named(cls, tenant_id: str) -> "UnknownTenant":
        """The error that names it, and how it is added."""
        return cls(f"there is no tenant {tenant_id!r}: add it with `chimera tenant add {tenant_id}`")


class PlanNotFound(NotFound):
    """The tenant has no such plan."""


class TaskNotFound(NotFound):
    """The tenant has no such task."""


class CardNotFound(NotFound):
    """The tenant has no such review card."""


class SessionNotFound(NotFound):
    """The tenant has no such session."""


class StateNotFound(NotFound):
    """The tenant has no such entry of shared state."""


class NoCardWaits(NotFound):
    """No review card waits for this person."""


class AgentNotFound(NotFound):
    """There is no such agent."""


class Conflict(ChimeraError):
    """The request contradicts what is already recorded."""

    exit_code = 5


class SessionStopped(Conflict):
    """The session was stopped, and takes no plan any more."""


class IdempotencyConflict(Conflict):
    """This idempotency key was used with another request."""


class CardAlreadyDecided(Conflict):
    """The review card has been decided already."""


class CardChanged(Conflict):
    """The review card has changed since it was shown."""


class CardClaimed(Conflict):
    """Somebody else has claimed the review card."""


class EditRefused(InvalidInput):
    """The policy in force denies the edited output."""


class BelowFloor(InvalidInput):
    """The policy asks less than the operator's does of every tenant's."""


class PlanAlreadyEnded(Conflict):
    """The plan has ended already."""


class NothingToRetry(Conflict):
    """Nothing of the plan is to be tried again."""


class PlanFailed(ChimeraError):
    """The plan ended without completing, or tasks of it failed."""

    exit_code = 6


class WaitTimeout(ChimeraError, TimeoutError):
    """The plan did not end within the time given."""

    exit_code = 124


class StoreUnavailable(ChimeraError):
    """PostgreSQL does not answer."""


class LoginRefused(StoreUnavailable):
    """PostgreSQL answers, and refuses the login."""


class StoreRefused(ChimeraError):
    """PostgreSQL refused a statement."""


class QueueUnavailable(ChimeraError):
    """The broker does not answer."""


class LlmFailed(ChimeraError):
    """The model did not answer."""


class AuditUnavailable(ChimeraError):
    """The audit cannot be sealed by a checkpoint, so nothing may be decided."""


class AuditContradicted(AuditUnavailable):
    """The database's audit is not the one that was sealed."""


class CheckpointConflict(Conflict):
    """The checkpoint does not follow the last one that is kept."""


class EmbeddedServerError(ChimeraError):
    """An embedded server cannot be started."""


class StackAlreadyRunning(Conflict):
    """Another Chimera runs on this data folder."""
