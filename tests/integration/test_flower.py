"""Flower shows nothing to those who do not know a password: started without one, it does not start."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chimera.adapters.embedded.ports import free_port

PATIENCE_SECONDS = 60.0
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(servers: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts Flower in a folder that has no flowerconfig.py."""
    started: list[subprocess.Popen[str]] = []

    def flower(*arguments: str, **variables: str) -> "subprocess.Popen[str]":
        own = {name: value for name, value in os.environ.items() if not name.startswith(("CHIMERA_", "FLOWER_"))}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "celery", "-A", "chimera", "flower", "--address=127.0.0.1", *arguments],
            cwd=tmp_path,
            env=own | {"CHIMERA_REDIS_URL": servers["CHIMERA_REDIS_URL"]} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield flower
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def listens(process: "subprocess.Popen[str]", port: int) -> bool:
    """Whether it listens before it ends."""
    end = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None:
        assert time.monotonic() < end, "it neither listens nor ends"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def read(process: "subprocess.Popen[str]") -> str:
    """What it said until its end."""
    assert process.stdout is not None
    return process.stdout.read()


def refusal(start: Start, *arguments: str, **variables: str) -> str:
    """The one line that it ends with, without having listened."""
    port = free_port()
    process = start(f"--port={port}", *arguments, **variables)
    assert not listens(process, port)
    [line] = read(process).splitlines()
    assert process.returncode == 1
    return line


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        ([], {}),
        (["--unauthenticated-api"], {"FLOWER_UNAUTHENTICATED_API": "true"}),
        (["--basic-auth=chimera:"], {}),
        ([], {"FLOWER_BASIC_AUTH": "chimera"}),
    ],
)
def test_without_a_password_it_is_refused_with_one_line(
    arguments: list[str], variables: dict[str, str], start: Start
) -> None:
    line = refusal(start, *arguments, **variables)
    assert line.startswith("chimera: Flower has no password, and would show its pages to anybody")
    assert "--basic-auth=USER:PASSWORD" in line


def test_the_shipped_flowerconfig_without_its_variable_is_refused_the_same(start: Start) -> None:
    port = free_port()
    conf = Path(__file__).parents[2] / "flowerconfig.py"
    process = start(f"--conf={conf}", CHIMERA_FLOWER_PORT=str(port))
    assert not listens(process, port)
    said = read(process)
    assert (process.returncode, len(said.splitlines())) == (1, 1)
    assert "CHIMERA_FLOWER_BASIC_AUTH" in said


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["--conf=flowerconfig.py"], {}),
        # Flower would start without the rest of what the file says.
        (["--conf=flowerconfig.py", "--basic-auth=ana:s3cret"], {}),
        ([], {"FLOWER_CONF": "flowerconfig.py", "FLOWER_BASIC_AUTH": "ana:s3cret"}),
    ],
)
def test_a_flowerconfig_that_is_named_and_not_there_is_said_to_be_missing(
    arguments: list[str], variables: dict[str, str], start: Start, tmp_path: Path
) -> None:
    line = refusal(start, *arguments, **variables)
    assert line.startswith(f"chimera: Flower's settings are missing: there is no {tmp_path / 'flowerconfig.py'}. ")
    assert "`chimera init`" in line
    assert "CHIMERA_FLOWER_CONFIG" in line


def test_with_a_password_it_shows_its_pages_to_who_knows_it(start: Start) -> None:
    port = free_port()
    assert listens(start(f"--port={port}", "--basic-auth=ana:s3cret"), port)
    page = urllib.request.Request(f"http://127.0.0.1:{port}/workers")
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(page, timeout=10)
    refused.value.close()
    page.add_header("Authorization", f"Basic {b64encode(b'ana:s3cret').decode()}")
    with urllib.request.urlopen(page, timeout=10) as answer:
        assert answer.status == 200


def test_nothing_but_its_health_is_told_to_who_does_not_know_it(start: Start) -> None:
    from flower.urls import handlers

    port = free_port()
    assert listens(start(f"--port={port}", "--basic-auth=ana:s3cret"), port)
    paths = [handler[0] if isinstance(handler, tuple) else handler.regex.pattern for handler in handlers]
    told = set()
    for path in paths:
        place = path.rstrip("$").replace("(.+)", "x").replace("(.*)", "x").replace("/?", "").lstrip(".*").lstrip("/")
        for method in ("GET", "POST"):
            asked = urllib.request.Request(f"http://127.0.0.1:{port}/{place}", method=method)
            with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(asked, timeout=10):
                told.add((method, place))
    assert told == {("GET", "healthcheck"), ("GET", "logout")}
