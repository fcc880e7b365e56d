"""A worker's way to its hosts: one host at a time for each slot, and another one for another tenant."""

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence, Set
from uuid import UUID

import structlog
from pydantic import ValidationError
from structlog.contextvars import get_contextvars

from chimera.adapters.host import keeper
from chimera.adapters.host.answers import (
    ANSWER,
    Broken,
    Declare,
    Declared,
    Drafted,
    Logged,
    Over,
    Plan,
    Ran,
    Rejected,
    Replan,
    ReplannedTo,
    Run,
)
from chimera.adapters.host.frames import BadFrame, Frames, send
from chimera.adapters.host.plan import HostPlan
from chimera.models.ids import IdKind, format_id
from chimera.models.record import Record, canonical_json
from chimera.models.work.draft import Draft
from chimera.models.work.result import NO_USAGE, FailureOutcome, read_outcome
from chimera.models.work.task import ClaimedTask
from chimera.models.work.wave import WaveRef
from chimera.ports import planner_runner, skill_runner
from chimera.ports.plan_store import PlanningJob
from chimera.ports.planner_runner import PlanRejected
from chimera.ports.replan_store import ReplanJob, Replanned
from chimera.ports.skill_runner import EndingWith, Outcome

log = structlog.get_logger(__name__)

# A host ends a call that overruns by itself; one that has not after this is ended.
GRACE_SECONDS = 1.0
# To import the project's modules, before the first answer.
START_SECONDS = 120.0
# Of one call, in characters of its lines for the log: hosts themselves let through half of it (services/printed.py).
MOST_LOGGED = 128 * 1024
# A failure's message and code may have this where outputs may have less.
_MOST_OF_A_FAILURE = 1 << 16
# What a line of a host says of itself, and never of whose it is.
_RESERVED = frozenset({"event", "level", "logger", "timestamp", "exc_info", "stack_info"})
_IDS = frozenset({"task_id", "attempt", "skill", "stream"})
_PRINTED = "skill_printed"
_KEEPER = (sys.executable, "-I", "-m", "chimera.hosting")


class HostLost(Exception):
    """The host is gone: it ended, was ended, or answered what no host may."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Hosts:
    """The hosts of one slot, with their keeper. Made after a fork: each slot has its own.

    Safe in one thread; a question under way is ended from others by what `ending_with` gives them.
    """

    def __init__(self, plan: HostPlan) -> None:
        self._plan = plan
        self._keeper: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._tenant: str | None = None
        self._host: socket.socket | None = None
        self._frames = Frames(plan.max_frame_bytes)
        self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def ask(
        self,
        tenant_id: str,
        question: Record,
        timeout_seconds: float,
        ending_with: EndingWith,
        named: Set[str] = frozenset(),
    ) -> Generator[Record]:
        """What the tenant's host answers, but for lines of the log and the last frame, which says that this is all.

        Args:
            tenant_id: whose host it is; a host of somebody else's is ended first.
            question: what is asked.
            timeout_seconds: how long the answer may take.
            ending_with: has the host ended from outside.
            named: the ids of tasks that lines of the log may name.

        Raises:
            HostLost: the host did not answer as it must; it is gone.
        """
        over = False
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake[0], 64)
        try:
            with ending_with(self._ring), _told_as_lost():
                host = self._taken(tenant_id)
                send(host, question.model_dump_json().encode())
                for answer in self._answers(host, timeout_seconds + GRACE_SECONDS, named):
                    if isinstance(answer, Over):
                        over = True
                        return
                    yield answer
        finally:
            if not over:
                self.end()

    def _ring(self) -> None:
        os.write(self._wake[1], b"e")

    def end(self) -> None:
        """Ends the host with all that it started."""
        self._tenant = None
        if self._host is None:
            return
        self._host.close()
        self._host = None
        self._frames = Frames(self._plan.max_frame_bytes)
        if self._keeper is None:
            return
        process, control = self._keeper
        try:
            control.send(keeper.END)
            ended = control.recv(16) == keeper.ENDED
        except OSError:
            ended = False
        if not ended:
            self._keeper = None
            control.close()
            process.kill()
            process.wait()
            log.error("keeper_lost")

    def close(self) -> None:
        """Ends the host, and the keeper."""
        self.end()
        if self._keeper is not None:
            process, control = self._keeper
            control.close()
            process.wait()
            self._keeper = None

    def _taken(self, tenant_id: str) -> socket.socket:
        """A host of this tenant's, which has said that it is there."""
        if self._host is not None and self._tenant == tenant_id:
            return self._host
        self.end()
        if self._keeper is None or self._keeper[0].poll() is not None:
            self._keeper = self._start_keeper()
        here, there = socket.socketpair()
        with there:
            socket.send_fds(self._keeper[1], [keeper.FORK], [there.fileno()])
        self._host, self._tenant = here, tenant_id
        if not isinstance(next(self._answers(here, START_SECONDS, frozenset())), Over):
            raise HostLost("host_broke", "the process that was to run it did not start as it must")
        return here

    def _start_keeper(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with there:
            process = subprocess.Popen(
                [*_KEEPER, str(there.fileno())],
                stdin=subprocess.PIPE,
                env={},
                pass_fds=[there.fileno()],
                cwd="/",
                start_new_session=True,
            )
        assert process.stdin is not None
        with process.stdin as told:
            told.write(self._plan.model_dump_json().encode())
        return process, here

    def _answers(self, host: socket.socket, seconds: float, named: Set[str]) -> Iterator[Record]:
        until = time.monotonic() + seconds
        room = MOST_LOGGED * max(1, len(named))
        ready = select.poll()
        ready.register(host, select.POLLIN)
        ready.register(self._wake[0], select.POLLIN)
        while True:
            while (frame := self._frames.next()) is not None:
                answer = ANSWER.validate_json(frame)
                if not isinstance(answer, Logged):
                    yield answer
                elif (room := room - _size(answer)) >= 0:
                    _write(answer, named)
                else:
                    raise HostLost("host_broke", "the process that ran it logged more than a host does")
            told = dict(ready.poll(max(0.0, until - time.monotonic()) * 1000))
            if not told:
                raise HostLost("timeout", "ran longer than it may, and did not end when it was told to")
            if self._wake[0] in told:
                raise HostLost("timeout", "it was ended")
            if not (piece := host.recv(1 << 18)):
                raise HostLost("host_lost", "the process that ran it has ended")
            self._frames.feed(piece)


@contextlib.contextmanager
def _told_as_lost() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise HostLost("host_lost", "the process that ran it has ended") from exc
    except (BadFrame, ValidationError) as exc:
        raise HostLost("host_broke", "the process that ran it answered what it must not") from exc


def _size(line: Logged) -> int:
    """The characters of a line that are the host's own: each line of what a skill prints has name and ids besides."""
    own = sum(len(str(value)) for name, value in line.fields.items() if name not in _IDS)
    return own + 1 if line.event == _PRINTED else own + len(line.event) + 1


def _write(line: Logged, named: Set[str]) -> None:
    """A line of a host's: whose it is the worker says, and of several tasks of a batch the host which."""
    known = get_contextvars().keys() | _RESERVED
    fields = {name: value for name, value in line.fields.items() if name not in known}
    if fields.get("task_id") not in named:
        fields.pop("task_id", None)
    getattr(structlog.get_logger(line.logger[:200]), line.level)(line.event[:8192], **fields)


class SkillRunner(skill_runner.SkillRunner):
    """Runs skills in hosts."""

    def __init__(self, hosts: Hosts, max_output_bytes: int) -> None:
        self._hosts = hosts
        self._max_output_bytes = max_output_bytes

    def run(self, wave: WaveRef, task: ClaimedTask, ending_with: EndingWith) -> Outcome:
        """Has the tenant's host run it."""
        return dict(self._run(wave, [task], ending_with, together=False))[0]

    def run_together(
        self, wave: WaveRef, tasks: Sequence[ClaimedTask], ending_with: EndingWith
    ) -> Iterator[tuple[int, Outcome]]:
        """Has the tenant's host run them at the same time."""
        yield from self._run(wave, tasks, ending_with, together=True)

    def _run(
        self, wave: WaveRef, tasks: Sequence[ClaimedTask], ending_with: EndingWith, *, together: bool
    ) -> Iterator[tuple[int, Outcome]]:
        places = {task.task_id: place for place, task in enumerate(tasks)}
        named = frozenset(format_id(IdKind.TASK, task.task_id) for task in tasks)
        question = Run(wave=wave, tasks=tuple(tasks), together=together)
        seconds = max(task.timeout_seconds for task in tasks)
        failure = _failure("host_broke", "the process that ran it did not answer")
        try:
            with contextlib.closing(self._hosts.ask(wave.tenant_id, question, seconds, ending_with, named)) as answers:
                for answer in answers:
                    place, outcome = self._checked(answer, tasks, places)
                    del places[tasks[place].task_id]
                    yield place, outcome
        except HostLost as exc:
            log.warning("host_ended", code=exc.code)
            failure = _failure(exc.code, str(exc))
        for place in places.values():
            yield place, failure

    def _checked(self, answer: Record, tasks: Sequence[ClaimedTask], places: Mapping[UUID, int]) -> tuple[int, Outcome]:
        """An outcome that can be staged, in the form that is hashed, of a task that waits for one."""
        place = places.get(answer.task_id) if isinstance(answer, Ran) else None
        if not isinstance(answer, Ran) or place is None or answer.attempt != tasks[place].attempt:
            raise HostLost("host_broke", "the process that ran it answered for another task")
        try:
            outcome = read_outcome(answer.text)
            text = canonical_json(outcome.model_dump(mode="json"))
        except (ValueError, TypeError, RecursionError) as exc:
            raise HostLost("host_broke", "the process that ran it answered no outcome") from exc
        if len(text) > max(self._max_output_bytes, _MOST_OF_A_FAILURE):
            raise HostLost("host_broke", "the process that ran it answered more than an output may have")
        return place, Outcome(text, answer.usage, failed=isinstance(outcome, FailureOutcome))


class PlannerRunner(planner_runner.PlannerRunner):
    """Runs planners and their hooks in hosts."""

    def __init__(self, hosts: Hosts, timeout_seconds: float, max_tasks: int) -> None:
        self._hosts = hosts
        self._timeout_seconds = timeout_seconds
        self._max_tasks = max_tasks

    def drafts(self, tenant_id: str, job: PlanningJob, ending_with: EndingWith, /) -> list[Draft]:
        """Has the tenant's host plan."""
        drafts: list[Draft] = []
        for answer in self._ask(tenant_id, Plan(job=job, timeout_seconds=self._timeout_seconds), ending_with):
            if not isinstance(answer, Drafted) or len(drafts) + len(answer.drafts) > self._max_tasks:
                raise PlanRejected("host_broke", "the process that planned answered what it must not")
            for draft in answer.drafts:
                if any(not 0 <= place < len(drafts) for place in draft.before):
                    raise PlanRejected("host_broke", "the process that planned answered what it must not")
                drafts.append(draft)
        return drafts

    def replanned(self, tenant_id: str, job: ReplanJob, ending_with: EndingWith, /) -> Replanned | None:
        """Has the tenant's host ask the hook."""
        for answer in self._ask(tenant_id, Replan(job=job, timeout_seconds=self._timeout_seconds), ending_with):
            if isinstance(answer, ReplannedTo):
                return answer.replanned
        raise PlanRejected("host_broke", "the process that planned did not answer")

    def _ask(self, tenant_id: str, question: Record, ending_with: EndingWith) -> Iterator[Record]:
        try:
            for answer in self._hosts.ask(tenant_id, question, self._timeout_seconds, ending_with):
                if isinstance(answer, Rejected):
                    raise PlanRejected(answer.failure.code, answer.failure.message)
                if isinstance(answer, Broken):
                    raise PlanRejected("host_broke", "the project's modules cannot be imported")
                yield answer
        except HostLost as exc:
            code = "planner_timeout" if exc.code == "timeout" else "planner_lost"
            raise PlanRejected(code, f"the planner: {exc}") from exc


def declared(hosts: Hosts) -> Declared | Broken:
    """What a host says that it has, or why it has nothing; ends that host.

    Raises:
        HostLost: it says neither.
    """
    try:
        for answer in hosts.ask("", Declare(), START_SECONDS, lambda _: contextlib.nullcontext()):
            if isinstance(answer, Declared | Broken):
                return answer
    finally:
        hosts.close()
    raise HostLost("host_broke", "it did not say which skills it has")


def _failure(code: str, message: str) -> Outcome:
    outcome = FailureOutcome(code=code, message=message, retryable=True)
    return Outcome(canonical_json(outcome.model_dump(mode="json")), NO_USAGE, failed=True)
