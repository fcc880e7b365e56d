"""Times along a chain do not go back, and none is still to come: whoever wrote it with hashes that fit."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chimera.models.audit.audit import GENESIS, AuditEntry, AuditEvent, chain
from chimera.models.audit.checkpoint import NO_CHECKPOINT, UnsignedCheckpoint, sign
from chimera.models.audit.export import ExportHeader, sign_header
from chimera.models.audit.kinds import AuditKind
from chimera.models.audit.proof import ChainWalk, EntryRow
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


@pytest.mark.parametrize("what", [None, *WRONG])
def test_the_script_asks_it_too(tmp_path: Path, what: str | None) -> None:
    entries = chained_at(*(WRONG[what][0] if what else [NOW, NOW]))
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
    path = tmp_path / "export.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    if what is None:
        assert "ok: acme" in verify(str(path), key.key_id)
    else:
        with pytest.raises(Bad, match=r"goes back|still to come"):
            verify(str(path), key.key_id)
