"""One failpoint with one thing that happens there: a tenant of its own, and a plan that gets there."""

from dataclasses import dataclass

from chimera import Chimera, PlanHandle
from chimera.failpoints import Failpoint

ACTIONS = ("kill", "error", "pause")
# How long a paused process stands still: longer than a quick wave is left alone, shorter than a lease.
PAUSE_SECONDS = 4.0

# Where the client comes by, and not a worker.
OF_CLIENT = frozenset(
    {
        Failpoint.SUBMIT_STORED,
        Failpoint.SUBMIT_PUBLISHED,
        Failpoint.REVIEW_LOCKED,
        Failpoint.REVIEW_DECIDED,
        Failpoint.STOP_ASKED,
    }
)


@dataclass(frozen=True)
class Case:
    place: Failpoint
    action: str

    @classmethod
    def of(cls, tenant: str) -> "Case":
        name, _, action = tenant.rpartition("-")
        return next(cls(place, action) for place in Failpoint if place.replace(".", "-") == name)

    @property
    def tenant(self) -> str:
        return f"{self.place.replace('.', '-')}-{self.action}"

    @property
    def file(self) -> str:
        """What arms it, in the folder of failpoints; the sweep comes to one of them before it speaks for a tenant."""
        return f"{self.place}@{'' if self.place is Failpoint.SWEEP_FORGOTTEN else self.tenant}"

    @property
    def what_happens(self) -> str:
        return f"pause {PAUSE_SECONDS}" if self.action == "pause" else self.action

    @property
    def is_cancelled(self) -> bool:
        return self.place.startswith("stop.")

    @property
    def is_reviewed(self) -> bool:
        return self.place.startswith("review.")

    @property
    def is_sent_back(self) -> bool:
        """Whether a result has to be sent back to the planner for anybody to get there."""
        return self.place.startswith("replan.")

    @property
    def is_budgeted(self) -> bool:
        """Whether something is set aside for each task: so it is in every other case, at each place in some."""
        return ([*Failpoint].index(self.place) + ACTIONS.index(self.action)) % 2 == 0

    @property
    def is_lost_first(self) -> bool:
        """Whether the planner's message has to be lost for anybody to get there."""
        return self.place is Failpoint.SWEEP_PLAN_PUBLISHED

    @property
    def may_run_twice(self) -> bool:
        """Whether a process ends there with results that it has not stored."""
        return self.place in {Failpoint.WORK_RAN_ONE, Failpoint.WORK_RAN, Failpoint.WORK_STAGING}


def submit(chimera: Chimera, case: Case) -> PlanHandle:
    """The case's plan; however often it is submitted, one."""
    waits = case.place.startswith("sweep.") or case.is_cancelled
    inputs = {
        "tenant": case.tenant,
        "wait_for": f"{case.file}.hit" if waits else None,
        "doubtful": case.is_reviewed,
        "guessed": case.is_sent_back,
    }
    return chimera.submit("chaos.everything", tenant=case.tenant, inputs=inputs, idempotency_key="the one")
