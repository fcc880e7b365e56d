"""A server of an earlier run that still ends on the folder: it is waited for, and people are told so."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from chimera.adapters.embedded import EmbeddedServers
from chimera.adapters.embedded.lock import holder
from chimera.errors import EmbeddedServerError
from tests.shell import environment

Spawn = Callable[..., "subprocess.Popen[str]"]


@contextmanager
def left_ending(data_dir: Path, spawn: Spawn) -> Iterator[int]:
    """A PostgreSQL that was told to end when its owner was killed, and stands still meanwhile."""
    owner = spawn("stack_process.py", data_dir)
    ending = holder(data_dir / "postgres" / "lock")
    assert ending
    os.kill(ending, signal.SIGSTOP)
    try:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        yield ending
    finally:
        with suppress(ProcessLookupError):
            os.kill(ending, signal.SIGCONT)


def test_it_is_waited_for_once_that_was_said(data_dir: Path, environ: dict[str, str], spawn: Spawn) -> None:
    said: list[str] = []

    def told(line: str) -> None:
        said.append(line)
        os.kill(ending, signal.SIGCONT)

    with left_ending(data_dir, spawn) as ending, EmbeddedServers(data_dir, environ, durable=False, waits=told):
        assert holder(data_dir / "postgres" / "lock") != ending
    assert said == [f"waiting for PostgreSQL of an earlier run (process {ending}) to end, for at most 120 s"]


def test_one_that_never_ends_is_given_up(data_dir: Path, environ: dict[str, str], spawn: Spawn) -> None:
    with left_ending(data_dir, spawn) as ending, pytest.raises(EmbeddedServerError) as error:
        EmbeddedServers(data_dir, environ, durable=False, earlier_ends_within_seconds=0.5).start()
    assert str(error.value).startswith(f"A PostgreSQL of an earlier run (process {ending}) still works in ")
    assert " after 0.5 s." in str(error.value)


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("arguments", [["up"], ["up", "--detach"], ["demo"]])
def test_people_who_wait_for_it_are_told(arguments: list[str], data_dir: Path, spawn: Spawn) -> None:
    with (
        left_ending(data_dir, spawn) as ending,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "chimera.cli.main", *arguments],
            env=environment() | {"CHIMERA_DATA": str(data_dir)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as waiting,
    ):
        assert waiting.stderr is not None
        said = []
        for line in waiting.stderr:
            said.append(line)
            if "earlier" in line or "schema" in line:
                break
        waiting.send_signal(signal.SIGINT)
        said += waiting.stderr
    what = f"waiting for PostgreSQL of an earlier run (process {ending}) to end, for at most 120 s\n"
    assert [line for line in said if "earlier" in line] == [what]
    assert said[-1] == "interrupted\n"
