"""What both embedded servers share: a folder, a port, a start until it answers, a stop in order."""

import contextlib
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import structlog
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_exponential

from chimera.adapters.embedded.account import Account
from chimera.adapters.embedded.launch import children_of
from chimera.adapters.embedded.lock import Lock, holder
from chimera.adapters.embedded.log_file import last_lines, size
from chimera.adapters.embedded.ports import free_port
from chimera.adapters.embedded.pulse import Pulse
from chimera.errors import EmbeddedServerError

# Recovery after a crash is part of a start.
READY_WITHIN_SECONDS = 120.0
STOPPED_WITHIN_SECONDS = 30.0
# An earlier server that was told to end writes what is not on the disk yet, which may take minutes on a slow one.
EARLIER_ENDS_WITHIN_SECONDS = 120.0
PORT_ATTEMPTS = 5
_SOON_SECONDS = 2.0


class EmbeddedServer(ABC):
    """A server as a child of this process, on a free port of 127.0.0.1, its data in one folder.

    It ends when this process ends. A folder has one server at a time: each holds a lock that its own children
    inherit, so that a new one starts only when the last process of the former is gone.
    """

    # What people call it.
    name: str
    # Ends it in order, and at once when this process dies.
    stop_signal: signal.Signals
    death_signal: signal.Signals
    # What a client may begin with, and gets an answer to before it has logged in.
    question: bytes
    # How long a start waits for an earlier server on the folder to end.
    earlier_ends_within_seconds = EARLIER_ENDS_WITHIN_SECONDS
    # Told, in a line for people, what a start waits for; the log is, where nobody is.
    waits: Callable[[str], None] | None = None

    def __init__(self, folder: Path, *, account: Account) -> None:
        self.folder = folder
        # The server's own part: where we are root, nothing of ours is in reach of its user.
        self.data = folder / "data"
        self.account = account
        self.log = folder / "server.log"
        self.port = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0  # on the monotonic clock
        self._pulse: Pulse | None = None
        self._log = structlog.get_logger().bind(server=self.name)

    def start(self) -> None:
        """Start the server and return when it answers; after a stop or a death, on the same port as before.

        Raises:
            EmbeddedServerError: it does not start; the message ends with the last lines of its log.
        """
        self._started_at = time.monotonic()
        self._make_folder()
        lock = self._take_lock()
        try:
            self._prepare()
            self._start_on_a_port(lock)
        finally:
            lock.close()
        self._pulse = Pulse(self.port, self.question)
        self._log.info("server_started", port=self.port, seconds=round(self.lived_seconds, 3))

    def stop(self) -> None:
        """End the server in order; one that has not ended within 30 seconds is killed. Safe to call twice."""
        self._forget_pulse()
        if self._child is None:
            return
        if self._child.poll() is None:
            self._child.send_signal(self.stop_signal)
        try:
            self._child.wait(STOPPED_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._log.warning("server_killed", seconds=STOPPED_WITHIN_SECONDS)
            self._child.kill()
            self._child.wait()
        self._child = None

    def kill(self) -> None:
        """End the server and its children at once, as one that hangs must be; what it acknowledged is kept."""
        self._forget_pulse()
        if self._child is None:
            return
        # Those that stand still as well would not notice that it is gone, and hold the folder's lock.
        children = children_of(self._child.pid)
        self._child.kill()
        self._child.wait()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def silent_seconds(self) -> float:
        """How long the running server has owed an answer; asked again and again, it returns at once."""
        return self._pulse.silent_seconds() if self._pulse else 0.0

    @property
    def pid(self) -> int | None:
        """The process id of the running server."""
        return self._child.pid if self._child and self.is_running else None

    @property
    def is_running(self) -> bool:
        """Whether the server that was started is still alive."""
        return self._child is not None and self._child.poll() is None

    @property
    def lived_seconds(self) -> float:
        """How long ago the server was started."""
        return time.monotonic() - self._started_at

    @abstractmethod
    def _prepare(self) -> None:
        """See to it that the server has its data folder."""

    @abstractmethod
    def _launch(self, held: Lock) -> subprocess.Popen[bytes]:
        """Start the program on `self.port`; it inherits the lock."""

    @abstractmethod
    def _answers(self, child: subprocess.Popen[bytes]) -> bool:
        """Whether this child, and no other server, answers on the port."""

    def _make_folder(self) -> None:
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700)
        self.account.let_through(self.folder)
        owner = self.data.stat().st_uid if self.data.exists() else self.account.uid
        if owner != self.account.uid:
            raise EmbeddedServerError(
                f"{self.data} belongs to the user id {owner}, and {self.name} would run as "
                f"{self.account.name} ({self.account.uid}). Fix: start as the user who made it, give the "
                f"folder and all in it to {self.account.name} (chown -R), or set CHIMERA_DATA to another "
                "folder."
            )

    def _make_data_folder(self, path: Path) -> None:
        path.mkdir(mode=0o700)
        self.account.own(path)

    def _take_lock(self) -> Lock:
        path = self.folder / "lock"
        is_said = False

        def say(attempt: RetryCallState) -> None:
            nonlocal is_said
            if not is_said and (attempt.seconds_since_start or 0) > _SOON_SECONDS:
                is_said = True
                self._say_what_ends(holder(path))

        attempts = Retrying(
            retry=retry_if_result(lambda lock: lock is None),
            wait=wait_exponential(multiplier=0.02, max=1.0),
            stop=stop_after_delay(self.earlier_ends_within_seconds),
            before_sleep=say,
            retry_error_callback=lambda _: None,
        )
        lock: Lock | None = attempts(Lock.take, path, patience_seconds=0)
        if lock is not None:
            return lock
        raise EmbeddedServerError(
            f"A {self.name} of an earlier run (process {holder(path)}) still works in {self.folder} after "
            f"{self.earlier_ends_within_seconds:g} s. Fix: end that process, and start again."
        )

    def _say_what_ends(self, pid: int | None) -> None:
        if self.waits is None:
            self._log.warning("earlier_server_ends", pid=pid, folder=str(self.folder))
            return
        self.waits(
            f"waiting for {self.name} of an earlier run (process {pid}) to end, "
            f"for at most {self.earlier_ends_within_seconds:g} s"
        )

    def _forget_pulse(self) -> None:
        if self._pulse is not None:
            self._pulse.close()
            self._pulse = None

    def _start_on_a_port(self, lock: Lock) -> None:
        chosen = self.port
        for _ in range(PORT_ATTEMPTS):
            self.port = chosen or free_port()
            if self._try_start(lock):
                return
        raise EmbeddedServerError(
            f"{self.name} found no port: in {PORT_ATTEMPTS} attempts the port of 127.0.0.1, at last "
            f"{self.port}, was taken before it could listen. Fix: end what takes it, and start again."
        )

    def _try_start(self, lock: Lock) -> bool:
        """Start it once; False if another process took its port first."""
        logged = size(self.log)
        self._child = child = self._launch(lock)
        lock.name_holder(child.pid)
        if self._becomes_ready(child):
            return True
        said = last_lines(self.log, since=logged)
        ended = child.poll()
        self.stop()
        if "Address already in use" in said:
            return False
        how = f"ended with code {ended}" if ended is not None else f"gave no answer in {READY_WITHIN_SECONDS:.0f} s"
        raise EmbeddedServerError(f"{self.name} {how} while it started in {self.folder}. {self._hint()}{said}")

    def _hint(self) -> str:
        return f"Its log ({self.log}) says:\n"

    def _becomes_ready(self, child: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        try:
            while child.poll() is None and time.monotonic() < deadline:
                if self._answers(child):
                    return True
                time.sleep(0.01)
        except BaseException:
            self.stop()
            raise
        return False
