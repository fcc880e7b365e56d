import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from chimera.adapters.embedded import server as server_module
from chimera.adapters.embedded import valkey as valkey_module
from chimera.adapters.embedded.account import Account
from chimera.adapters.embedded.binaries import find_postgres, find_valkey, usable_by
from chimera.adapters.embedded.database_urls import OWNER
from chimera.adapters.embedded.ports import free_port
from chimera.adapters.embedded.postgres import EmbeddedPostgres
from chimera.adapters.embedded.valkey import EmbeddedValkey
from chimera.errors import EmbeddedServerError

Make = Callable[..., EmbeddedPostgres]


@pytest.fixture
def make(data_dir: Path, environ: dict[str, str], account: Account) -> Make:
    binaries = usable_by(account, find_postgres(environ), data_dir / "runtime")

    def postgres(*, superuser_password: str = "s3cret") -> EmbeddedPostgres:
        return EmbeddedPostgres(
            data_dir / "postgres",
            binaries=binaries,
            account=account,
            superuser_password=superuser_password,
            owner_password="s3cret",
            durable=False,
        )

    return postgres


def answers(server: EmbeddedPostgres) -> bool:
    with psycopg.connect(server.url(OWNER, "s3cret")) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def test_stop_and_start_are_safe_to_repeat(make: Make) -> None:
    server = make()
    assert server.pid is None
    server.stop()
    server.start()
    assert server.is_running
    server.stop()
    server.stop()
    assert not server.is_running
    server.start()
    assert answers(server)
    server.stop()


def test_a_pid_file_that_names_another_living_process_does_not_stop_a_start(
    make: Make, account: Account, data_dir: Path
) -> None:
    server = make()
    server.start()
    pid_file = data_dir / "postgres" / "data" / "postmaster.pid"
    left = pid_file.read_text().splitlines()
    server.stop()
    # As in a container that was killed and started again: the id is now that of another process of this user.
    other = subprocess.Popen(["sleep", "60"], **account.identity())
    pid_file.write_text("\n".join([str(other.pid), *left[1:]]))
    account.own(pid_file)

    server.start()
    assert answers(server)
    server.stop()
    assert other.poll() is None
    other.kill()
    other.wait()


def test_a_cluster_of_another_major_version_is_refused(make: Make, data_dir: Path) -> None:
    server = make()
    server.start()
    server.stop()
    (data_dir / "postgres" / "data" / "PG_VERSION").write_text("11\n")
    with pytest.raises(EmbeddedServerError, match=r"made by PostgreSQL 11, .*CHIMERA_POSTGRES_BIN .*PostgreSQL 11"):
        server.start()


def test_what_a_killed_first_start_left_is_made_anew(make: Make, data_dir: Path) -> None:
    half = data_dir / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    server = make()
    server.start()
    assert answers(server)
    server.stop()


def test_an_initdb_that_fails_says_why(data_dir: Path, environ: dict[str, str], account: Account) -> None:
    binaries = usable_by(account, find_postgres(environ), data_dir / "runtime")
    server = EmbeddedPostgres(
        data_dir / "postgres", binaries=binaries, account=account, superuser_password="", owner_password="x"
    )
    with pytest.raises(EmbeddedServerError, match=r"(?s)initdb ended with code 1 .*server\.log.*password"):
        server.start()


def test_lost_passwords_are_named_as_the_cause(make: Make) -> None:
    server = make()
    server.start()
    server.stop()
    other = make(superuser_password="another")
    with pytest.raises(EmbeddedServerError, match="does not let us in"):
        other.start()
    assert not other.is_running


def test_a_port_lost_to_another_process_is_replaced(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as thief:
        lost = thief.getsockname()[1]
        ports = iter([lost, free_port()])
        monkeypatch.setattr(server_module, "free_port", lambda: next(ports))
        server = make()
        server.start()
        assert answers(server)
        assert server.port != lost
        server.stop()


def test_valkey_too_replaces_a_lost_port_and_gives_up_in_the_end(
    data_dir: Path, environ: dict[str, str], account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    binaries = usable_by(account, find_valkey(environ), data_dir / "runtime")
    server = EmbeddedValkey(data_dir / "valkey", binaries=binaries, account=account, password="s3cret")
    with socket.create_server(("127.0.0.1", 0)) as thief:
        lost = thief.getsockname()[1]
        monkeypatch.setattr(server_module, "free_port", lambda: lost)
        with pytest.raises(EmbeddedServerError, match=f"Valkey found no port.*{lost}"):
            server.start()
    assert not server.is_running


def test_a_server_that_cannot_start_says_why(data_dir: Path, environ: dict[str, str], account: Account) -> None:
    binaries = usable_by(account, find_valkey(environ), data_dir / "runtime")
    server = EmbeddedValkey(data_dir / "valkey", binaries=binaries, account=account, password="s3cret\nnonsense")
    with pytest.raises(EmbeddedServerError, match=r"(?s)Valkey ended with code 1 .*server\.log.*nonsense"):
        server.start()


def test_a_redis_too_old_for_our_commands_is_refused(
    data_dir: Path, environ: dict[str, str], account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_module, "OLDEST_REDIS", (99, 0))
    binaries = usable_by(account, find_valkey(environ), data_dir / "runtime")
    server = EmbeddedValkey(data_dir / "valkey", binaries=binaries, account=account, password="s3cret")
    with pytest.raises(EmbeddedServerError, match=r"is Redis 7\.\d.*; Chimera needs"):
        server.start()
    assert not server.is_running


def test_a_folder_has_one_server_at_a_time(make: Make) -> None:
    server = make()
    server.start()
    second = make()
    second.earlier_ends_within_seconds = 0.1
    with pytest.raises(EmbeddedServerError, match=f"PostgreSQL of an earlier run .process {server.pid}. still works"):
        second.start()
    server.stop()


def test_a_server_that_does_not_end_is_killed(
    data_dir: Path, environ: dict[str, str], account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "STOPPED_WITHIN_SECONDS", 0.2)
    binaries = usable_by(account, find_valkey(environ), data_dir / "runtime")
    server = EmbeddedValkey(data_dir / "valkey", binaries=binaries, account=account, password="s3cret")
    server.start()
    assert server.pid
    os.kill(server.pid, signal.SIGSTOP)
    server.stop()
    assert not server.is_running


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(make: Make, data_dir: Path) -> None:
    server = make()
    server.start()
    server.stop()
    os.chown(data_dir / "postgres" / "data", 4711, 4711)
    with pytest.raises(EmbeddedServerError, match="belongs to the user id 4711"):
        server.start()
