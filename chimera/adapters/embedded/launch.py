"""Start a child process that ends when this process ends, however that ends."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from chimera.adapters.embedded.account import SAME_USER, PopenIdentity
from chimera.adapters.embedded.log_file import open_log
from chimera.errors import EmbeddedServerError

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def launch(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    death_signal: signal.Signals,
    identity: PopenIdentity = SAME_USER,
    stdin: bytes = b"",
    held: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, its output appended to `log`.

    Args:
        argv: the program and its arguments.
        cwd: the folder it runs in.
        env: its whole environment.
        log: a file, made with mode 0600 if need be.
        death_signal: what the program gets when this process dies, even by SIGKILL. Linux only; it is bound
            to the thread that calls this, so that thread must live as long as the program shall.
        identity: the user it runs as.
        stdin: what it reads on its standard input, less than a pipe holds (64 KiB).
        held: descriptors that it inherits.

    Raises:
        EmbeddedServerError: the program cannot be started.
    """
    output = open_log(log)
    try:
        child = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the terminal is for this process alone
            pass_fds=held,
            # Only a child can set its death signal; what runs there takes no lock that a thread might hold.
            preexec_fn=_in_child(death_signal),  # noqa: PLW1509
            **identity,
        )
    except OSError as exc:
        raise EmbeddedServerError(f"{argv[0]} cannot be started in {cwd}: {exc.strerror or exc}.") from exc
    finally:
        os.close(output)
    _feed(child, stdin)
    return child


def children_of(pid: int) -> list[int]:
    """The process ids of a process's children; none where the system does not list them (it is not Linux)."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def _feed(child: subprocess.Popen[bytes], text: bytes) -> None:
    assert child.stdin is not None
    # A program that has ended already says why in its log.
    with contextlib.suppress(BrokenPipeError), child.stdin as pipe:
        pipe.write(text)


def _in_child(death_signal: signal.Signals) -> Callable[[], None]:
    """What a child runs between fork and exec; after its change of user, which would undo it."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    parent = os.getpid()

    def prepare() -> None:
        # A parent that waits for signals blocks them, and a child would inherit that.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != parent:  # it died before the line above
                os._exit(1)

    return prepare
