"""Who exports asks for a seal, who has the key answers."""

from pathlib import Path

import pytest

from chimera.adapters.files.key_ring import KeyRing
from chimera.errors import AuditUnavailable, InvalidInput
from chimera.models.audit.export import AskedExport, ExportHeader
from chimera.services.checkpointer import Checkpointer
from chimera.services.export_sealer import ExportSealer
from tests.contract.scene import Scene
from tests.contract.worlds import World
from tests.fakes import FakeCheckpointPlace


@pytest.fixture
def ring(tmp_path: Path, world: World) -> KeyRing:
    ring = KeyRing(tmp_path / "keys", world.clock)
    ring.create()
    return ring


@pytest.fixture
def place() -> FakeCheckpointPlace:
    return FakeCheckpointPlace()


@pytest.fixture
def sealer(world: World, ring: KeyRing, place: FakeCheckpointPlace) -> ExportSealer:
    store = world.checkpoints
    checkpointer = Checkpointer(store, [place], ring, world.clock, origin="tests", interval_seconds=3600.0)
    return ExportSealer(world.exports_to_seal, checkpointer, store, ring, world.clock)


def ask(scene: Scene, after_seq: int = 0) -> AskedExport:
    asked = AskedExport(tenant_id=scene.tenant_id, export_id=scene.world.clock.new_id(), after_seq=after_seq)
    scene.world.exports.ask(asked)
    return asked


def answer(scene: Scene, asked: AskedExport) -> ExportHeader | None:
    return scene.world.exports.header(scene.tenant_id, asked.export_id)


def waiting(scene: Scene) -> list[AskedExport]:
    return [each for each in scene.world.exports_to_seal.asked() if each.tenant_id == scene.tenant_id]


@pytest.mark.parametrize("after_seq", [0, 1])
def test_the_answer_is_a_header_to_the_end_that_the_present_key_signed(
    scene: Scene, sealer: ExportSealer, ring: KeyRing, place: FakeCheckpointPlace, after_seq: int
) -> None:
    scene.submit()
    asked = ask(scene, after_seq)
    assert (answer(scene, asked), waiting(scene)) == (None, [asked])
    assert sealer.answer(asked)
    header, entries = answer(scene, asked), scene.entries()
    assert header is not None
    assert (header.tenant_id, header.after_seq, header.head_seq, header.entries) == (
        scene.tenant_id, after_seq, len(entries), len(entries) - after_seq,
    )  # fmt: skip
    assert header.after_hash == (entries[after_seq - 1].hash.hex() if after_seq else "00" * 32)
    assert header.head_hash == entries[-1].hash.hex()
    last = place.last(scene.tenant_id)
    assert last is not None
    assert (last.number, last.hash) == (header.checkpoint, header.head_hash)
    [key] = ring.trusted()
    assert header.keys == (key,)
    assert header.seal is not None
    assert key.signed(header.signed_text, header.seal.signature)
    assert waiting(scene) == []


def test_the_first_answer_stays(scene: Scene, sealer: ExportSealer) -> None:
    asked = ask(scene)
    sealer.answer(asked)
    first = answer(scene, asked)
    scene.submit()
    sealer.answer(asked)
    assert answer(scene, asked) == first


def test_a_tenant_s_own_exports_wait_for_each_other_and_no_other_s(
    scene: Scene, stranger: Scene, sealer: ExportSealer
) -> None:
    asked = [ask(scene) for _ in range(3)]
    theirs = ask(stranger)
    assert waiting(scene) == asked[:1]
    assert waiting(stranger) == [theirs]
    assert stranger.world.exports.header(stranger.tenant_id, asked[0].export_id) is None
    sealer.run()
    assert [answer(scene, each) is not None for each in asked] == [True, False, False]
    assert answer(stranger, theirs) is not None


def test_who_asked_long_ago_has_given_up(scene: Scene) -> None:
    asked = ask(scene)
    scene.pass_time(660)
    assert waiting(scene) == []
    assert answer(scene, asked) is None


@pytest.mark.parametrize("after_seq", [1, 5])
def test_there_is_nothing_after_the_end(scene: Scene, sealer: ExportSealer, after_seq: int) -> None:
    asked = ask(scene, after_seq)
    assert sealer.answer(asked)
    with pytest.raises(InvalidInput):
        answer(scene, asked)


def test_where_it_cannot_be_sealed_there_is_no_answer(
    scene: Scene, stranger: Scene, sealer: ExportSealer, ring: KeyRing, place: FakeCheckpointPlace
) -> None:
    asked = ask(scene)
    place.available = False
    with pytest.raises(AuditUnavailable):
        sealer.run()
    assert answer(scene, asked) is None
    place.available = True
    ring.rotate()
    sealer.run()
    header = answer(scene, asked)
    assert header is not None
    assert header.seal is not None
    assert header.seal.key_id == ring.trusted()[-1].key_id
