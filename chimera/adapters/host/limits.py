"""What a process without credentials is, beyond what it may do with files: whose it is, and how much it may have."""

import contextlib
import ctypes
import fcntl
import os
import pwd
import resource
import signal
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
# linux/prctl.h
_PDEATHSIG, _DUMPABLE, _SUBREAPER, _NO_NEW_PRIVS = 1, 4, 36, 38
# linux/capability.h
_SETGID, _SETUID, _KILL, _CHOWN = 6, 7, 5, 0

# Of one host: processes and threads together, where it has a user id of its own, and bytes of a file.
MOST_PROCESSES = 256
MOST_FILE_BYTES = 1 << 30


def hide() -> None:
    """Nobody of the same user reads this process's memory or environment or traces it, nor its children's."""
    _LIBC.prctl(_DUMPABLE, 0, 0, 0, 0)


def die_with_parent() -> None:
    """The kernel kills this process when its parent's thread has ended."""
    _LIBC.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Processes beneath this one whose parent ends become its children, in whatever session they are."""
    _LIBC.prctl(_SUBREAPER, 1, 0, 0, 0)


def gain_no_privileges() -> None:
    """No program that this process starts gains rights: setuid bits count for nothing."""
    _LIBC.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)


def may_change_user() -> bool:
    """Whether this process may become any user, and signal those processes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return False
    has = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0)
    return all(has >> bit & 1 for bit in (_SETGID, _SETUID, _KILL, _CHOWN))


def free_user(first: int, last: int, folder: Path) -> tuple[int, int] | None:
    """A user id of the range that nobody has, and the descriptor that holds it for as long as it is open.

    None where all are taken.

    Args:
        first: the first id of the range.
        last: the last.
        folder: where locks are, made with mode 0700.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.geteuid():
        return None
    for uid in range(first, last + 1):
        if _has_account(uid):
            continue
        lock = os.open(folder / str(uid), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return uid, lock
    return None


def become(uid: int) -> None:
    """This process is this user's from now on, in a group of the same number, for good."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def limit(max_memory_bytes: int | None, *, own_user: bool) -> None:
    """No core dumps, no huge files, and no more memory than this; for an own user no more processes either."""
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: MOST_FILE_BYTES}
    if max_memory_bytes is not None:
        limits[resource.RLIMIT_DATA] = max_memory_bytes
    if own_user:
        limits[resource.RLIMIT_NPROC] = MOST_PROCESSES
    for which, most in limits.items():
        _, hard = resource.getrlimit(which)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (allowed, allowed))


def close_all_but(*kept: int) -> None:
    """Closes every descriptor but these; standard input and outputs lead nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    before = 2
    for number in sorted(kept):
        os.closerange(before + 1, number)
        before = number
    os.closerange(before + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def descendants() -> list[int]:
    """The processes beneath this one."""
    waiting, found = [os.getpid()], list[int]()
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            for task in os.scandir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError):
                    children = Path(task.path, "children").read_text(encoding="ascii").split()
                    found += map(int, children)
                    waiting += map(int, children)
    return found


def _has_account(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def drop_capabilities() -> None:
    """Root's id is no more than a name from now on: no capability, and none to gain (see `gain_no_privileges`)."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _LIBC.capset(header, (ctypes.c_uint32 * 6)())
