"""`chimera seal`: a process that needs its login, the key and the places, and that nothing ends but a signal."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from chimera.adapters.embedded.database_urls import OWNER_URL, ROLES
from chimera.adapters.embedded.ports import free_port
from chimera.adapters.files.checkpoint_place import CheckpointPlace
from chimera.adapters.files.key_ring import KeyRing
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.migrate import Migrations
from chimera.adapters.system_clock import SystemClock
from chimera.services.checkpointer import Checkpointer
from tests.conftest import new_tenant_id
from tests.contract.scene import Scene
from tests.contract.worlds import FakeWorld, PostgresWorld
from tests.fakes import FakeCheckpointPlace
from tests.shell import environment

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def apart(servers: dict[str, str]) -> Iterator[dict[str, str]]:
    """A database without other tests' tenants, who would all be sealed."""
    name = f"seal_{uuid4().hex[:8]}"
    env = servers | {role: urlsplit(servers[role])._replace(path=f"/{name}").geturl() for role in ROLES}
    with psycopg.connect(servers["SUPERUSER_DATABASE_URL"], autocommit=True) as superuser:
        superuser.execute(f"create database {name} owner chimera_owner".encode())
        Migrations(env[OWNER_URL]).upgrade([env[role] for role in ROLES if role != OWNER_URL])
        yield env
        superuser.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
def scene(apart: dict[str, str]) -> Iterator[Scene]:
    with ExitStack() as undo:
        names = ("OWNER", "APP", "WORKER", "JUDGE", "SEAL", "REVIEW")
        each = [undo.enter_context(closing(Database(apart[f"CHIMERA_{role}_DATABASE_URL"], 4))) for role in names]
        world = PostgresWorld(*each)
        tenant_id = new_tenant_id()
        world.add_tenant(tenant_id)
        yield Scene(world, tenant_id)


@pytest.fixture
def start(apart: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts the command line in a folder whose celeryconfig cannot be imported, with what `chimera seal` gets."""
    (tmp_path / "celeryconfig.py").write_text("raise SystemExit('the project was imported')\n")
    env = environment() | {
        "CHIMERA_SEAL_DATABASE_URL": apart["CHIMERA_SEAL_DATABASE_URL"],
        "CHIMERA_CHECKPOINTS": str(tmp_path / "checkpoints"),
        "CHIMERA_AUDIT_KEYS": str(tmp_path / "keys"),
        "CHIMERA_CHECKPOINT_SECONDS": "1",
        "CHIMERA_DATA": str(tmp_path / "data"),
    }
    started = []

    def begin(*arguments: str, **variables: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "chimera.cli.main", *arguments]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=env | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def says(process: "subprocess.Popen[str]", text: str) -> None:
    """Returns once the process has logged this."""
    assert process.stderr is not None
    assert any(text in line for line in process.stderr), f"it ended without {text}"


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_once_seals_what_is_due(start: Start, scene: Scene, tmp_path: Path) -> None:
    code, out, err = ended(start("seal", "--once", "--make-key"))
    assert (code, out.endswith(" checkpoints made\n")) == (0, True), err
    [key] = KeyRing(tmp_path / "keys", SystemClock()).trusted()
    assert f"made the key {key.key_id}" in err
    assert "made the key" not in ended(start("seal", "--once", "--make-key"))[2]
    last = CheckpointPlace(tmp_path / "checkpoints").last(scene.tenant_id)
    assert last is not None
    assert last.hash == scene.entries()[-1].hash.hex()


def test_it_goes_on_where_the_key_was_missing_and_ends_when_told(start: Start, scene: Scene, tmp_path: Path) -> None:
    process = start("seal")
    says(process, "sealing_failed")
    KeyRing(tmp_path / "keys", SystemClock()).create()
    says(process, "audit_sealed")
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 0


def test_it_goes_on_where_postgresql_is_away(start: Start, tmp_path: Path) -> None:
    KeyRing(tmp_path / "keys", SystemClock()).create()
    away = f"postgresql://chimera_seal:s3cret@127.0.0.1:{free_port()}/chimera"
    process = start("seal", CHIMERA_SEAL_DATABASE_URL=away)
    for _ in range(2):
        says(process, "sealing_failed")
    process.send_signal(signal.SIGTERM)
    code, _, err = ended(process)
    assert (code, "s3cret" in err) == (0, False)


def test_who_exports_has_neither_key_nor_places(
    start: Start, scene: Scene, apart: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "celeryconfig.py").unlink()
    key = KeyRing(tmp_path / "keys", SystemClock()).create()
    without = dict.fromkeys(("CHIMERA_SEAL_DATABASE_URL", "CHIMERA_CHECKPOINTS", "CHIMERA_AUDIT_KEYS"), "")
    without |= {name: apart[name] for name in ("CHIMERA_REDIS_URL", "CHIMERA_APP_DATABASE_URL")}
    file = str(tmp_path / "export")
    export = ("audit", "export", "--tenant", scene.tenant_id, file)
    code, _, err = ended(start(*export, "--timeout", "0", **without))
    assert (code, "see that `chimera seal` runs" in err, Path(file).exists()) == (1, True, False)
    sealing = start("seal")
    code, _, err = ended(start(*export, **without))
    assert (code, f"sealed by key {key.key_id}" in err) == (0, True), err
    sealing.send_signal(signal.SIGTERM)
    ended(sealing)
    code, out, err = ended(start("audit", "verify", "--offline", file, "--key", key.key_id, **without))
    assert (code, out.splitlines()[1].startswith("ok")) == (0, True), out
    assert f"entries 1 to {len(scene.entries())}, all of them, as of " in err


def test_without_places_it_says_so_and_waits(start: Start) -> None:
    process = start("seal", CHIMERA_CHECKPOINTS="")
    says(process, "CHIMERA_CHECKPOINTS names no place")
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 0


def test_several_at_once_do_no_harm(scene: Scene, tmp_path: Path) -> None:
    clock = SystemClock()
    ring, place = KeyRing(tmp_path / "keys", clock), CheckpointPlace(tmp_path / "checkpoints")
    ring.create()
    faults: SimpleQueue[BaseException] = SimpleQueue()

    def seal_often() -> None:
        store = scene.world.checkpoints
        sealer = Checkpointer(store, [place], ring, clock, origin="tests", interval_seconds=1.0)
        try:
            for _ in range(8):
                scene.submit()
                sealer.seal(scene.tenant_id)
        except BaseException as exc:  # noqa: BLE001
            faults.put(exc)

    threads = [threading.Thread(target=seal_often) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults.empty(), faults.get()
    # Who came second with the last one left it to the other, who had begun before the last entry.
    Checkpointer(scene.world.checkpoints, [place], ring, clock, origin="tests", interval_seconds=1.0).seal(
        scene.tenant_id
    )
    kept = list(place.read(scene.tenant_id))
    assert [checkpoint.number for checkpoint in kept] == list(range(1, len(kept) + 1))
    assert kept[-1].hash == scene.entries()[-1].hash.hex()


class _Slow(FakeCheckpointPlace):
    """A place that another checkpointer reaches first."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._meanwhile: Callable[[], object] | None = meanwhile

    def append(self, checkpoint: object) -> None:
        if meanwhile := self._meanwhile:
            self._meanwhile = None
            meanwhile()
        super().append(checkpoint)  # type: ignore[arg-type]


def test_who_is_overtaken_on_the_way_to_a_place_leaves_it_to_the_other(tmp_path: Path) -> None:
    world = FakeWorld()
    world.add_tenant("acme")
    scene = Scene(world, "acme")
    ring = KeyRing(tmp_path / "keys", world.clock)
    ring.create()

    def overtake() -> None:
        sealer.seal("acme")
        scene.submit()
        assert sealer.seal("acme")

    place = _Slow(overtake)
    sealer = Checkpointer(world.checkpoints, [place], ring, world.clock, origin="tests", interval_seconds=1.0)
    sealer.seal("acme")
    last = place.last("acme")
    assert last is not None
    assert (last.number, last.hash) == (2, scene.entries()[-1].hash.hex())
