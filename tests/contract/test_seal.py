"""`chimera seal`: a process that needs its login, the key and the places, and that nothing ends but a signal."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from chimera.adapters.embedded.ports import free_port
from chimera.adapters.files.checkpoint_place import CheckpointPlace
from chimera.adapters.files.key_ring import KeyRing
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.checkpoint_store import CheckpointStore
from chimera.adapters.system_clock import SystemClock
from chimera.services.checkpointer import Checkpointer
from tests.contract.scene import Scene
from tests.contract.worlds import FakeWorld
from tests.fakes import FakeCheckpointPlace
from tests.shell import environment

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(servers: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts the command line in a folder whose celeryconfig cannot be imported, with what `chimera seal` gets."""
    (tmp_path / "celeryconfig.py").write_text("raise SystemExit('the project was imported')\n")
    env = environment() | {
        "CHIMERA_SEAL_DATABASE_URL": servers["CHIMERA_SEAL_DATABASE_URL"],
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


def test_once_seals_what_is_due(start: Start, real_scene: Scene, tmp_path: Path) -> None:
    code, out, err = ended(start("seal", "--once", "--make-key"))
    assert (code, out.endswith(" checkpoints made\n")) == (0, True), err
    [key] = KeyRing(tmp_path / "keys", SystemClock()).trusted()
    assert f"made the key {key.key_id}" in err
    assert "made the key" not in ended(start("seal", "--once", "--make-key"))[2]
    last = CheckpointPlace(tmp_path / "checkpoints").last(real_scene.tenant_id)
    assert last is not None
    assert last.hash == real_scene.entries()[-1].hash.hex()


def test_it_goes_on_where_the_key_was_missing_and_ends_when_told(
    start: Start, real_scene: Scene, tmp_path: Path
) -> None:
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
    start: Start, real_scene: Scene, servers: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "celeryconfig.py").unlink()
    key = KeyRing(tmp_path / "keys", SystemClock()).create()
    without = dict.fromkeys(("CHIMERA_SEAL_DATABASE_URL", "CHIMERA_CHECKPOINTS", "CHIMERA_AUDIT_KEYS"), "")
    without |= {name: servers[name] for name in ("CHIMERA_REDIS_URL", "CHIMERA_APP_DATABASE_URL")}
    file = str(tmp_path / "export")
    export = ("audit", "export", "--tenant", real_scene.tenant_id, file)
    code, _, err = ended(start(*export, "--timeout", "0", **without))
    assert (code, "see that `chimera seal` runs" in err, Path(file).exists()) == (1, True, False)
    sealing = start("seal")
    code, _, err = ended(start(*export, **without))
    assert (code, f"sealed by key {key.key_id}" in err) == (0, True), err
    sealing.send_signal(signal.SIGTERM)
    ended(sealing)
    code, out, err = ended(start("audit", "verify", "--offline", file, "--key", key.key_id, **without))
    assert (code, out.splitlines()[1].startswith("ok")) == (0, True), out
    assert f"entries 1 to {len(real_scene.entries())}, all of them, as of " in err


def test_without_places_it_says_so_and_waits(start: Start) -> None:
    process = start("seal", CHIMERA_CHECKPOINTS="")
    says(process, "CHIMERA_CHECKPOINTS names no place")
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 0


def test_several_at_once_do_no_harm(real_scene: Scene, seal_database: Database, tmp_path: Path) -> None:
    clock = SystemClock()
    ring, place = KeyRing(tmp_path / "keys", clock), CheckpointPlace(tmp_path / "checkpoints")
    ring.create()
    faults: SimpleQueue[BaseException] = SimpleQueue()

    def seal_often() -> None:
        store = CheckpointStore(seal_database)
        sealer = Checkpointer(store, [place], ring, clock, origin="tests", interval_seconds=1.0)
        try:
            for _ in range(8):
                real_scene.submit()
                sealer.seal(real_scene.tenant_id)
        except BaseException as exc:  # noqa: BLE001
            faults.put(exc)

    threads = [threading.Thread(target=seal_often) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults.empty(), faults.get()
    # Who came second with the last one left it to the other, who had begun before the last entry.
    Checkpointer(CheckpointStore(seal_database), [place], ring, clock, origin="tests", interval_seconds=1.0).seal(
        real_scene.tenant_id
    )
    kept = list(place.read(real_scene.tenant_id))
    assert [checkpoint.number for checkpoint in kept] == list(range(1, len(kept) + 1))
    assert kept[-1].hash == real_scene.entries()[-1].hash.hex()


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
