"""Chimera from outside: the `chimera` command as a process, on a data folder of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

import chimera.errors
from tests.shell import environment

REPOSITORY = Path(chimera.errors.__file__).parents[1]
CHIMERA = Path(sys.executable).with_name("chimera")
PATIENCE_SECONDS = 90.0


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one document."""
        return json.loads(self.out)


@dataclass
class Shell:
    """A shell in which CHIMERA_DATA names a folder, and nothing else is set."""

    data: Path
    cwd: Path = REPOSITORY
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        return environment() | {"CHIMERA_DATA": str(self.data)} | self.variables

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [CHIMERA, *arguments],
            cwd=self.cwd,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> Ran:
        return finish(self.start(*arguments))

    def processes(self) -> list[str]:
        """What runs on the data folder, or was started for it: command lines."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                line, environ = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            except OSError:
                continue
            if str(self.data).encode() in line or f"CHIMERA_DATA={self.data!s}\0".encode() in environ:
                found.append(line.replace(b"\0", b" ").decode())
        return found


def finish(process: "subprocess.Popen[str]", signal_number: int | None = None) -> Ran:
    """Waits for the end of a process, after a signal if one is given."""
    if signal_number is not None:
        process.send_signal(signal_number)
    try:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"{process.args!r} did not end within {PATIENCE_SECONDS:g} s; it said:\n{out}{err}")
    return Ran(process.returncode, out, err)


def await_line(process: "subprocess.Popen[str]", word: str) -> None:
    """Reads standard error up to a line that has the word in it."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if word in line:
            return
    finish(process)
    raise AssertionError(f"it never said {word!r}: {''.join(said)}")


def await_end(shell: Shell) -> None:
    """Waits until nothing runs on the shell's data folder any more."""
    deadline = monotonic() + 30
    while processes := shell.processes():
        assert monotonic() < deadline, f"still there: {processes}"
        sleep(0.05)


@pytest.fixture(scope="session")
def data_dirs() -> Iterator[list[Path]]:
    """Folders that are removed in the end, when nothing runs on them any more."""
    folders: list[Path] = []
    yield folders
    for folder in folders:
        Shell(folder).run("down")
        await_end(Shell(folder))
        shutil.rmtree(folder)


def new_shell(folders: list[Path]) -> Shell:
    # Not tmp_path: where the tests run as root, the servers do not, and cannot pass through its parents.
    folder = Path(tempfile.mkdtemp(prefix="chimera-cli-")).resolve()
    folder.chmod(0o755 if os.geteuid() == 0 else 0o700)
    folders.append(folder)
    return Shell(folder)


@pytest.fixture(scope="session")
def shell(data_dirs: list[Path]) -> Shell:
    """One data folder for those tests that leave nothing running."""
    return new_shell(data_dirs)


@pytest.fixture(scope="session")
def kept(data_dirs: list[Path]) -> tuple[Shell, Ran]:
    """A stack that `chimera demo --keep` left running, and what that printed."""
    shell = new_shell(data_dirs)
    return shell, shell.run("demo", "--keep")


@pytest.fixture
def stack(kept: tuple[Shell, Ran]) -> Shell:
    """A shell with a running stack, and the demo's plan of tenant acme in it."""
    shell, ran = kept
    assert ran.code == 0, ran.err
    return shell
