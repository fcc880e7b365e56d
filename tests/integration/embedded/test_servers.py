import multiprocessing
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from chimera.adapters.embedded import EmbeddedServers
from chimera.adapters.embedded.lock import Lock, holder
from chimera.adapters.embedded.ports import free_port
from chimera.adapters.embedded.pulse import ASK_EVERY_SECONDS
from chimera.errors import EmbeddedServerError, StackAlreadyRunning
from chimera.settings import Settings

OWNER_URL = "CHIMERA_OWNER_DATABASE_URL"
ELSEWHERE = {
    OWNER_URL: "postgresql://boss:secret@db.example:6432/agents?sslmode=require",
    "CHIMERA_REDIS_URL": "redis://cache.example/3",
}


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


@pytest.fixture(scope="module")
def stack() -> Iterator[EmbeddedServers]:
    """One stack for the tests that only look at it."""
    folder = Path(tempfile.mkdtemp(prefix="chimera-test-")).resolve()
    folder.chmod(0o755)
    with EmbeddedServers(folder, {"PATH": os.environ["PATH"]}) as running:
        yield running
    shutil.rmtree(folder)


def test_children_find_both_servers_by_the_variables(stack: EmbeddedServers) -> None:
    assert ask(stack.variables[OWNER_URL], "SELECT current_database()") == "chimera"
    with redis.Redis.from_url(stack.variables["CHIMERA_REDIS_URL"]) as client:
        assert client.ping()
    assert int(stack.variables["CHIMERA_FLOWER_PORT"]) > 1024
    assert stack.variables["CHIMERA_FLOWER_BASIC_AUTH"].startswith("chimera:")


@pytest.mark.parametrize("role", ["owner", "app", "worker", "judge"])
def test_each_role_has_a_url_and_a_password_of_its_own(stack: EmbeddedServers, role: str) -> None:
    url = urlsplit(stack.variables[f"CHIMERA_{role.upper()}_DATABASE_URL"])
    assert (url.scheme, url.username, url.hostname, url.path) == (
        "postgresql",
        f"chimera_{role}",
        "127.0.0.1",
        "/chimera",
    )
    others = [value for name, value in stack.variables.items() if role.upper() not in name]
    assert url.password
    assert not any(url.password in other for other in others)


def test_the_owner_may_make_roles_and_is_no_superuser(stack: EmbeddedServers) -> None:
    url = stack.variables[OWNER_URL]
    assert ask(url, "SELECT NOT rolsuper FROM pg_roles WHERE rolname = current_user") is True
    with psycopg.connect(url) as connection:
        connection.execute("CREATE ROLE chimera_app LOGIN")


def test_only_who_knows_the_password_gets_in(stack: EmbeddedServers) -> None:
    address = stack.variables[OWNER_URL].rpartition("@")[2]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://chimera_owner:wrong@{address}")
    redis_address = stack.variables["CHIMERA_REDIS_URL"].rpartition("@")[2]
    with redis.Redis.from_url(f"redis://{redis_address}") as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_a_commit_is_on_the_disk_when_it_is_acknowledged(stack: EmbeddedServers) -> None:
    url = stack.variables[OWNER_URL]
    assert ask(url, "SHOW fsync") == ask(url, "SHOW synchronous_commit") == "on"


def test_the_env_file_is_for_its_owner_and_is_what_settings_read(
    stack: EmbeddedServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("CHIMERA_")]:
        monkeypatch.delenv(name)
    file = stack.data_dir / "env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Settings(_env_file=file).require("owner_database_url") == stack.variables[OWNER_URL]
    assert f"CHIMERA_STACK_PID={os.getpid()}\n" in file.read_text()


def test_a_second_start_on_the_same_folder_has_the_data(data_dir: Path, environ: dict[str, str]) -> None:
    servers = EmbeddedServers(data_dir, environ)
    first = servers.start()
    with psycopg.connect(first[OWNER_URL]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with redis.Redis.from_url(first["CHIMERA_REDIS_URL"]) as client:
        client.set("kept", "42")
    servers.stop()

    with EmbeddedServers(data_dir, environ) as again:
        assert ask(again.variables[OWNER_URL], "SELECT answer FROM kept") == 42
        with redis.Redis.from_url(again.variables["CHIMERA_REDIS_URL"]) as client:
            assert client.get("kept") == b"42"


def test_a_second_stack_on_the_folder_is_refused(data_dir: Path) -> None:
    with EmbeddedServers(data_dir, ELSEWHERE):
        with pytest.raises(StackAlreadyRunning) as refusal:
            EmbeddedServers(data_dir, ELSEWHERE).start()
        assert str(data_dir) in str(refusal.value)
        assert "chimera down" in str(refusal.value)
        assert str(os.getpid()) in str(refusal.value)
    EmbeddedServers(data_dir, ELSEWHERE).start()


def test_servers_that_the_environment_names_are_used_and_none_is_started(data_dir: Path) -> None:
    with EmbeddedServers(data_dir, ELSEWHERE) as servers:
        assert servers.variables.items() >= ELSEWHERE.items()
        assert sorted(path.name for path in data_dir.iterdir()) == ["env", "lock", "passwords.json"]
        app = servers.variables["CHIMERA_APP_DATABASE_URL"]
    assert app.startswith("postgresql://chimera_app:")
    assert app.endswith("@db.example:6432/agents?sslmode=require")


def test_a_connection_string_of_the_other_form_gets_its_roles_too(data_dir: Path) -> None:
    with EmbeddedServers(data_dir, ELSEWHERE | {OWNER_URL: "host=db.example dbname=agents user=boss"}) as servers:
        assert "user=chimera_judge" in servers.variables["CHIMERA_JUDGE_DATABASE_URL"]
        assert "host=db.example" in servers.variables["CHIMERA_JUDGE_DATABASE_URL"]


def test_only_what_is_not_named_is_started(data_dir: Path, environ: dict[str, str]) -> None:
    with EmbeddedServers(data_dir, environ | {OWNER_URL: ELSEWHERE[OWNER_URL]}) as servers:
        with redis.Redis.from_url(servers.variables["CHIMERA_REDIS_URL"]) as client:
            assert client.ping()
        assert not (data_dir / "postgres").exists()


def test_half_a_database_is_refused(data_dir: Path, environ: dict[str, str]) -> None:
    with pytest.raises(EmbeddedServerError, match="CHIMERA_APP_DATABASE_URL is set, but CHIMERA_OWNER"):
        EmbeddedServers(data_dir, environ | {"CHIMERA_APP_DATABASE_URL": "postgresql://x/y"}).start()


def test_a_value_that_no_env_file_can_hold_is_refused_and_the_folder_is_free_again(data_dir: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="CHIMERA_REDIS_URL has"):
        EmbeddedServers(data_dir, ELSEWHERE | {"CHIMERA_REDIS_URL": "redis://:it's@h/0"}).start()
    EmbeddedServers(data_dir, ELSEWHERE).start()


def test_flower_gets_the_port_and_password_of_the_environment(data_dir: Path) -> None:
    given = {"CHIMERA_FLOWER_PORT": str(free_port()), "CHIMERA_FLOWER_BASIC_AUTH": "me:pa$$ #1"}
    with EmbeddedServers(data_dir, ELSEWHERE | given) as servers:
        assert servers.variables.items() >= given.items()


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_a_port_that_is_none_is_refused(data_dir: Path, port: str) -> None:
    with pytest.raises(EmbeddedServerError, match=f"CHIMERA_FLOWER_PORT={port} is no port"):
        EmbeddedServers(data_dir, ELSEWHERE | {"CHIMERA_FLOWER_PORT": port}).start()


def test_a_port_that_is_taken_is_refused(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with pytest.raises(EmbeddedServerError, match=f"CHIMERA_FLOWER_PORT={port}, but another process"):
            EmbeddedServers(data_dir, ELSEWHERE | {"CHIMERA_FLOWER_PORT": port}).start()


def test_a_folder_that_cannot_be_written_is_named(data_dir: Path) -> None:
    (data_dir / "file").touch()
    with pytest.raises(EmbeddedServerError, match=r"file/below cannot be used.*CHIMERA_DATA"):
        EmbeddedServers(data_dir / "file" / "below", ELSEWHERE).start()


def test_a_machine_without_semaphores_is_refused(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_shm() -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(multiprocessing, "Lock", no_shm)
    with pytest.raises(EmbeddedServerError, match=r"no semaphores .*/dev/shm"):
        EmbeddedServers(data_dir, ELSEWHERE).start()


def test_damaged_passwords_are_refused(data_dir: Path) -> None:
    (data_dir / "passwords.json").write_text("[")
    with pytest.raises(EmbeddedServerError, match=r"passwords\.json holds the passwords .* is damaged"):
        EmbeddedServers(data_dir, ELSEWHERE).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has servers of another user")
def test_root_is_told_which_folder_is_closed_to_the_servers(data_dir: Path, environ: dict[str, str]) -> None:
    closed = data_dir / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match=f"nobody, who cannot enter {closed}, "):
        EmbeddedServers(closed / "data", environ).start()


def test_a_server_that_dies_comes_back_on_its_port_with_its_data(data_dir: Path, environ: dict[str, str]) -> None:
    with EmbeddedServers(data_dir, environ) as servers:
        url, redis_url = servers.variables[OWNER_URL], servers.variables["CHIMERA_REDIS_URL"]
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        with redis.Redis.from_url(redis_url) as client:
            client.set("kept", "42")
        for server in ("postgres", "valkey"):
            kill(data_dir / server / "lock")
        servers.poll()
        assert ask(url, "SELECT answer FROM kept") == 42
        with redis.Redis.from_url(redis_url) as client:
            assert client.get("kept") == b"42"


def test_a_server_that_dies_again_and_again_is_given_up(data_dir: Path, environ: dict[str, str]) -> None:
    with EmbeddedServers(data_dir, environ | {OWNER_URL: ELSEWHERE[OWNER_URL]}) as servers:
        for _ in range(5):
            kill(data_dir / "valkey" / "lock")
            servers.poll()
        kill(data_dir / "valkey" / "lock")
        with pytest.raises(EmbeddedServerError, match=r"Valkey ended 6 times in a row.*server\.log"):
            servers.poll()


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_a_server_that_hangs_is_started_again(
    name: str, data_dir: Path, environ: dict[str, str], eventually: Callable[[Callable[[], object]], None]
) -> None:
    with EmbeddedServers(data_dir, environ, durable=False, hung_after_seconds=1.0) as servers:
        hung = holder(data_dir / name / "lock")
        assert hung
        os.kill(hung, signal.SIGSTOP)
        assert os.waitid(os.P_PID, hung, os.WSTOPPED | os.WNOWAIT)

        def restarted() -> bool:
            servers.poll()
            return holder(data_dir / name / "lock") != hung

        eventually(restarted)
        assert ask(servers.variables[OWNER_URL], "SELECT 1") == 1
        with redis.Redis.from_url(servers.variables["CHIMERA_REDIS_URL"]) as client:
            assert client.ping()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a process's children")
def test_a_server_all_of_whose_processes_stand_still_is_started_again(
    data_dir: Path, environ: dict[str, str], eventually: Callable[[Callable[[], object]], None]
) -> None:
    with EmbeddedServers(
        data_dir, environ, durable=False, hung_after_seconds=1.0, earlier_ends_within_seconds=5.0
    ) as servers:
        hung = holder(data_dir / "postgres" / "lock")
        assert hung
        children = Path(f"/proc/{hung}/task/{hung}/children").read_text().split()
        assert children
        for pid in (hung, *map(int, children)):
            os.kill(pid, signal.SIGSTOP)

        def restarted() -> bool:
            servers.poll()
            return holder(data_dir / "postgres" / "lock") != hung

        eventually(restarted)
        assert ask(servers.variables[OWNER_URL], "SELECT 1") == 1


def test_a_server_that_answers_is_left_alone(data_dir: Path, environ: dict[str, str]) -> None:
    with EmbeddedServers(data_dir, environ, durable=False, hung_after_seconds=5.0) as servers:
        locks = [data_dir / name / "lock" for name in ("postgres", "valkey")]
        before = [holder(lock) for lock in locks]
        # Unanswered, the questions of this time would be more than is put up with.
        asked_until = time.monotonic() + 4 * ASK_EVERY_SECONDS
        while time.monotonic() < asked_until:
            servers.poll()
            time.sleep(0.02)
        assert [holder(lock) for lock in locks] == before
        said = (data_dir / "postgres" / "server.log").read_text()
    assert "startup packet" not in said  # its log is not filled with our questions


def test_no_server_outlives_a_killed_owner_and_the_next_start_works(
    data_dir: Path, environ: dict[str, str], spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    owner = spawn("stack_process.py", data_dir)
    locks = [data_dir / server / "lock" for server in ("postgres", "valkey")]
    assert all(holder(lock) for lock in locks)

    owner.send_signal(signal.SIGKILL)
    owner.wait()
    for lock in locks:
        wait_for_all_holders(lock)
    with EmbeddedServers(data_dir, environ, durable=False) as servers:
        assert ask(servers.variables[OWNER_URL], "SELECT 1") == 1


def kill(lock: Path) -> None:
    """Kill the server that holds the lock, and return when all its processes are gone."""
    pid = holder(lock)
    assert pid
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    wait_for_all_holders(lock)


def wait_for_all_holders(lock: Path) -> None:
    taken = Lock.take(lock, patience_seconds=20)
    assert taken is not None, f"process {holder(lock)} still holds {lock}"
    taken.close()
