"""What a worker asks of a host, and what a host may answer: whatever else comes ends it."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter

from chimera.models.record import Record
from chimera.models.work.declaration import PlannerDeclaration
from chimera.models.work.draft import Draft
from chimera.models.work.hosted import HostedDeclaration
from chimera.models.work.plan import PlanFailure
from chimera.models.work.result import Usage
from chimera.models.work.task import ClaimedTask
from chimera.models.work.wave import WaveRef
from chimera.ports.plan_store import PlanningJob
from chimera.ports.replan_store import ReplanJob, Replanned


class Run(Record):
    """Asks for one task, or for several async ones at once."""

    kind: Literal["run"] = "run"
    wave: WaveRef
    tasks: tuple[ClaimedTask, ...]
    together: bool = False


class Plan(Record):
    """Asks for the drafts of a plan."""

    kind: Literal["plan"] = "plan"
    job: PlanningJob
    timeout_seconds: float


class Replan(Record):
    """Asks what is to be done about a task that was sent back."""

    kind: Literal["replan"] = "replan"
    job: ReplanJob
    timeout_seconds: float


class Declare(Record):
    """Asks which skills and planners there are."""

    kind: Literal["declare"] = "declare"


Question = Annotated[Run | Plan | Replan | Declare, Field(discriminator="kind")]
QUESTION: TypeAdapter[Run | Plan | Replan | Declare] = TypeAdapter(Question)


class Ran(Record):
    """What came of a task."""

    kind: Literal["ran"] = "ran"
    task_id: UUID
    attempt: int
    # JSON text of the outcome.
    text: str
    usage: Usage
    failed: bool


class Drafted(Record):
    """Some of a plan's drafts."""

    kind: Literal["drafted"] = "drafted"
    drafts: tuple[Draft, ...]


class ReplannedTo(Record):
    """What a hook answered."""

    kind: Literal["replanned"] = "replanned"
    replanned: Replanned | None


class Rejected(Record):
    """Why a planner or its hook has no answer."""

    kind: Literal["rejected"] = "rejected"
    failure: PlanFailure


class Declared(Record):
    """All skills and planners."""

    kind: Literal["declared"] = "declared"
    skills: tuple[HostedDeclaration, ...]
    planners: tuple[PlannerDeclaration, ...]


class Broken(Record):
    """The project's modules cannot be imported: the traceback."""

    kind: Literal["broken"] = "broken"
    trace: str


class Logged(Record):
    """A line for the worker's log."""

    kind: Literal["logged"] = "logged"
    level: Literal["debug", "info", "warning", "error", "critical"]
    logger: str
    event: str
    fields: dict[str, Any]


class Over(Record):
    """The question is answered."""

    kind: Literal["over"] = "over"


Answer = Annotated[
    Ran | Drafted | ReplannedTo | Rejected | Declared | Broken | Logged | Over, Field(discriminator="kind")
]
ANSWER: TypeAdapter[Ran | Drafted | ReplannedTo | Rejected | Declared | Broken | Logged | Over] = TypeAdapter(Answer)
