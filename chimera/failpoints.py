"""Places between two durable steps where a test may end, break or stop a process. No-ops unless armed.

Nothing of Chimera arms them: chimera/chaos does, in processes that it starts itself.
"""

from collections.abc import Callable
from enum import StrEnum


class Failpoint(StrEnum):
    """Each name says after which step it lies, or before the first."""

    # Submitting: row and audit entry, then the planner's message, then the note that it was sent.
    SUBMIT_STORED = "submit.stored"
    SUBMIT_PUBLISHED = "submit.published"
    # Planning: the lease, the planner, tasks and waves in one transaction, the first waves.
    PLANNER_CLAIMED = "planner.claimed"
    PLANNER_RAN = "planner.ran"
    PLANNER_WAVES_WRITTEN = "planner.waves_written"
    PLANNER_TASKS_WRITTEN = "planner.tasks_written"
    PLANNER_AUDITED = "planner.audited"
    PLANNER_SAVED = "planner.saved"
    # Dispatching: waves taken, each one's chord sent, the note that they were.
    DISPATCH_TAKEN = "dispatch.taken"
    DISPATCH_PUBLISHED_ONE = "dispatch.published_one"
    DISPATCH_PUBLISHED = "dispatch.published"
    DISPATCH_MARKED = "dispatch.marked"
    # Working: the claim, each task, staging, and what Celery does after it.
    WORK_RECEIVED = "work.received"
    WORK_CLAIMED = "work.claimed"
    WORK_RAN_ONE = "work.ran_one"
    WORK_RAN = "work.ran"
    WORK_STAGING = "work.staging"
    WORK_STAGED = "work.staged"
    CHORD_COUNTING = "chord.counting"
    CHORD_CLAIMED = "chord.claimed"
    CHORD_COUNTED = "chord.counted"
    # Judging: what is read, each write of the one transaction, its commit, the next waves.
    JUDGE_RECEIVED = "judge.received"
    JUDGE_GATED = "judge.gated"
    JUDGE_LOCKED = "judge.locked"
    JUDGE_STATE_WRITTEN = "judge.state_written"
    JUDGE_TASKS_MOVED = "judge.tasks_moved"
    JUDGE_CARDS_OPENED = "judge.cards_opened"
    JUDGE_COUNTED = "judge.counted"
    JUDGE_COMMITS_WRITTEN = "judge.commits_written"
    JUDGE_DECIDED = "judge.decided"
    JUDGE_DISPATCHED = "judge.dispatched"
    # Asking a planner about what was sent back: the lease, the hook, its answer in one transaction.
    REPLAN_BEGUN = "replan.begun"
    REPLAN_RAN = "replan.ran"
    REPLAN_SAVING = "replan.saving"
    REPLAN_SAVED = "replan.saved"
    # A person's decision.
    REVIEW_LOCKED = "review.locked"
    REVIEW_DECIDED = "review.decided"
    # Stopping a plan: the stop is on record, then wave after wave is closed.
    STOP_ASKED = "stop.asked"
    STOP_WAVE_CLOSING = "stop.wave_closing"
    STOP_WAVE_CLOSED = "stop.wave_closed"
    # The sweep: what it finds, then what it sends.
    SWEEP_FORGOTTEN = "sweep.forgotten"
    SWEEP_WAVE_TAKEN = "sweep.wave_taken"
    SWEEP_LEASES_TAKEN_BACK = "sweep.leases_taken_back"
    SWEEP_WAVE_LOOKED_AT = "sweep.wave_looked_at"
    SWEEP_JUDGED = "sweep.judged"
    SWEEP_PLAN_PUBLISHED = "sweep.plan_published"


Reached = Callable[[Failpoint, str], None]

_reached: Reached | None = None


def failpoint(place: Failpoint, tenant_id: str) -> None:
    """Says that work for this tenant has come to this place."""
    if _reached is not None:
        _reached(place, tenant_id)


def arm(reached: Reached | None) -> None:
    """Has every failpoint of this process call `reached`; None disarms them."""
    global _reached  # noqa: PLW0603  one switch per process, off for good outside of tests
    _reached = reached
