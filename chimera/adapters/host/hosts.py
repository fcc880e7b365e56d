"""A worker's way to its hosts: one host at a time for each slot, and another one for another tenant."""

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Set

import structlog
from pydantic import ValidationError
from structlog.contextvars import get_contextvars

from chimera.adapters.host import keeper
from chimera.adapters.host.answers import ANSWER, Broken, Declare, Declared, Logged, Over
from chimera.adapters.host.frames import BadFrame, Frames, send
from chimera.adapters.host.plan import HostPlan
from chimera.models.record import Record
from chimera.ports.skill_runner import EndingWith

log = structlog.get_logger(__name__)

# A host ends a call that overruns by itself; one that has not after this is ended.
GRACE_SECONDS = 1.0
# To import the project's modules, before the first answer.
START_SECONDS = 120.0
# Of one call, in characters of its lines for the log: hosts themselves let through half of it (services/printed.py).
MOST_LOGGED = 128 * 1024
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
