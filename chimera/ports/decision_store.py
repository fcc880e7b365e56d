"""Decisions and what they change: the store in the role `judge`, which decides and commits."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from chimera.models.gate.deciding import Decided, WaveDecision
from chimera.models.gate.gate import Staged
from chimera.models.gate.policy import PolicyInForce
from chimera.models.record import Record
from chimera.models.work.decision import Reason
from chimera.models.work.lease import LostLease
from chimera.models.work.wave import WaveRef


class GivenUpTask(Record):
    """A task that its planner gave up, or could not say anything about."""

    task_id: UUID
    attempt: int
    agent_id: UUID | None  # who ran it
    # Why it had been sent back.
    reasons: tuple[Reason, ...] = ()
    # What went wrong in the planner; None where it gave up.
    failure: str | None = None


class RefusedTask(Record):
    """A queued task that does not fit under a budget's limit."""

    task_id: UUID
    attempt: int  # the latest; 0 where it never ran
    agent_id: UUID | None  # who ran it, where anybody did and staged a result
    limit: str  # budget.day, budget.plan or budget.task


class OpenWave(Record):
    """What of a wave waits for the Judge."""

    staged: tuple[Staged, ...] = ()
    lost: tuple[LostLease, ...] = ()
    refused: tuple[RefusedTask, ...] = ()
    # What applies to the tenant now.
    policy: PolicyInForce
    given_up: tuple[GivenUpTask, ...] = ()
    # Whether the planner is asked about what the gate sends back.
    has_replan: bool = False
    # Of all that is staged, inputs and outcomes; and whether that is more than was asked for.
    bytes: int = 0
    is_left: bool = False
    # Of the plan's request; None where there is no such plan.
    trace_id: str | None = None


class PolicyChanged(Exception):
    """Another policy was applied after the decisions were made: nothing was written."""


class DecisionStore(Protocol):
    """Each method is one transaction in the scope of one tenant; all raise StoreUnavailable."""

    def open_wave(self, wave: WaveRef, most_bytes: int | None = None) -> OpenWave:
        """What the wave has staged, and which of its tasks end without a result.

        Of results the first, and more up to `most_bytes` of inputs and outcomes; None: all.
        Those whose last lease ran out, that their planner gave up, or that a budget has nothing left for.
        """
        ...

    def reserve_wave(self, wave: WaveRef, token: UUID, seconds: float) -> bool:
        """Reserves the wave for the token, for `seconds` from now; False where another token has it."""
        ...

    def decide_wave(self, wave: WaveRef, decisions: Sequence[WaveDecision]) -> Decided:
        """Writes audit entries, decisions, commits, cards, shared state and what follows for wave and plan.

        All or nothing. A task that is no longer where the decision found it is left out, so that a
        Judge that runs twice changes nothing; nothing is decided on a plan that was stopped. What goes
        back to a planner with a replan hook waits for that one. Where shared state has changed, the second ruling of
        the decision is written. What was set aside for the attempts becomes what is known of their cost. Returns what
        was written, each decision with the ruling that it was written with.

        Raises:
            PolicyChanged: the decisions name another policy than the one in force.
        """
        ...

    def open_waves(self, tenant_id: str, plan_id: UUID) -> list[WaveRef]:
        """The waves of a stopping plan that still have an open task or card."""
        ...

    def stop_wave(self, wave: WaveRef) -> Decided:
        """Ends every open task of a wave whose plan stops, its cards with it."""
        ...
