"""An export is verified without a server, by the command and by the short script; any change of it is found."""

import csv
import io
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest

import chimera.verify_export as script
from chimera.adapters.files.audit_export import AuditExport, write_export
from chimera.adapters.files.checkpoint_place import CheckpointPlace
from chimera.adapters.files.key_ring import KeyRing
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.steps.chain import append
from chimera.adapters.postgres.stores.audit_log import AuditLog
from chimera.adapters.system_clock import SystemClock
from chimera.errors import InvalidInput
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.entry_filter import EntryFilter
from chimera.models.audit.export import AskedExport, ExportHeader
from chimera.models.audit.kinds import AuditKind
from chimera.services.audit_proof import AuditProof, Report, export_items, kept_by, selected_items, verify_export
from chimera.services.checkpointer import Checkpointer
from chimera.services.export_sealer import ExportSealer
from tests.contract.scene import Scene, approve
from tests.contract.worlds import PostgresWorld


@pytest.fixture
def world(postgres_world: PostgresWorld) -> PostgresWorld:
    return postgres_world


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    ring = KeyRing(tmp_path / "keys", SystemClock())
    ring.create()
    return ring


@pytest.fixture
def place(tmp_path: Path) -> CheckpointPlace:
    return CheckpointPlace(tmp_path / "checkpoints")


@pytest.fixture
def lived(world: PostgresWorld, scene: Scene, ring: KeyRing, place: CheckpointPlace) -> Scene:
    """A tenant with some decisions, sealed twice, by two keys."""
    sealer = Checkpointer(world.checkpoints, [place], ring, world.clock, origin="tests", interval_seconds=60.0)
    for _ in range(2):
        scene.judge(scene.work_off(scene.plan(5)), approve)
        _, cards = scene.in_review()
        scene.decide(cards[0], approve=True, by="Zoë", note='so, "said" \u2028')
        world.access.note_read(scene.tenant_id, "=1+1", {"command": "audit list"})
        sealer.seal(scene.tenant_id)
        if len(ring.trusted()) == 1:
            ring.rotate()
    return scene


def exported(
    lived: Scene, database: Database, ring: KeyRing, path: Path, *, after_seq: int = 0, as_csv: bool = False
) -> Path:
    world = lived.world
    place = CheckpointPlace(path.parent / "checkpoints")
    sealer = Checkpointer(world.checkpoints, [place], ring, world.clock, origin="tests", interval_seconds=60.0)
    asked = AskedExport(tenant_id=lived.tenant_id, export_id=world.clock.new_id(), after_seq=after_seq)
    world.exports.ask(asked)
    assert ExportSealer(world.exports_to_seal, sealer, world.checkpoints, ring, world.clock).answer(asked)
    header = world.exports.header(lived.tenant_id, asked.export_id)
    assert header is not None
    with AuditLog(database).view(lived.tenant_id) as view:
        assert write_export(path, header, export_items(view, header), as_csv=as_csv) == header.entries
    return path


def offline(path: Path, ring: KeyRing | None = None) -> Report:
    """By the keys, as who runs the deployment has them; or by the one that seals, as whoever noted its id."""
    export = AuditExport(path)
    seal = None if ring else export.header().seal
    keys = ring.trusted() if ring else None
    return verify_export(export, keys, datetime.now(UTC), key=seal.key_id if seal else None)


def test_what_the_judge_and_people_decide_agrees_plainly_with_its_entries(lived: Scene, app_database: Database) -> None:
    # Whether an agent ran it or none did: what is not plain is looked at row by row, which a million rows would feel.
    stopped = lived.plan(2)
    lived.work_off(stopped)
    lived.stop(stopped.plan_id)
    lived.stop_wave(stopped.wave)
    never_run = lived.plan(2)
    lived.stop(never_run.plan_id)
    lived.stop_wave(never_run.wave)
    with AuditLog(app_database).view(lived.tenant_id) as view:
        assert list(view.doubtful(0)) == []


@pytest.mark.parametrize("as_csv", [False, True], ids=["jsonl", "csv"])
@pytest.mark.parametrize("after_seq", [0, 7])
def test_an_export_is_verified_by_both(
    lived: Scene, app_database: Database, ring: KeyRing, tmp_path: Path, as_csv: bool, after_seq: int
) -> None:
    path = exported(lived, app_database, ring, tmp_path / "export", after_seq=after_seq, as_csv=as_csv)
    key = ring.trusted()[-1]
    for believed in (None, ring):
        report = offline(path, believed)
        assert report.faults == ()
        assert report.rows == len(lived.entries()) - after_seq
        assert (report.sealed_seq, report.after_seq, report.sealed_by) == (report.seq, after_seq, key.key_id)
    assert path.stat().st_mode & 0o077 == 0
    for given in (key.key_id, key.public_key, str(tmp_path / "keys" / "keys.json")):
        said = script.verify(str(path), given)
        all_of_them = "" if after_seq else ", all of them"
        assert said.startswith(f"ok: {lived.tenant_id}, entries {after_seq + 1} to {report.seq}{all_of_them}, as of ")
        assert said.endswith(f", sealed by key {key.key_id}")
    with pytest.raises(script.Bad, match="not the one that you named"):
        script.verify(str(path), "0" * 16)
    with pytest.raises(script.Bad, match="name the key"):
        script.verify(str(path))


def test_the_script_runs_by_itself(lived: Scene, app_database: Database, ring: KeyRing, tmp_path: Path) -> None:
    path = exported(lived, app_database, ring, tmp_path / "export")
    copy = tmp_path / "verify.py"
    text = Path(script.__file__).read_text()
    copy.write_text(text)
    assert len(text.splitlines()) < 200
    command = [sys.executable, "-I", str(copy), str(path), ring.trusted()[-1].key_id]
    ok = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ok.returncode, ok.stderr) == (0, "")
    path.write_text(path.read_text().replace('"kind":"task.decided"', '"kind":"task.denied"', 1))
    bad = subprocess.run(command, capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert bad.stderr.startswith("BAD: entry")


def test_a_selection_says_so_and_proves_nothing(lived: Scene, app_database: Database, tmp_path: Path) -> None:
    wanted = EntryFilter(actor="Zoë", kinds=(AuditKind.REVIEW_DECIDED,))
    held = [entry.seq for entry in lived.entries() if wanted.holds(entry)]
    path = tmp_path / "export"
    with AuditLog(app_database).view(lived.tenant_id) as view:
        head = view.head()
        header = ExportHeader(
            tenant_id=lived.tenant_id,
            exported_at=datetime.now(UTC),
            after_seq=0,
            after_hash=bytes(32).hex(),
            head_seq=head.seq,
            head_hash=head.hash.hex(),
            keys=(),
            filter=wanted,
        )
        assert write_export(path, header, selected_items(view, wanted)) == len(held) > 0
    export = AuditExport(path)
    assert export.header().filter == wanted
    assert [row.seq for rows in export.entries() for row in rows] == held
    with pytest.raises(InvalidInput, match="a selection of entries, not the chain"):
        offline(path)
    with pytest.raises(script.Bad, match="a selection of entries, not the chain"):
        script.verify(str(path), "0" * 16)


def changed(name: str, value: Any) -> Any:
    if name == "seq":
        return value + 1
    if name == "at":
        return (datetime.fromisoformat(value) + timedelta(hours=1)).isoformat()
    return value.replace(value[5:9], "abcd" if value[5:9] != "abcd" else "dcba", 1)


def changes(records: list[dict[str, Any]], chance: random.Random) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Records with one thing changed."""
    entries = [place for place, record in enumerate(records) if record["record"] == "entry"]
    for name in ("seq", "at", "kind", "actor", "task_id", "payload", "body", "hash"):
        place = chance.choice([place for place in entries if records[place][name] is not None])
        new = changed(name, records[place][name])
        yield name, [*records[:place], records[place] | {name: new}, *records[place + 1 :]]
    place = chance.choice(entries)
    yield "delete", records[:place] + records[place + 1 :]
    first, second = chance.sample(entries, 2)
    swapped = list(records)
    swapped[first], swapped[second] = swapped[second], swapped[first]
    yield "reorder", swapped
    yield "cut", records[: chance.choice(entries)]
    yield "no payload", [*records[:place], records[place] | {"payload": None}, *records[place + 1 :]]
    [point] = [place for place, record in enumerate(records) if record["record"] == "checkpoint"][:1]
    text = json.loads(records[point]["payload"])
    for name, new in (("hash", "00" * 32), ("signature", "00" * 64), ("at", "2020-01-01T00:00:00Z"), ("number", 9)):
        forged = json.dumps(text | {name: new}, sort_keys=True, separators=(",", ":"))
        yield f"checkpoint {name}", [*records[:point], records[point] | {"payload": forged}, *records[point + 1 :]]


def test_any_change_of_an_export_is_found_by_both(
    lived: Scene, app_database: Database, ring: KeyRing, tmp_path: Path
) -> None:
    path = exported(lived, app_database, ring, tmp_path / "export")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    missed = []
    for position in range(20):
        for name, other in changes(records, random.Random(position)):
            path.write_text("".join(f"{json.dumps(record)}\n" for record in other))
            if offline(path, ring).ok:
                missed.append((name, "the command"))
            try:
                script.verify(str(path), ring.trusted()[-1].key_id)
                missed.append((name, "the script"))
            except script.Bad:
                pass
    assert missed == []


def test_a_csv_export_has_a_column_for_each_part(
    lived: Scene, app_database: Database, ring: KeyRing, tmp_path: Path
) -> None:
    path = exported(lived, app_database, ring, tmp_path / "export", as_csv=True)
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert {row["record"] for row in rows} == {"header", "entry", "checkpoint"}
    assert {row["actor"] for row in rows} >= {"Zoë", "app", "'=1+1"}


@pytest.mark.parametrize("text", ["", "so\n", '{"record":"entry"}\n', "{}\n", '{"record":"header","payload":"{}"}\n'])
def test_what_is_no_export_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "export"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=r"export|entry"):
        offline(path)


HOSTILE: list[Any] = [
    None,
    5,
    -1,
    1e400,
    "",
    "\ud800",
    [],
    {},
    [1],
    True,
    10**30,
    "0001-01-01T00:00:00+00:00",
    "[" * 100_000,
]


def test_no_value_of_an_export_makes_either_fail_otherwise_than_by_saying_so(
    lived: Scene, app_database: Database, ring: KeyRing, tmp_path: Path
) -> None:
    path = exported(lived, app_database, ring, tmp_path / "export")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    kinds = {record["record"]: place for place, record in reversed([*enumerate(records)])}
    assert kinds.keys() == {"header", "entry", "checkpoint"}

    def tried(place: int, record: dict[str, Any]) -> None:
        lines = [json.dumps(each) for each in [*records[:place], record, *records[place + 1 :]]]
        path.write_text("\n".join(lines) + "\n")
        for verify in (lambda: offline(path, ring), lambda: script.verify(str(path), key_id)):
            with suppress(InvalidInput, script.Bad):
                verify()

    key_id = ring.trusted()[-1].key_id
    for place in kinds.values():
        record = records[place]
        for name, value in product(record, HOSTILE):
            tried(place, record | {name: value})
        inner = json.loads(record["payload"])
        for name, value in product(inner, HOSTILE):
            tried(place, record | {"payload": json.dumps(inner | {name: value})})
        for name in record:
            tried(place, {key: value for key, value in record.items() if key != name})
    [key] = [json.loads(records[0]["payload"])["keys"][0]]
    for name, value in product(key, HOSTILE):
        tried(
            0, records[0] | {"payload": json.dumps(json.loads(records[0]["payload"]) | {"keys": [key | {name: value}]})}
        )


def test_an_erased_payload_stays_proved(
    lived: Scene,
    servers: dict[str, str],
    owner_database: Database,
    app_database: Database,
    ring: KeyRing,
    place: CheckpointPlace,
    tmp_path: Path,
) -> None:
    noted = [entry for entry in lived.entries() if entry.kind == "review.decided"]
    seq = noted[0].seq
    with psycopg.connect(servers["SUPERUSER_DATABASE_URL"]) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("update audit set payload = null where tenant_id = %s and seq = %s", [lived.tenant_id, seq])

    def verified() -> Report:
        kept = [kept_by(place, lived.tenant_id)]
        return AuditProof(AuditLog(app_database), ring.trusted()).verify(lived.tenant_id, kept, datetime.now(UTC))

    assert verified().first_bad is not None
    with owner_database.transaction(lived.tenant_id) as transaction:
        erased = AuditEvent(kind=AuditKind.AUDIT_ERASED, actor="ann", facts={"entries": [[seq, seq]]})
        append(transaction, lived.tenant_id, [erased])
    assert verified().faults == ()
    path = exported(lived, app_database, ring, tmp_path / "export")
    assert offline(path).ok
    assert script.verify(str(path), ring.trusted()[-1].key_id).startswith("ok:")
    assert [entry.seq for entry in lived.entries() if entry.facts is None] == [seq]


def test_since_believes_what_is_older(
    lived: Scene, app_database: Database, ring: KeyRing, place: CheckpointPlace
) -> None:
    entries = lived.entries()
    since = entries[len(entries) // 2].at
    kept = [kept_by(place, lived.tenant_id)]
    proof = AuditProof(AuditLog(app_database), ring.trusted())
    report = proof.verify(lived.tenant_id, kept, datetime.now(UTC), since)
    assert report.faults == ()
    assert 0 < report.rows < len(entries)
    assert report.rows == sum(entry.at >= since for entry in entries)


def test_without_keys_the_chain_alone_is_proved(lived: Scene, app_database: Database) -> None:
    report = AuditProof(AuditLog(app_database), None).verify(lived.tenant_id, [], datetime.now(UTC))
    assert (report.ok, report.sealed_seq, report.rows) == (True, 0, len(lived.entries()))
