"""A keeper: the process between a worker's slot and its hosts. It has no credentials and runs no user code.

It starts the zygote, which imports the project's modules, has it fork hosts, and ends those with all that they
started. One byte and a descriptor say what is to be done: FORK with a host's end of its stream, END, which is answered.
"""

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from chimera.adapters.host import landlock, limits
from chimera.adapters.host.plan import HostPlan

FORK, END, ENDED = b"f", b"e", b"d"
_LOCKS = Path(tempfile.gettempdir()) / f"chimera-host-users-{os.geteuid()}"
# After this, what still forks faster than it is killed has its whole tree ended, zygote and all.
_END_SECONDS = 2.0
_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc", "/opt", "/sys")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_ABOUT_THE_MACHINE = ("cpuinfo", "meminfo", "stat", "loadavg", "uptime", "version", "filesystems", "sys", "mounts")

# Runs in a host, over its end of the stream, after the project's modules were imported; never returns.
Serve = Callable[[socket.socket, HostPlan, BaseException | None], None]


class Keeper:
    """Keeps one zygote, and one host at a time."""

    def __init__(self, worker: socket.socket, plan: HostPlan, load: Callable[[], None], serve: Serve) -> None:
        self._worker = worker
        self._plan = plan
        self._load = load
        self._serve = serve
        self._folder = Path(tempfile.mkdtemp(prefix="chimera-host-"))
        self._user: int | None = None
        self._zygote: tuple[int, socket.socket] | None = None

    def run(self) -> None:
        """Does what it is told until the worker's end of the socket is closed, however its process ended.

        The kernel does not kill it with that process: then nobody would end what its hosts had started.
        """
        limits.hide()
        limits.adopt_orphans()
        try:
            if self._plan.users is not None:
                self._user = self._own_user(*self._plan.users)
            for told, handles in _told(self._worker):
                if told == FORK:
                    self._fork(handles[0])
                else:
                    self._end_hosts()
                    self._worker.send(ENDED)
        finally:
            self._end_zygote()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _own_user(self, first: int, last: int) -> int:
        held = limits.free_user(first, last, _LOCKS)
        if held is None:
            raise RuntimeError(f"no user id from {first} to {last} is free for another host")
        os.chown(self._folder, held[0], held[0])
        return held[0]

    def _fork(self, host: int) -> None:
        """Has the zygote fork a host; starts the zygote where there is none."""
        if self._zygote is None:
            self._zygote = self._start_zygote()
        _, zygote = self._zygote
        try:
            socket.send_fds(zygote, [FORK], [host])
        except OSError:
            self._end_zygote()  # the host's stream closes, and the worker asks again
        finally:
            os.close(host)

    def _start_zygote(self) -> tuple[int, socket.socket]:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if pid := os.fork():
            there.close()
            return pid, here
        try:
            here.close()
            os.setsid()
            limits.close_all_but(there.fileno())
            self._confine_zygote()
            _Zygote(there, self._plan, self._folder, self._load, self._serve).run()
        finally:
            os._exit(1)

    def _confine_zygote(self) -> None:
        limits.die_with_parent()
        limits.limit(self._plan.max_memory_bytes, own_user=self._user is not None)
        if self._user is not None:
            limits.become(self._user)
        limits.gain_no_privileges()
        limits.drop_capabilities()
        limits.hide()
        limits.die_with_parent()  # forgotten with the change of user
        os.umask(0o077)
        if self._plan.landlock:
            landlock.restrict(
                [*_rules(self._plan), ("/proc", landlock.READ), (str(self._folder), landlock.everything())]
            )

    def _end_hosts(self) -> None:
        """Kills every host with all that it started, also what left its session, and removes their files."""
        until = time.monotonic() + _END_SECONDS
        while self._killed():
            if time.monotonic() > until:
                self._end_zygote()
                return
        self._sweep()

    def _killed(self) -> bool:
        """Kills all beneath this process but the zygote; whether there was anything: it may have forked meanwhile."""
        zygote = self._zygote[0] if self._zygote else 0
        beneath = [pid for pid in limits.descendants() if pid != zygote]
        for pid in beneath:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.0005 if beneath else 0.0)
        return bool(beneath)

    def _end_zygote(self) -> None:
        """Kills everything beneath this process."""
        if self._zygote:
            self._zygote[1].close()
            self._zygote = None
        if self._user is not None:
            _kill_all_of(self._user)
        until = time.monotonic() + _END_SECONDS
        while self._killed() and time.monotonic() < until:
            pass
        self._sweep()

    def _sweep(self) -> None:
        """Removes what a host wrote: its folder, and without Landlock what its user left where all may write."""
        for path in self._folder.iterdir():
            shutil.rmtree(path, ignore_errors=True)
        if self._plan.landlock or self._user is None:
            return
        for place in ("/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108
            for entry in os.scandir(place):
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_uid == self._user:
                        is_folder = entry.is_dir(follow_symlinks=False)
                        shutil.rmtree(entry.path) if is_folder else Path(entry.path).unlink()


class _Zygote:
    """Imports the project's modules once, and forks hosts."""

    def __init__(
        self, keeper: socket.socket, plan: HostPlan, folder: Path, load: Callable[[], None], serve: Serve
    ) -> None:
        self._keeper = keeper
        self._plan = plan
        self._folder = folder
        self._load = load
        self._serve = serve

    def run(self) -> None:
        os.environ.clear()
        os.environ.update(self._plan.variables)
        os.chdir(self._plan.folder)
        self._home(self._folder)
        failed: BaseException | None = None
        try:
            self._load()
        except BaseException as exc:  # noqa: BLE001  whatever a module raises is told by each host
            failed = exc
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for hosts
        for number, (_, handles) in enumerate(_told(self._keeper)):
            if os.fork():
                os.close(handles[0])
            else:
                self._host(number, handles[0], failed)

    def _host(self, number: int, handle: int, failed: BaseException | None) -> NoReturn:
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            limits.close_all_but(handle)
            limits.die_with_parent()
            folder = self._folder / str(number)
            folder.mkdir(mode=0o700)
            self._home(folder)
            if self._plan.landlock:
                about = [(f"/proc/{name}", landlock.READ) for name in (*_ABOUT_THE_MACHINE, str(os.getpid()))]
                landlock.restrict([*_rules(self._plan), *about, (str(folder), landlock.everything())])
            self._serve(socket.socket(fileno=handle), self._plan, failed)
        finally:
            os._exit(0)

    def _home(self, folder: Path) -> None:
        tempfile.tempdir = None
        os.environ.update(HOME=str(folder), TMPDIR=str(folder))


def _rules(plan: HostPlan) -> Iterator[tuple[str, int]]:
    """What can be read: Python and the system, the project without its secrets, and what the plan names."""
    secret = frozenset(Path(path) for path in plan.secret)
    yield from ((path, landlock.READ) for path in _SYSTEM)
    yield from ((path, landlock.READ | landlock.WRITE) for path in _DEVICES)
    yield "/dev", landlock.LIST
    for path in dict.fromkeys((sys.prefix, sys.base_prefix, *plan.readable)):
        yield path, landlock.READ
    for path in dict.fromkeys((plan.folder, *plan.path)):
        if path and not path.startswith((sys.prefix, sys.base_prefix)):
            yield from landlock.readable(Path(path), secret) if Path(path).is_dir() else [(path, landlock.READ)]


def _told(sock: socket.socket) -> Iterator[tuple[bytes, list[int]]]:
    """What comes over a socket, with descriptors, until its other end is closed."""
    while True:
        told, handles, _, _ = socket.recv_fds(sock, 16, 1)
        if not told:
            return
        for handle in handles:
            os.set_inheritable(handle, False)
        yield told, handles


def _kill_all_of(user: int) -> None:
    """Kills every process of a user at one stroke: none forks away."""
    if (pid := os.fork()) == 0:
        try:
            limits.become(user)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
