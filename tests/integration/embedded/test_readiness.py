"""A stack that does not become ready names the process that keeps it from it, and has that one's last words."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chimera import bootstrap
from chimera.adapters.embedded import EmbeddedServers, Supervisor
from chimera.adapters.embedded.ports import free_port
from chimera.adapters.embedded.procfile import read_procfile
from chimera.cli.stack.readiness import Readiness
from chimera.errors import EmbeddedServerError
from chimera.settings import settings

STUCK = "sh -c 'echo I am stuck; exec sleep 1000' celery worker"
WORKER = "celery -A chimera worker -Q judge -P solo -n judge@%h --without-mingle --without-gossip"


@pytest.fixture
def env(data_dir: Path, environ: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """A broker, and this process as one that supervises a folder without a celeryconfig."""
    away = {"CHIMERA_OWNER_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/c"}
    with EmbeddedServers(data_dir, environ | away) as servers, pytest.MonkeyPatch.context() as patch:
        patch.delenv("CELERY_CONFIG_MODULE", raising=False)
        patch.chdir(tmp_path)
        for name, value in servers.variables.items():
            patch.setenv(name, value)
        for cached in (settings, bootstrap.celery_app):
            cached.cache_clear()
        yield environ | servers.variables
    for cached in (settings, bootstrap.celery_app):
        cached.cache_clear()


def not_ready(
    procfile: str, env: dict[str, str], folder: Path, flower_port: int = 0, within_seconds: float = 60
) -> str:
    path = folder / "Procfile"
    path.write_text(procfile)
    logs = folder / "logs"
    readiness = Readiness(read_procfile(path), logs, flower_port, within_seconds=within_seconds)
    supervisor = Supervisor(path, env=env, cwd=folder, log_dir=logs, restart_delay_seconds=0.5)

    def rest() -> None:
        supervisor.poll()
        time.sleep(0.02)

    with supervisor, pytest.raises(EmbeddedServerError) as error:
        readiness.wait(supervisor, rest)
    return str(error.value)


def test_a_worker_that_does_not_answer_is_named_and_those_that_do_are_not(env: dict[str, str], tmp_path: Path) -> None:
    # Long enough for the other one, which has to start.
    said = not_ready(f"worker: {STUCK}\njudge: {WORKER}\n", env, tmp_path, within_seconds=20)
    assert said.startswith("worker does not answer after 20 s. worker runs (process ")
    assert str(tmp_path / "logs" / "worker.log") in said
    assert said.endswith("I am stuck")


def test_all_that_do_not_answer_are_named(env: dict[str, str], tmp_path: Path) -> None:
    said = not_ready(f"one: {STUCK}\ntwo: {STUCK}\nbeat: sleep 1000\n", env, tmp_path, within_seconds=0.5)
    assert said.startswith("one, two do not answer after 0.5 s. ")
    assert said.count("I am stuck") == 2


def test_a_process_that_ends_again_and_again_is_named_long_before_the_others_are_waited_for(
    env: dict[str, str], tmp_path: Path
) -> None:
    began = time.monotonic()
    said = not_ready(f"worker: {STUCK}\nflower: sh -c 'echo no password; exit 3'\n", env, tmp_path, free_port())
    assert said.startswith("flower ended again and again while the stack started, the last time with code 3. ")
    assert said.endswith("says, and start again:\nno password")
    assert time.monotonic() - began < 30


def test_a_flower_that_listens_elsewhere_is_told_so(env: dict[str, str], tmp_path: Path) -> None:
    expected, other = free_port(), free_port()
    flower = f"celery -A chimera flower --port={other} --address=127.0.0.1 --basic-auth=ana:s3cret"
    said = not_ready(f"flower: {flower}\n", env, tmp_path, expected)
    assert said.startswith(f"flower listens at http://127.0.0.1:{other}, and not on port {expected}. ")
    assert "CHIMERA_FLOWER_PORT" in said
