"""Who has an export in hand, and gives another one on: to each verifier, as its documentation has it called.

The forger writes what they like, has a key of their own, and one of the deployment's that was stolen and is retired.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import chimera.verify_export as script
from chimera.adapters.files.audit_export import AuditExport, write_export
from chimera.adapters.files.checkpoint_place import CheckpointPlace
from chimera.adapters.files.key_ring import SIGNING_KEY, KeyRing
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.audit_log import AuditLog
from chimera.errors import InvalidInput
from chimera.models.audit.checkpoint import NO_CHECKPOINT, UnsignedCheckpoint, sign
from chimera.models.audit.export import ExportHeader
from chimera.models.audit.trust import TrustedKey, announcement, new_key
from chimera.services.checkpointer import Checkpointer
from tests.conftest import new_tenant_id
from tests.contract.scene import Scene, approve
from tests.contract.worlds import PostgresWorld

# Releases before exports were signed believed the keys that came along, or one that announced them.
SIGNS = find_spec("chimera.services.export_sealer") is not None
ZEROS = "00" * 32
PROOF: Any = import_module("chimera.services.audit_proof")
VERIFIERS = ("the command", "the script")


@dataclass
class Book:
    """An export, taken apart."""

    header: dict[str, Any]
    entries: list[dict[str, Any]]
    # With the place among the entries behind which each stands.
    points: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path) -> "Book":
        header, *rest = [json.loads(line) for line in path.read_text().splitlines()]
        return cls(
            json.loads(header["payload"]),
            [each for each in rest if each["record"] == "entry"],
            [json.loads(each["payload"]) for each in rest if each["record"] == "checkpoint"],
        )

    def write(self, path: Path) -> None:
        records: list[dict[str, Any]] = [{"record": "header", "payload": canonical(self.header)}]
        after = self.header["after_seq"]
        for entry in [None, *self.entries]:
            seq = entry["seq"] if entry else after
            records += [entry] if entry else []
            records += [
                {"record": "checkpoint", "seq": seq, "payload": canonical(point)}
                for point in self.points
                if point["seq"] == seq and entry
            ]
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records))

    def bound(self) -> "Book":
        """Has the header say what the entries are."""
        last = self.entries[-1] if self.entries else None
        end = (last["seq"], last["hash"]) if last else (self.header["after_seq"], self.header["after_hash"])
        self.header |= dict(zip(("head_seq", "head_hash"), end, strict=True))
        if "entries" in self.header:
            self.header["entries"] = len(self.entries)
        return self

    def chained(self, start: int = 0) -> "Book":
        """Computes all numbers and hashes anew, from an entry on, and has the header say so."""
        seq, previous = self.header["after_seq"], bytes.fromhex(self.header["after_hash"])
        for place, entry in enumerate(self.entries):
            seq += 1
            if place >= start:
                body = json.loads(entry["body"])
                body |= {name: entry[name] for name in ("kind", "actor", "plan_id", "task_id")}
                body |= {"seq": seq, "at": entry["at"], "tenant_id": self.header["tenant_id"]}
                if entry["payload"] is not None:
                    body["payload_sha256"] = hashlib.sha256(entry["payload"].encode()).hexdigest()
                entry |= {"seq": seq, "body": canonical(body)}
                entry["hash"] = hashlib.sha256(previous + entry["body"].encode()).hexdigest()
            previous = bytes.fromhex(entry["hash"])
        return self.bound()

    def sealed(self, key: Ed25519PrivateKey, at: datetime) -> "Book":
        """With one checkpoint at the end, and the header where headers are signed, by this key."""
        last = self.entries[-1]
        draft = UnsignedCheckpoint(
            origin="tests", tenant_id=self.header["tenant_id"], number=1, seq=last["seq"], hash=last["hash"],
            previous=NO_CHECKPOINT,
        )  # fmt: skip
        self.points = [json.loads(sign(draft, key, at).text)]
        self.header["exported_at"] = at.isoformat()
        if SIGNS:
            self.header["checkpoint"] = 1
            sign_header: Any = import_module("chimera.models.audit.export").sign_header
            header = ExportHeader.model_validate_json(json.dumps(self.header))
            self.header = sign_header(header, key, at).model_dump(mode="json", exclude={"filter"})
        return self


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


@dataclass
class Loot:
    """What the forger has."""

    # Of one audit: as it was, as it is, and from its fourth entry on.
    older: Book
    newer: Book
    part: Book
    # Another tenant's.
    others: Book
    # The first key, which is retired, with its public side; and one of their own.
    stolen: Ed25519PrivateKey
    first: TrustedKey
    own: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)


@dataclass
class Deployment:
    """What a verifier knows from elsewhere than the export."""

    ring: KeyRing
    folder: Path
    loot: Loot

    def accepts(self, verifier: str, path: Path) -> bool:
        """In any of the ways that its documentation names."""
        return any(self._accepted(verifier, path))

    def _accepted(self, verifier: str, path: Path) -> list[bool]:
        first, *_, present = self.ring.trusted()
        if verifier == "the script":
            keys = [present.key_id, present.public_key, str(self.folder / "keys.json")] if SIGNS else [first.key_id]
            return [_passes(partial(script.verify, str(path), key)) for key in keys]
        if not SIGNS:
            return [_passes(lambda: _ok(path, None))]
        named = [_passes(partial(_ok, path, None, key=key)) for key in (present.key_id, present.public_key)]
        return [_passes(lambda: _ok(path, self.ring.trusted())), *named]


def _ok(path: Path, keys: Any, **more: Any) -> None:
    report = PROOF.verify_export(AuditExport(path), keys, datetime.now(UTC), **more)
    if not report.ok:
        raise InvalidInput(str(report.faults))


def _passes(verify: Callable[[], object]) -> bool:
    try:
        verify()
    except (InvalidInput, script.Bad):
        return False
    return True


@pytest.fixture(scope="module")
def deployment(
    postgres_world: PostgresWorld, app_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Deployment:
    folder = tmp_path_factory.mktemp("deployment")
    world = postgres_world
    ring, place = KeyRing(folder / "keys", world.clock), CheckpointPlace(folder / "places")
    first = ring.create()
    shutil.copy(folder / "keys" / SIGNING_KEY, folder / "stolen.pem")
    sealer = Checkpointer(world.checkpoints, [place], ring, world.clock, origin="tests", interval_seconds=60.0)
    scene, other = Scene(world, new_tenant_id()), Scene(world, new_tenant_id())
    for each in (scene, other):
        world.add_tenant(each.tenant_id)

    def live(tenant: Scene) -> None:
        tenant.judge(tenant.work_off(tenant.plan(2)), approve)
        _, [card, *_] = tenant.in_review()
        tenant.decide(card, approve=True, by="ann")
        sealer.seal(tenant.tenant_id)

    def export(tenant: Scene, after_seq: int = 0) -> Book:
        path = folder / "export"
        with AuditLog(app_database).view(tenant.tenant_id) as view:
            header = _header(world, tenant, ring, sealer, after_seq)
            write_export(path, header, PROOF.export_items(view, header if SIGNS else after_seq))
        return Book.of(path)

    live(scene)
    ring.rotate()
    live(scene)
    older = export(scene)
    live(scene)
    live(other)
    stolen = load_pem_private_key((folder / "stolen.pem").read_bytes(), password=None)
    assert isinstance(stolen, Ed25519PrivateKey)
    loot = Loot(older, export(scene), export(scene, 3), export(other), stolen, first)
    return Deployment(ring, folder / "keys", loot)


def _header(world: PostgresWorld, tenant: Scene, ring: KeyRing, sealer: Checkpointer, after_seq: int) -> Any:
    entries = tenant.entries()
    if not SIGNS:
        return ExportHeader(
            tenant_id=tenant.tenant_id,
            exported_at=datetime.now(UTC),
            after_seq=after_seq,
            after_hash=entries[after_seq - 1].hash.hex() if after_seq else ZEROS,
            head_seq=len(entries),
            head_hash=entries[-1].hash.hex(),
            keys=ring.trusted(),
        )
    stores: Any = world
    module: Any = import_module("chimera.services.export_sealer")
    asked_for: Any = import_module("chimera.models.audit.export").AskedExport
    asked = asked_for(tenant_id=tenant.tenant_id, export_id=world.clock.new_id(), after_seq=after_seq)
    stores.exports.ask(asked)
    module.ExportSealer(stores.exports_to_seal, sealer, world.checkpoints, ring, world.clock).answer(asked)
    return stores.exports.header(tenant.tenant_id, asked.export_id)


@pytest.fixture
def loot(deployment: Deployment) -> Loot:
    return deepcopy(deployment.loot)


# Each makes of what the forger has an export that is not what was recorded.


def invented_at_the_end(loot: Loot) -> Book:
    book = loot.newer
    book.entries.append(dict(book.entries[-1]) | {"actor": "eve"})
    return book.chained(len(book.entries) - 1)


def invented_in_between(loot: Loot) -> Book:
    book = loot.newer
    book.entries.insert(4, dict(book.entries[4]) | {"actor": "eve"})
    book.points = []
    return book.chained(4)


def decision_turned_round(loot: Loot) -> Book:
    book = loot.newer
    place = max(place for place, each in enumerate(book.entries) if '"verdict":"approve"' in (each["payload"] or ""))
    payload = book.entries[place]["payload"].replace('"verdict":"approve"', '"verdict":"deny"')
    book.entries[place]["payload"] = payload
    book.points = []
    return book.chained(place)


def another_actor(loot: Loot) -> Book:
    book = loot.newer
    for entry in book.entries:
        entry["actor"] = "eve" if entry["actor"] == "ann" else entry["actor"]
    book.points = []
    return book.chained()


def changed_behind_an_older_checkpoint(loot: Loot) -> Book:
    book = loot.newer
    book.points = book.points[:2]
    place = book.points[-1]["seq"]
    book.entries[place]["actor"] = "eve"
    return book.chained(place)


def end_cut_off(loot: Loot) -> Book:
    book = loot.newer
    del book.entries[-3:]
    book.points = [point for point in book.points if point["seq"] <= book.entries[-1]["seq"]]
    return book.bound()


def end_cut_off_at_a_checkpoint(loot: Loot) -> Book:
    book = loot.newer
    book.points = book.points[:2]
    del book.entries[book.points[-1]["seq"] :]
    return book.bound()


def beginning_cut_off(loot: Loot) -> Book:
    book = loot.newer
    last = book.entries[4]
    del book.entries[:5]
    book.header |= {"after_seq": last["seq"], "after_hash": last["hash"]}
    return book.bound()


def beginning_of_a_part_cut_off(loot: Loot) -> Book:
    return beginning_cut_off(Loot(**vars(loot) | {"newer": loot.part}))


def middle_cut_out(loot: Loot) -> Book:
    book = loot.newer
    del book.entries[3:6]
    book.points = []
    return book.chained(3)


def part_given_for_all(loot: Loot) -> Book:
    book = loot.part
    book.header |= {"after_seq": 0, "after_hash": ZEROS}
    book.points = []
    return book.chained()


def entry_twice(loot: Loot) -> Book:
    book = loot.newer
    book.entries.insert(6, dict(book.entries[5]))
    book.points = []
    return book.chained(6)


def order_changed(loot: Loot) -> Book:
    book = loot.newer
    book.entries[3], book.entries[5] = book.entries[5], book.entries[3]
    book.points = []
    return book.chained(3)


def backdated(loot: Loot) -> Book:
    book = loot.newer
    for entry in book.entries[-4:]:
        entry["at"] = (datetime.fromisoformat(entry["at"]) - timedelta(days=30)).isoformat()
    book.points = []
    return book.chained(len(book.entries) - 4)


def hidden_by_an_invented_erasure(loot: Loot) -> Book:
    book = loot.newer
    hidden = book.entries[5]
    hidden["payload"] = None
    what = canonical({"entries": [[hidden["seq"], hidden["seq"]]], "reason": "asked for"})
    book.entries.append(dict(book.entries[-1]) | {"kind": "audit.erased", "payload": what})
    return book.chained(len(book.entries) - 1)


def others_entries_given_for_theirs(loot: Loot) -> Book:
    book = loot.others
    book.header["tenant_id"] = loot.newer.header["tenant_id"]
    book.points = []
    return book.chained()


def without_checkpoints(loot: Loot) -> Book:
    book = loot.newer
    book.points = []
    del book.entries[-1]
    return book.bound()


def nothing_at_all(loot: Loot) -> Book:
    book = loot.newer
    book.entries, book.points = [], []
    return book.bound()


def nothing_since(loot: Loot) -> Book:
    book = loot.newer
    end = {"after_seq": book.header["head_seq"], "after_hash": book.header["head_hash"]}
    book.entries, book.points = [], []
    book.header |= end
    return book.bound()


def older_one_given_for_today_s(loot: Loot) -> Book:
    book = loot.older
    book.header["exported_at"] = datetime.now(UTC).isoformat()
    return book


def dated_ahead(loot: Loot) -> Book:
    book = loot.older
    book.header["exported_at"] = (datetime.now(UTC) + timedelta(days=3650)).isoformat()
    return book


def header_of_an_earlier_release(loot: Loot) -> Book:
    book = end_cut_off(loot)
    book.header["chimera_audit_export"] = 1
    for name in ("seal", "entries", "checkpoint"):
        book.header.pop(name, None)
    return book


def key_of_their_own(loot: Loot) -> Book:
    # Announced by the deployment's first one, of which they have the private side.
    book, now = another_actor(loot), datetime.now(UTC)
    own = new_key(loot.own, now, loot.stolen)
    retired = loot.first.model_copy(update={"retired_at": now})
    assert own.announced is not None
    assert retired.signed(announcement(own, retired.key_id), own.announced.signature)
    book.header["keys"] = [json.loads(key.model_dump_json()) for key in (retired, own)]
    return book.sealed(loot.own, now)


def retired_key(loot: Loot) -> Book:
    # As if nobody had retired it.
    book = another_actor(loot)
    book.header["keys"] = [json.loads(loot.first.model_dump_json())]
    return book.sealed(loot.stolen, datetime.now(UTC))


def retired_key_dated_back(loot: Loot) -> Book:
    book = another_actor(loot)
    before = loot.first.created_at + timedelta(microseconds=1)
    entries = book.entries
    for entry in entries:
        entry["at"] = before.isoformat()
    book.header["keys"] = [json.loads(loot.first.model_dump_json())]
    return book.chained().sealed(loot.stolen, before)


FORGERIES = (
    invented_at_the_end,
    invented_in_between,
    decision_turned_round,
    another_actor,
    changed_behind_an_older_checkpoint,
    end_cut_off,
    end_cut_off_at_a_checkpoint,
    beginning_cut_off,
    beginning_of_a_part_cut_off,
    middle_cut_out,
    part_given_for_all,
    entry_twice,
    order_changed,
    backdated,
    hidden_by_an_invented_erasure,
    others_entries_given_for_theirs,
    without_checkpoints,
    nothing_at_all,
    nothing_since,
    older_one_given_for_today_s,
    dated_ahead,
    header_of_an_earlier_release,
    key_of_their_own,
    retired_key,
    retired_key_dated_back,
)


@pytest.mark.parametrize("verifier", VERIFIERS)
@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_forged_export_is_believed(
    deployment: Deployment, loot: Loot, tmp_path: Path, forge: Callable[[Loot], Book], verifier: str
) -> None:
    path = tmp_path / "export"
    forge(loot).write(path)
    assert not deployment.accepts(verifier, path)


@pytest.mark.parametrize("verifier", VERIFIERS)
@pytest.mark.parametrize("which", ["older", "newer", "part", "others"])
def test_an_honest_one_is(deployment: Deployment, loot: Loot, tmp_path: Path, which: str, verifier: str) -> None:
    """Else the tests above would hold for verifiers that believe nothing, or for a forger who cannot write."""
    path = tmp_path / "export"
    book: Book = getattr(loot, which)
    book.write(path)
    assert all(deployment._accepted(verifier, path))
