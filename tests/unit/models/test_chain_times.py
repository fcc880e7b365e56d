"""Times along a chain do not go back, and none is still to come: whoever wrote it with hashes that fit."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chimera.models.audit.audit import GENESIS, AuditEntry, AuditEvent, ChainHead, chain
from chimera.models.audit.checkpoint import NO_CHECKPOINT, UnsignedCheckpoint, sign
from chimera.models.audit.export import ExportHeader, sign_header
from chimera.models.audit.kinds import AuditKind
from chimera.models.audit.proof import ChainWalk, EntryRow, Fault
from chimera.models.audit.repair import Repaired, Repairs, WrongRow, repaired_event
from chimera.models.audit.trust import new_key
from chimera.verify_export import Bad, verify

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
EVENT = AuditEvent(kind=AuditKind.AUDIT_READ, actor="ann", facts={})


def chained_at(*times: datetime) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    for at in times:
        before = entries[-1].hash if entries else GENESIS
        entries += chain("acme", len(entries), before, at, [EVENT])
    return entries


def rows(entries: list[AuditEntry]) -> list[EntryRow]:
    return [EntryRow(e.seq, e.at, e.kind, e.actor, None, None, e.body, e.payload, e.hash) for e in entries]


WRONG = {
    "back by a microsecond": ([NOW, NOW + timedelta(microseconds=1), NOW], 3, "before that of the entry before it"),
    "2001": ([NOW, datetime(2001, 1, 1, tzinfo=UTC), NOW], 2, "before that of the entry before it"),
    "2200": ([NOW, datetime(2200, 1, 1, tzinfo=UTC)], 2, "still to come"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("at_once", [1, 3])
def test_a_chain_is_of_times_that_rise(what: str, at_once: int) -> None:
    times, seq, said = WRONG[what]
    taken = rows(chained_at(*times))
    walk = ChainWalk("acme", until=NOW + HOUR)
    faults = [walk.take(taken[start : start + at_once]) for start in range(0, len(taken), at_once)]
    [first, *_] = [fault for fault in faults if fault]
    assert (first.seq, said in first.what) == (seq, True)


def test_what_is_of_one_time_or_later_is_right() -> None:
    walk = ChainWalk("acme", until=NOW + HOUR)
    assert walk.take(rows(chained_at(NOW, NOW, NOW + timedelta(microseconds=1), NOW + HOUR))) is None


def exported(path: Path, entries: list[AuditEntry]) -> str:
    """Writes an export of these, and returns the key that sealed it."""
    private = Ed25519PrivateKey.generate()
    key = new_key(private, NOW)
    draft = UnsignedCheckpoint(
        origin="tests",
        tenant_id="acme",
        number=1,
        seq=len(entries),
        hash=entries[-1].hash.hex(),
        previous=NO_CHECKPOINT,
    )
    header = ExportHeader(
        tenant_id="acme", exported_at=NOW, after_seq=0, after_hash=GENESIS.hex(), head_seq=len(entries),
        head_hash=entries[-1].hash.hex(), entries=len(entries), checkpoint=1, keys=(key,),
    )  # fmt: skip
    lines = [{"record": "header", "payload": sign_header(header, private, NOW + HOUR).model_dump_json()}]
    lines += [json.loads(e.model_dump_json()) | {"record": "entry"} for e in entries]
    lines += [{"record": "checkpoint", "payload": sign(draft, private, NOW + HOUR).text}]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return key.key_id


@pytest.mark.parametrize("what", [None, *WRONG])
def test_the_script_asks_it_too(tmp_path: Path, what: str | None) -> None:
    path = tmp_path / "export.jsonl"
    key = exported(path, chained_at(*(WRONG[what][0] if what else [NOW, NOW])))
    if what is None:
        assert "ok: acme" in verify(str(path), key)
    else:
        with pytest.raises(Bad, match=r"goes back|still to come|was signed before"):
            verify(str(path), key)


@pytest.mark.parametrize("what", WRONG)
def test_both_know_what_a_repair_has_named_and_no_more(tmp_path: Path, what: str) -> None:
    entries = chained_at(*WRONG[what][0])
    named: list[WrongRow] = []

    def known(row: EntryRow, fault: Fault) -> bool:
        named.append(WrongRow(seq=row.seq, sha256=row.digest(), what=fault.what))
        return True

    walk = ChainWalk("acme", until=NOW + HOUR, known=known)
    assert walk.take(rows(entries)) is None
    end = ChainHead(seq=walk.seq, hash=walk.hash)
    event = repaired_event(Repaired(rows=tuple(named), found=end, ends=end), "ann", "a stolen login")
    entries += chain("acme", walk.seq, walk.hash, NOW + timedelta(seconds=1), [event])
    path = tmp_path / "export.jsonl"
    assert "ok: acme" in verify(str(path), exported(path, entries))
    after = ChainWalk("acme", until=NOW + HOUR, known=Repairs(rows(entries)).names)
    assert after.take(rows(entries)) is None
    assert [fault.seq for fault in after.explained] == [row.seq for row in named]

    first = named[0].seq - 1
    changed = [*entries]
    changed[first] = changed[first].model_copy(update={"actor": "mallory"})
    with pytest.raises(Bad):
        verify(str(path), exported(path, changed))
    assert ChainWalk("acme", until=NOW + HOUR, known=Repairs(rows(changed)).names).take(rows(changed)) is not None
