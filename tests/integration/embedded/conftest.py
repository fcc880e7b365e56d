"""What these tests share: a data folder, an environment that names nothing, ways to run and to wait."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import chimera.errors
from chimera.adapters.embedded.account import Account
from chimera.adapters.embedded.lock import Lock, holder

REPOSITORY = Path(chimera.errors.__file__).parents[1]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    # Not tmp_path: where the tests run as root, the servers do not, and cannot pass through its parents.
    folder = Path(tempfile.mkdtemp(prefix="chimera-test-")).resolve()
    folder.chmod(0o755)
    yield folder
    for lock in folder.glob("*/lock"):
        taken = Lock.take(lock, patience_seconds=20)
        assert taken is not None, f"process {holder(lock)} still runs"
        taken.close()
    shutil.rmtree(folder)


@pytest.fixture
def environ() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath)}


@pytest.fixture
def account() -> Account:
    return Account.for_servers()


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Wait until something is so, for at most 20 seconds."""

    def wait(so: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not so():
            assert time.monotonic() < deadline, "it did not come to be so within 20 s"
            time.sleep(0.01)

    return wait


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Run a Python program beside this file, and return once it has printed `ready`."""
    children: list[subprocess.Popen[str]] = []

    def start(program: str, *arguments: str | Path) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, Path(__file__).with_name(program), *arguments],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        assert child.stdout is not None
        assert any(line == "ready\n" for line in child.stdout), f"{program} ended before it was ready"
        return child

    yield start
    for child in children:
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
