"""`chimera audit verify | export | key`, and what the doctor says, against a real database."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from chimera import bootstrap, logs
from chimera.adapters.files.checkpoint_place import CheckpointPlace
from chimera.adapters.files.key_ring import KeyRing
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.checkpoint_store import CheckpointStore
from chimera.adapters.postgres.stores.plan_store import PlanStore
from chimera.adapters.postgres.stores.tenant_store import TenantStore
from chimera.adapters.system_clock import SystemClock
from chimera.bootstrap.auditing import Auditing
from chimera.cli import output
from chimera.cli.main import main
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.plan import PlanRequest
from chimera.services.checkpointer import Checkpointer
from chimera.settings import settings
from tests.conftest import new_tenant_id
from tests.contract.cli.conftest import DatabaseServices, close
from tests.shell import environment
from tests.unit.cli.conftest import Ran

CHIMERA = (sys.executable, "-m", "chimera.cli.main")

Variables = dict[str, str]
Run = Callable[..., Ran]


@pytest.fixture
def variables(servers: dict[str, str], tmp_path: Path) -> Variables:
    """A deployment with a folder of checkpoints and one of keys."""
    folders = {"CHECKPOINTS": "checkpoints", "AUDIT_KEYS": "keys", "DATA": "data"}
    own = {f"CHIMERA_{name}": str(tmp_path / folder) for name, folder in folders.items()}
    return servers | own | {"CHIMERA_CHECKPOINT_ORIGIN": "tests"}


@pytest.fixture
def run(variables: Variables, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs a command line in this process, as in one that has these variables, and more."""
    for name in [name for name in os.environ if name.startswith("CHIMERA_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(logs, "configure", lambda _level: None)

    def command(*arguments: str, **more: str) -> Ran:
        with pytest.MonkeyPatch.context() as patch, ExitStack() as undo:
            for name, value in more.items():
                patch.setenv(name, value)
            for cached in (settings, output.stdout, output.stderr):
                cached.cache_clear()
                undo.callback(cached.cache_clear)
            services, auditing = DatabaseServices(settings(), Catalogue()), Auditing(settings(), SystemClock())
            patch.setattr(bootstrap, "services", lambda: services)
            patch.setattr(bootstrap, "auditing", lambda: auditing)
            undo.callback(close, services.adapters)
            undo.callback(close, auditing)
            code = main(arguments)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    with capture_logs():
        yield command


@pytest.fixture
def tenant(owner_database: Database) -> str:
    tenant_id = new_tenant_id()
    TenantStore(owner_database).add(tenant_id, "tests")
    return tenant_id


@pytest.fixture
def sealed(run: Run, tenant: str, tmp_path: Path, app_database: Database, seal_database: Database) -> str:
    """A tenant with five entries, sealed."""
    assert run("audit", "key", "new").code == 0
    clock = SystemClock()
    for number in range(4):
        request = PlanRequest(tenant_id=tenant, planner="p", goal="g", inputs={"n": number}, trace_id="t")
        PlanStore(app_database).submit(clock.new_id(), request)
    ring, place = KeyRing(tmp_path / "keys", clock), CheckpointPlace(tmp_path / "checkpoints")
    store = CheckpointStore(seal_database)
    assert Checkpointer(store, [place], ring, clock, origin="tests", interval_seconds=60.0).seal(tenant)
    return tenant


def tamper(servers: dict[str, str], tenant: str) -> None:
    with psycopg.connect(servers["SUPERUSER_DATABASE_URL"]) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("update audit set actor = 'eve' where tenant_id = %s and seq = 3", [tenant])


def test_verify_says_ok_and_names_the_first_bad_row(run: Run, sealed: str, servers: dict[str, str]) -> None:
    ok = run("audit", "verify", "--tenant", sealed, "-o", "json")
    document: dict[str, Any] = ok.json
    assert (ok.code, document["ok"], document["rows"], document["first_bad"]) == (0, True, 5, None)
    assert document["tenants"][0]["sealed_seq"] == 5
    tamper(servers, sealed)
    bad = run("audit", "verify", "--tenant", sealed, "-o", "json")
    document = bad.json
    assert (bad.code, document["ok"]) == (1, False)
    assert document["first_bad"] | {"what": ""} == {
        "tenant_id": sealed, "table": "audit", "seq": 3, "id": None, "what": "",
    }  # fmt: skip
    shown = run("audit", "verify", "-t", sealed)
    assert shown.code == 1
    assert "BAD" in shown.out
    assert "actor" in shown.out


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_an_export_is_verified_offline(run: Run, sealed: str, tmp_path: Path, form: str) -> None:
    file = tmp_path / f"export.{form}"
    written = run("audit", "export", "--tenant", sealed, "--format", form, "--seal-here", str(file), "-o", "json")
    assert written.json["entries"] == 6  # its own reading among them
    nowhere = {"CHIMERA_APP_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    keys = str(tmp_path / "keys" / "keys.json")
    [key] = json.loads((tmp_path / "keys" / "keys.json").read_text())
    for more in ((), ("--keys", keys), ("--key", key["key_id"]), ("--key", key["public_key"])):
        verified = run("audit", "verify", "--offline", str(file), *more, "-o", "json", **nowhere)
        assert (verified.code, verified.json["rows"]) == (0, 6)
    file.write_text(file.read_text().replace(",app,", ",eve,").replace('"actor":"app"', '"actor":"eve"'))
    assert run("audit", "verify", "--offline", str(file), **nowhere).code == 1
    nobody = run("audit", "verify", "--offline", str(file), CHIMERA_AUDIT_KEYS="", **nowhere)
    assert (nobody.code, "--key ID" in nobody.err) == (2, True)


def test_checkpoints_of_a_file_count_too(run: Run, sealed: str, tmp_path: Path) -> None:
    kept = tmp_path / "checkpoints" / f"{sealed}.jsonl"
    assert run("audit", "verify", "-t", sealed, "--checkpoint", str(kept)).code == 0
    point = json.loads(kept.read_text())
    (tmp_path / "other").write_text(json.dumps(point | {"seq": 4}) + "\n")
    found = run("audit", "verify", "-t", sealed, "--checkpoint", str(tmp_path / "other"))
    assert found.code == 1
    assert "signature" in found.out


def test_keys_are_shown_and_rotated(run: Run, sealed: str) -> None:
    assert run("audit", "key", "new").code != 0
    [first] = run("audit", "key", "list", "-o", "json").json
    [second] = run("audit", "key", "rotate", "-o", "json").json
    assert second["announced"]["by"] == first["key_id"]
    before, after = run("audit", "key", "list", "-o", "json").json
    assert before["retired_at"] == after["created_at"]
    assert run("audit", "verify", "-t", sealed).code == 0  # a checkpoint by the new key is on its way


@pytest.mark.exhaustive(keep=2)
@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({}, "ok", "signed with key"),
        ({"CHIMERA_CHECKPOINTS": ""}, "WARN", "off"),
        ({"CHIMERA_AUDIT_KEYS": "/nowhere"}, "FAIL", "/nowhere/keys.json"),
        ({"CHIMERA_CHECKPOINTS": "/proc/no"}, "FAIL", "/proc/no"),
    ],
)
def test_the_doctor_says_how_checkpoints_are(
    variables: Variables, sealed: str, tmp_path: Path, more: dict[str, str], status: str, says: str
) -> None:
    """In a process of its own: it imports the code of the folder where it is, which is none."""
    # A long interval: other tests' tenants are sealed by nobody.
    env = environment() | variables | {"CHIMERA_CHECKPOINT_SECONDS": "86400"} | more
    command = [*CHIMERA, "doctor", "-o", "json"]
    ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60)
    [found] = [finding for finding in json.loads(ran.stdout) if finding["check"] == "checkpoints"]
    assert found["status"] == status
    assert says in found["detail"]


def test_a_tenant_that_is_not_there_is_not_verified(run: Run, sealed: str) -> None:
    ran = run("audit", "verify", "--tenant", "nope", "-o", "json")
    assert (ran.code, ran.out) == (3, "")
    assert json.loads(ran.err.splitlines()[-1])["code"] == "UnknownTenant"


def test_who_did_what_is_one_command_and_an_export_of_it_is_no_proof(run: Run, sealed: str, tmp_path: Path) -> None:
    listed = run("audit", "list", "-t", sealed, "--kind", "plan", "--since", "1h", "--actor", "app", "-o", "json")
    assert [entry["kind"] for entry in listed.json] == ["plan.submitted"] * 4
    assert run("audit", "list", "-t", sealed, "--until", "1h", "-o", "json").json == []
    facts = run("audit", "list", "-t", sealed, "-o", "json").json[-2]["facts"]
    assert ("plan.submitted" in facts["kinds"], facts["actor"], facts["rows"]) == (True, "app", 4)
    file = tmp_path / "selection"
    written = run("audit", "export", "-t", sealed, "--kind", "plan.submitted", str(file))
    assert (written.code, written.out) == (0, f"4 entries of {sealed} are in {file}\n")
    assert "it is a selection, not the chain" in written.err
    verified = run("audit", "verify", "--offline", str(file))
    assert (verified.code, verified.out) == (2, "")
    assert "it proves nothing" in verified.err


def test_an_export_into_a_pipe_that_closes_ends_quietly(variables: Variables, sealed: str) -> None:
    command = [*CHIMERA, "audit", "export", "-t", sealed, "--kind", "plan", "-"]
    reader, writer = os.pipe()
    os.close(reader)
    ran = subprocess.run(
        command,
        env=environment() | variables,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (128 + 13, "")


def test_wrong_options_are_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("")
    for arguments in (
        ("verify", "--offline", str(file), "--tenant", "acme"),
        ("verify", "--checkpoint", str(file)),
        ("verify", "--offline", str(file), "--key", "0" * 16),
        ("export", "-t", "acme", "-", "-o", "json"),
    ):
        assert run("audit", *arguments).code == 2
