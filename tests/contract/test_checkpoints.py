"""Checkpoints: made, kept outside, compared; and nothing decided where that fails."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from chimera.adapters.files.checkpoint_place import CheckpointPlace as FilePlace
from chimera.adapters.files.key_ring import PUBLIC_KEYS, SIGNING_KEY, KeyRing
from chimera.adapters.http.checkpoint_place import CheckpointPlace as HttpPlace
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.steps.sealing import Sealing
from chimera.adapters.postgres.stores.card_store import CardStore
from chimera.adapters.postgres.stores.decision_store import DecisionStore
from chimera.adapters.system_clock import SystemClock
from chimera.errors import AuditContradicted, AuditUnavailable, CheckpointConflict, Conflict
from chimera.models.audit.checkpoint import NO_CHECKPOINT, Checkpoint, UnsignedCheckpoint
from chimera.models.audit.trust import roots
from chimera.ports.checkpoint_place import CheckpointPlace
from chimera.services.checkpointer import Checkpointer
from tests.contract.scene import Scene, approve
from tests.contract.worlds import PostgresWorld, World
from tests.fakes import FakeCheckpointPlace


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    ring = KeyRing(tmp_path / "keys", SystemClock())
    ring.create()
    return ring


class Receiver(ThreadingHTTPServer):
    """What a receiver of checkpoints has to do."""

    def __init__(self) -> None:
        self.kept: dict[str, list[dict[str, object]]] = {}
        # An answer to everything, if any.
        self.code = 0
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/checkpoints?secret=hush"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        point = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kept = self.server.kept.setdefault(point["tenant_id"], [])
        if kept and kept[-1] != point and point["number"] != int(str(kept[-1]["number"])) + 1:
            self.answer(409)
            return
        if not self.server.code and (not kept or kept[-1] != point):
            kept.append(point)
        self.answer(200)

    def do_GET(self) -> None:
        [tenant] = parse_qs(urlsplit(self.path).query)["tenant"]
        kept = self.server.kept.get(tenant)
        self.answer(200 if kept else 404, json.dumps(kept[-1]) if kept else "")

    def answer(self, code: int, text: str = "") -> None:
        self.send_response(self.server.code or code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(params=["fake", "file", "webhook"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CheckpointPlace]:
    if request.param == "fake":
        yield FakeCheckpointPlace()
    elif request.param == "file":
        yield FilePlace(tmp_path / "checkpoints")
    else:
        with receiver() as server:
            yield HttpPlace(server.url)


@pytest.fixture
def sealer(world: World, place: CheckpointPlace, ring: KeyRing) -> Checkpointer:
    return checkpointer(world, place, ring)


def checkpointer(world: World, place: CheckpointPlace, ring: KeyRing) -> Checkpointer:
    store = world.checkpoints
    return Checkpointer(store, [place], ring, world.clock, origin="tests", interval_seconds=3600.0)


def drafted(tenant_id: str = "acme", number: int = 1, previous: Checkpoint | None = None) -> UnsignedCheckpoint:
    before = previous.digest if previous else NO_CHECKPOINT
    return UnsignedCheckpoint(
        origin="tests", tenant_id=tenant_id, number=number, seq=number, hash=f"{number:064x}", previous=before
    )


class TestPlaces:
    def test_it_keeps_what_follows(self, place: CheckpointPlace, ring: KeyRing) -> None:
        assert place.last("acme") is None
        first = ring.sign(drafted())
        second = ring.sign(drafted(number=2, previous=first))
        for checkpoint in (first, second):
            place.append(checkpoint)
            place.append(checkpoint)
        assert place.last("acme") == second
        assert list(place.read("acme"))[-1] == second
        assert not place.readable or list(place.read("acme")) == [first, second]
        assert place.last("globex") is None
        assert place.tenants() == ({"acme"} if place.readable else set())
        place.check()

    def test_it_refuses_what_does_not_follow(self, place: CheckpointPlace, ring: KeyRing) -> None:
        first = ring.sign(drafted())
        place.append(first)
        with pytest.raises(CheckpointConflict):
            place.append(ring.sign(drafted(number=3, previous=first)))
        assert place.last("acme") == first


def test_what_was_not_written_to_its_end_is_no_checkpoint(tmp_path: Path, ring: KeyRing) -> None:
    place = FilePlace(tmp_path)
    first = ring.sign(drafted())
    place.append(first)
    path = tmp_path / "acme.jsonl"
    path.write_text(path.read_text() + first.text[:50])
    assert list(place.read("acme")) == [first]
    second = ring.sign(drafted(number=2, previous=first))
    place.append(second)
    assert list(place.read("acme")) == [first, second]
    path.write_text("so\n")
    with pytest.raises(AuditContradicted, match="no checkpoint"):
        place.last("acme")
    assert path.stat().st_mode & 0o077 == 0


def test_a_place_that_cannot_be_written_says_where_and_what_to_do(tmp_path: Path, ring: KeyRing) -> None:
    (tmp_path / "file").write_text("")
    place = FilePlace(tmp_path / "file" / "checkpoints")
    for call in (place.check, lambda: place.append(ring.sign(drafted()))):
        with pytest.raises(AuditUnavailable, match=r"file/checkpoints.*CHIMERA_CHECKPOINTS"):
            call()


def test_a_receiver_that_refuses_or_is_gone_is_named_without_its_secrets(ring: KeyRing) -> None:
    with receiver() as server:
        place = HttpPlace(server.url)
        server.code = 503
        with pytest.raises(AuditUnavailable, match=r"/checkpoints \(it answered 503\)") as refused:
            place.append(ring.sign(drafted()))
        server.code = 405  # does not say what it keeps
        assert place.last("acme") is None
    with pytest.raises(AuditUnavailable) as gone:
        place.append(ring.sign(drafted()))
    with pytest.raises(AuditUnavailable):
        place.check()
    assert "hush" not in f"{refused.value} {gone.value}"


class TestSealing:
    def test_a_tenant_s_audit_is_sealed_to_its_end(
        self, world: World, scene: Scene, sealer: Checkpointer, place: CheckpointPlace
    ) -> None:
        scene.submit()
        assert scene.tenant_id in world.checkpoints.due(3600.0, None)
        assert sealer.seal(scene.tenant_id)
        last, entry = place.last(scene.tenant_id), scene.entries()[-1]
        assert last is not None
        assert (last.number, last.seq, last.hash) == (1, entry.seq, entry.hash.hex())
        assert world.checkpoints.last(scene.tenant_id) == last
        assert world.checkpoints.numbers()[scene.tenant_id] == 1
        assert world.checkpoints.unsealed_since(scene.tenant_id) is None
        assert not sealer.seal(scene.tenant_id)

    def test_new_entries_are_due_after_the_interval(
        self, world: World, scene: Scene, sealer: Checkpointer, ring: KeyRing
    ) -> None:
        key_id = ring.trusted()[-1].key_id
        sealer.seal(scene.tenant_id)
        assert scene.tenant_id not in world.checkpoints.due(0.0, key_id)
        scene.submit()
        since = world.checkpoints.unsealed_since(scene.tenant_id)
        assert since == scene.entries()[-1].at
        assert scene.tenant_id not in world.checkpoints.due(3600.0, key_id)
        scene.pass_time(1)
        assert isinstance(world, PostgresWorld) or scene.tenant_id in world.checkpoints.due(0.5, key_id)
        assert sealer.seal(scene.tenant_id)
        assert not sealer.overdue()

    def test_a_new_key_signs_what_the_old_one_had_sealed(
        self, world: World, scene: Scene, sealer: Checkpointer, ring: KeyRing, place: CheckpointPlace
    ) -> None:
        sealer.seal(scene.tenant_id)
        made = ring.rotate()
        assert scene.tenant_id in world.checkpoints.due(3600.0, made.key_id)
        assert sealer.seal(scene.tenant_id)
        last = place.last(scene.tenant_id)
        assert last is not None
        assert (last.number, last.key_id) == (2, made.key_id)

    def test_a_place_that_was_away_gets_what_it_missed(self, world: World, scene: Scene, ring: KeyRing) -> None:
        place = FakeCheckpointPlace()
        sealer = checkpointer(world, place, ring)
        place.available = False
        with pytest.raises(AuditUnavailable):
            sealer.seal(scene.tenant_id)
        assert world.checkpoints.unsealed_since(scene.tenant_id) is not None
        place.available = True
        scene.submit()
        assert sealer.seal(scene.tenant_id)
        assert world.checkpoints.unsealed_since(scene.tenant_id) is None

    def test_an_older_copy_is_never_signed_over(self, world: World, scene: Scene, ring: KeyRing) -> None:
        """The place has sealed entries that the database does not have (any more)."""
        place = FakeCheckpointPlace()
        sealer = checkpointer(world, place, ring)
        sealer.seal(scene.tenant_id)
        last = place.last(scene.tenant_id)
        assert last is not None
        draft = UnsignedCheckpoint(
            origin="tests", tenant_id=scene.tenant_id, number=2, seq=last.seq + 5, hash="00" * 32, previous=last.digest
        )
        place.append(ring.sign(draft))
        with pytest.raises(AuditContradicted, match="older copy"):
            sealer.run()
        scene.submit()
        with pytest.raises(AuditContradicted, match="older copy"):
            sealer.seal(scene.tenant_id)
        assert world.checkpoints.numbers()[scene.tenant_id] == 1


class TestKeys:
    def test_the_private_key_is_its_owner_s_only(self, tmp_path: Path, ring: KeyRing) -> None:
        for name in (SIGNING_KEY, PUBLIC_KEYS):
            assert (tmp_path / "keys" / name).stat().st_mode & 0o777 == 0o600
        (tmp_path / "keys" / SIGNING_KEY).chmod(0o644)
        with pytest.raises(AuditUnavailable, match="chmod 600"):
            ring.sign(drafted())

    def test_there_is_one_first_key(self, ring: KeyRing) -> None:
        with pytest.raises(Conflict, match="rotate"):
            ring.create()

    def test_the_old_key_announces_the_new_one_and_is_retired(self, ring: KeyRing) -> None:
        [first] = ring.trusted()
        second = ring.rotate()
        before, after = ring.trusted()
        assert (before.key_id, before.retired_at) == (first.key_id, second.created_at)
        assert after == second
        assert roots(ring.trusted()) == (first.key_id,)
        assert ring.sign(drafted()).key_id == second.key_id
        third = ring.rotate(lost=True)
        assert roots(ring.trusted()) == (first.key_id, third.key_id)

    def test_a_key_that_nobody_announced_is_not_put_in_between(self, tmp_path: Path, ring: KeyRing) -> None:
        ring.rotate()
        path = tmp_path / "keys" / PUBLIC_KEYS
        keys = json.loads(path.read_text())
        keys[0]["retired_at"] = None
        path.write_text(json.dumps(keys))
        with pytest.raises(AuditUnavailable, match="retired by its own word"):
            ring.trusted()
        keys[0]["retired_at"] = keys[1]["created_at"]
        keys[1]["announced"]["signature"] = "00" * 64
        path.write_text(json.dumps(keys))
        with pytest.raises(AuditUnavailable, match="did not"):
            ring.trusted()

    def test_a_retired_private_key_signs_nothing(self, tmp_path: Path, ring: KeyRing) -> None:
        old = (tmp_path / "keys" / SIGNING_KEY).read_text()
        ring.rotate()
        (tmp_path / "keys" / SIGNING_KEY).write_text(old)
        with pytest.raises(AuditUnavailable, match="retired"):
            ring.sign(drafted())

    def test_a_lost_key_is_named(self, tmp_path: Path, ring: KeyRing) -> None:
        (tmp_path / "keys" / SIGNING_KEY).unlink()
        with pytest.raises(AuditUnavailable, match="rotate --lost"):
            ring.sign(drafted())
        with pytest.raises(AuditUnavailable, match="CHIMERA_AUDIT_KEYS"):
            KeyRing(None, SystemClock()).trusted()


class TestFailingClosed:
    """In PostgreSQL: with no entry allowed to wait."""

    @pytest.fixture
    def world(self, postgres_world: PostgresWorld) -> World:
        return postgres_world

    @pytest.fixture
    def strict(self, judge_database: Database) -> DecisionStore:
        return DecisionStore(judge_database, Sealing(0.0))

    def test_nothing_is_decided_unsealed_and_what_waits_is_decided_once_it_is(
        self, world: World, scene: Scene, strict: DecisionStore, ring: KeyRing
    ) -> None:
        planned = scene.plan(3)
        wave = scene.work_off(planned)
        decisions = [approve(staged) for staged in strict.open_wave(wave).staged]
        before = len(scene.entries())
        with pytest.raises(AuditUnavailable, match=r"not sealed since .*chimera seal.*doctor"):
            strict.decide_wave(wave, decisions)
        assert (len(scene.entries()), world.committed(scene.tenant_id)) == (before, set())
        place = FakeCheckpointPlace()
        checkpointer(world, place, ring).seal(scene.tenant_id)
        strict.decide_wave(wave, decisions)
        assert world.committed(scene.tenant_id) == set(planned.ids)

    def test_neither_people_nor_the_stopping_of_a_plan_get_by(
        self,
        world: World,
        scene: Scene,
        judge_database: Database,
        review_database: Database,
        strict: DecisionStore,
        ring: KeyRing,
    ) -> None:
        planned, [card] = scene.in_review()
        world.decisions, world.cards = strict, CardStore(review_database, strict._sealing)
        try:
            with pytest.raises(AuditUnavailable):
                scene.decide(card, approve=True)
            scene.stop(planned.plan_id)
            with pytest.raises(AuditUnavailable):
                scene.stop_wave(planned.wave)
            checkpointer(world, FakeCheckpointPlace(), ring).seal(scene.tenant_id)
            scene.stop_wave(planned.wave)
        finally:
            world.decisions, world.cards = DecisionStore(judge_database), CardStore(review_database)

    def test_what_is_younger_than_the_limit_may_wait(self, scene: Scene, judge_database: Database) -> None:
        patient = DecisionStore(judge_database, Sealing(180.0))
        wave = scene.work_off(scene.plan(1))
        assert patient.decide_wave(wave, [approve(staged) for staged in patient.open_wave(wave).staged]).requeued == 0
