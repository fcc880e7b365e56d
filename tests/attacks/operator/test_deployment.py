"""What the files that an operator starts from give away: to who lists processes, who scrapes, who is the owner."""

import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

import chimera.errors
from chimera.adapters.embedded.binaries import find_valkey
from chimera.adapters.embedded.ports import free_port

ROOT = Path(chimera.errors.__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PASSWORD = "pass-word-0123456789"


def test_the_owner_of_the_compose_file_passes_by_row_level_security() -> None:
    """The image makes POSTGRES_USER a superuser, for whom no policy holds."""
    superuser = COMPOSE["services"]["postgres"]["environment"].get("POSTGRES_USER", "postgres")
    owner = COMPOSE["services"]["migrate"]["environment"]["CHIMERA_OWNER_DATABASE_URL"]
    assert not owner.startswith(f"postgresql://{superuser}:")


def test_a_list_of_processes_shows_the_brokers_password(tmp_path: Path) -> None:
    """Runs the compose file's own command with a real server, on a port of loopback."""
    port = free_port()
    server = tmp_path / "valkey-server"
    options = f"--bind 127.0.0.1 --port {port} --dir {tmp_path}"
    real = shlex.quote(str(find_valkey(os.environ).path))
    # The server hides its arguments once it runs; who looks earlier, or audits each start of a program, sees these.
    server.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/seen\nexec {real} "$@" {options}\n')
    server.chmod(0o755)
    line = [word.replace("$$", "$") for word in COMPOSE["services"]["valkey"]["command"]]
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(line, env={"PATH": path, "VALKEY_PASSWORD": PASSWORD}, stdout=subprocess.DEVNULL) as running:
        try:
            with redis.Redis(port=port, password=PASSWORD, decode_responses=True) as client:
                _until(lambda: _answers(client))
                assert client.config_get("appendonly") == {"appendonly": "yes"}
            with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
                stranger.ping()
            assert PASSWORD not in (tmp_path / "seen").read_text()
        finally:
            running.terminate()


def test_a_scraper_without_the_password_reads_flowers_metrics(servers: dict[str, str], tmp_path: Path) -> None:
    """They name workers and tasks, and how long tenants' queues are."""
    port = free_port()
    own = {name: value for name, value in os.environ.items() if not name.startswith(("CHIMERA_", "FLOWER_"))}
    line = [sys.executable, "-P", "-m", "celery", "-A", "chimera", "flower", "--address=127.0.0.1", f"--port={port}"]
    line.append("--basic-auth=ana:s3cret")
    variables = own | {"CHIMERA_REDIS_URL": servers["CHIMERA_REDIS_URL"]}
    with subprocess.Popen(line, cwd=tmp_path, env=variables, stderr=subprocess.DEVNULL) as flower:
        try:
            _until(lambda: _listens(port))
            with pytest.raises(urllib.error.HTTPError, match="401") as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).close()
            refused.value.close()
        finally:
            flower.terminate()


def _until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
