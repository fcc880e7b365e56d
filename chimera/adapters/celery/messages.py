"""Every message between processes: its Celery task, its queue, and the arguments that it carries."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from chimera.adapters.celery.queue_names import JUDGE_QUEUE, PLAN_QUEUE, tenant_queue
from chimera.models.record import HexId, TenantId, Text
from chimera.models.work.plan import PlanRequest

# What Flower and the workers' logs show in place of arguments.
REDACTED = "<ids>"
# The options of a message that has it so.
HIDDEN: Mapping[str, str] = {"argsrepr": REDACTED, "kwargsrepr": REDACTED}

WaveNo = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class NoArguments(NamedTuple):
    """The message says all by its name."""


class TenantArguments(NamedTuple):
    """Whom the message is about."""

    tenant_id: TenantId


class PlanArguments(NamedTuple):
    """Which plan the message is about."""

    tenant_id: TenantId
    plan_id: HexId


class WaveArguments(NamedTuple):
    """Which wave the message is about."""

    tenant_id: TenantId
    plan_id: HexId
    wave_no: WaveNo


class BatchArguments(NamedTuple):
    """Which tasks of a wave are to run, and in what time altogether."""

    tenant_id: TenantId
    plan_id: HexId
    wave_no: WaveNo
    task_ids: Annotated[list[HexId], Field(min_length=1, max_length=1000)]
    timeout_seconds: Seconds


class SubmitOptions(PlanRequest):
    """The fields of a plan request. The task takes the message's own id for the trace id where none is given."""

    trace_id: Text = Field(default="the message's own id", min_length=1, max_length=200)


@dataclass(frozen=True)
class Message:
    """A kind of message."""

    # The name of the Celery task.
    task: str
    # None: the queue of the tenant that the first argument names.
    queue: str | None
    # The positional arguments, in order.
    arguments: type[tuple[Any, ...]] = NoArguments
    # The record whose fields are the keyword arguments; None: there are no keyword arguments.
    options: type[BaseModel] | None = None

    def queue_for(self, arguments: tuple[Any, ...]) -> str:
        """The queue that a message with these arguments goes to."""
        return self.queue or tenant_queue(arguments[0])

    def is_for(self, queue: str, arguments: tuple[Any, ...]) -> bool:
        """Whether such a message may be in this queue: what planners are asked may be in the tenant's own, too."""
        return queue == self.queue_for(arguments) or (
            self.queue == PLAN_QUEUE and bool(arguments) and queue == tenant_queue(arguments[0])
        )

    def is_valid(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
        """Whether the task can be called with these arguments."""
        try:
            self._adapter.validate_python(arguments, strict=True)
            if self.options is None:
                return not options
            self.options.model_validate(options)
        except ValidationError:
            return False
        return True

    @cached_property
    def _adapter(self) -> TypeAdapter[tuple[Any, ...]]:
        return TypeAdapter(self.arguments)


PLAN = Message("chimera.plan", PLAN_QUEUE, PlanArguments)
REPLAN = Message("chimera.replan", PLAN_QUEUE, WaveArguments)
SUBMIT = Message("chimera.submit", PLAN_QUEUE, options=SubmitOptions)
WORK = Message("chimera.work", None, BatchArguments)
JUDGE = Message("chimera.judge", JUDGE_QUEUE, WaveArguments)
DISPATCH = Message("chimera.dispatch", JUDGE_QUEUE, TenantArguments)
STOP = Message("chimera.stop", JUDGE_QUEUE, PlanArguments)
SWEEP = Message("chimera.sweep", JUDGE_QUEUE)

MESSAGES = {message.task: message for message in (PLAN, REPLAN, SUBMIT, WORK, JUDGE, DISPATCH, STOP, SWEEP)}
