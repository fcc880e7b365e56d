"""Verifies an export of `chimera audit export` by itself: `python verify_export.py EXPORT KEY`.

Needs Python 3.11 and the package cryptography, nothing of Chimera's. It shows that the entries are those that were
sealed, none left out, none added, up to the time that it says. KEY is known from elsewhere than the export: the id or
the public key (hex) of the key that seals, or a file keys.json. Exit code 1 if anything is not as it was.
"""

import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SKEW = timedelta(minutes=5)  # that the clocks of those who sign and of the database may differ by
FORMULA = re.compile("'+[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
# What a record of another form than an export's leads to.
BROKEN = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError, StopIteration, csv.Error)
Row = dict[str, Any]


class Bad(Exception):
    """The export is not what was recorded."""


def need(holds: object, what: str) -> None:
    if not holds:
        raise Bad(what)


def records(path: str) -> Iterator[Row]:
    with open(path, encoding="utf-8", newline="") as file:
        lines = file.read(1) == "{"
        file.seek(0)
        csv.field_size_limit(1 << 26)
        yield from map(json.loads, file) if lines else map(filled, csv.DictReader(file, strict=True))


def filled(row: Row) -> Row:
    # An apostrophe before what a spreadsheet would take for a formula is not part of the text.
    return {name: (value[1:] if FORMULA.match(value) else value) if value else None for name, value in row.items()}


def signed(key: Row, text: bytes, signature: str) -> bool:
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key["public_key"]))
    with suppress(InvalidSignature):
        return public.verify(bytes.fromhex(signature), text) is None
    return False


def retired(key: Row, at: datetime) -> bool:
    return bool(key["retired_at"]) and at >= datetime.fromisoformat(key["retired_at"])


def outside(given: str, header: Row) -> dict[str, Row]:
    """The keys to believe: those of a file keys.json, or the one key that has this id or is this public key."""
    if Path(given).is_file():
        return by_id(json.loads(Path(given).read_text()))
    return {name: key for name, key in by_id(header["keys"]).items() if given in (name, key["public_key"])}


def by_id(keys: list[Row]) -> dict[str, Row]:
    for key in keys:
        name = hashlib.sha256(key["public_key"].encode()).hexdigest()[:16]
        need(key["key_id"] == name, f"key {key['key_id']} is another one")
    return {key["key_id"]: key for key in keys}


def check_header(header: Row, known: dict[str, Row]) -> str:
    """That one of these keys has signed where the export begins and ends; returns its id."""
    need(header.get("seal"), "its header is not signed, as in exports of earlier releases: export it anew")
    name, at = str(header["seal"]["key_id"]), datetime.fromisoformat(header["exported_at"])
    key, now = known.get(name, Row()), datetime.now(UTC)
    need(key, f"it is sealed by the key {name}, which is not the one that you named")
    said = {what: value for what, value in header.items() if what not in ("keys", "filter", "seal")}
    text = canonical(said | {"key_id": name}).encode()
    need(signed(key, text, header["seal"]["signature"]), f"its header is not what the key {name} has signed")
    need(not retired(key, max(at, now)), f"its key {name} is retired, and proves nothing now: export it anew")
    need(datetime.fromisoformat(key["created_at"]) - SKEW <= at <= now + SKEW, f"it cannot have been sealed at {at}")
    need(header["head_seq"] - header["after_seq"] == header["entries"] > 0, "its header does not agree with itself")
    return name


def check_entry(row: Row, tenant: str, seq: int, previous: bytes, missing: list[int], erased: list[Any]) -> bytes:
    need(int(row["seq"]) == seq, f"entry {seq} is missing")
    body = json.loads(row["body"])
    columns = {"tenant_id": tenant, "seq": seq} | {name: row[name] for name in ("kind", "actor", "plan_id", "task_id")}
    need(all(body[name] == value for name, value in columns.items()), f"entry {seq}: a column is not what was hashed")
    need(datetime.fromisoformat(body["at"]) == datetime.fromisoformat(row["at"]), f"entry {seq}: its time was changed")
    if "facts" not in body:
        text = row["payload"]
        missing += [seq] if text is None else []
        sha256 = hashlib.sha256((text or "").encode()).hexdigest()
        need(text is None or sha256 == body["payload_sha256"], f"entry {seq}: what happened was changed")
        erased += json.loads(text)["entries"] if row["kind"] == "audit.erased" else []
    digest = hashlib.sha256(previous + row["body"].encode()).digest()
    need(digest.hex() == row["hash"], f"entry {seq}: its hash is not that of the chain so far and its text")
    return digest


def digest_of(row: Row) -> str:
    """What a repair names a row by."""
    at = datetime.fromisoformat(row["at"]).astimezone(UTC).isoformat()
    names = ("kind", "actor", "plan_id", "task_id", "body")
    parts = [int(row["seq"]), at, *(row[name] for name in names), row["payload"] or "", row["hash"]]
    return hashlib.sha256(canonical(parts).encode()).hexdigest()


def check_checkpoint(point: Row, before: Row, keys: Any, row: Row, tenant: str) -> None:
    name, at, key = f"checkpoint {point['number']}", datetime.fromisoformat(point["at"]), keys.get(point["key_id"])
    need(key, f"{name}: its key is not among the trusted ones")
    text = canonical({name: value for name, value in point.items() if name != "signature"}).encode()
    need(signed(key, text, point["signature"]), f"{name}: its signature is wrong")
    same = (point["tenant_id"], point["seq"], point["hash"]) == (tenant, int(row["seq"]), row["hash"])
    need(same, f"{name}: it sealed another entry {point['seq']}")
    written = datetime.fromisoformat(row["at"])
    need(written <= at + SKEW, f"{name}: it was signed before entry {row['seq']} was written")
    need(not retired(key, max(at, written - SKEW)), f"{name}: its key was retired before")
    follows = not before or point["previous"] == hashlib.sha256(canonical(before).encode()).hexdigest()
    need(follows and (not before or point["number"] == before["number"] + 1), f"{name}: one before it is missing")


def verify(path: str, key: str | None = None) -> str:
    """Says what was verified; raises Bad with the first thing that is wrong."""
    need(key, "name the key to believe: its id, its public key, or a file keys.json, known from elsewhere")
    try:
        return _verified(records(path), str(key))
    except BROKEN as exc:
        raise Bad(f"this is no export, or a record of it is broken: {exc!r}") from None


def _verified(coming: Iterator[Row], given: str) -> str:
    header = json.loads(next(coming)["payload"])
    need(not header.get("filter"), "it is a selection of entries, not the chain: it proves nothing")
    known, tenant = outside(given, header), header["tenant_id"]
    sealed_by, keys = check_header(header, known), by_id(header["keys"]) | known
    seq, previous, row, point = header["after_seq"], bytes.fromhex(header["after_hash"]), Row(), Row()
    missing, erased, repaired, wrong = list[int](), list[Any](), list[Any](), dict[int, tuple[str, str]]()
    latest, until = None, datetime.fromisoformat(header["exported_at"])
    for record in coming:
        if record["record"] == "checkpoint":
            before, point = point, json.loads(record["payload"])
            check_checkpoint(point, before, keys, row, tenant)
        else:
            seq, row = seq + 1, record
            try:
                previous, at = (
                    check_entry(row, tenant, seq, previous, missing, erased),
                    datetime.fromisoformat(row["at"]),
                )
                need(not latest or at >= latest, f"entry {seq}: its time goes back")
                need(at <= until + SKEW, f"entry {seq}: its time is still to come")
                latest = at
                repaired += json.loads(row["payload"])["rows"] if row["kind"] == "audit.repaired" else []
            except (Bad, *BROKEN) as bad:  # right only where a later entry says that it is wrong
                need(int(row["seq"]) == seq, str(bad))
                wrong[seq], previous = (digest_of(row), str(bad)), bytes.fromhex(row["hash"])
    need((header["head_seq"], header["head_hash"]) == (seq, previous.hex()), f"the export is cut off after entry {seq}")
    for number, (digest, what) in wrong.items():
        need([number, digest] in [named[:2] for named in repaired], what)
    for number in missing:
        need(any(low <= number <= high for low, high in erased), f"entry {number}: what happened is missing")
    need(point and (point["number"], point["seq"]) == (header["checkpoint"], seq), "no checkpoint seals its last entry")
    need(point["key_id"] in known, f"its last checkpoint is signed by another key, {point['key_id']}")
    part = f"entries {header['after_seq'] + 1} to {seq}{'' if header['after_seq'] else ', all of them'}"
    return f"ok: {tenant}, {part}, as of {header['exported_at']}, sealed by key {sealed_by}"


if __name__ == "__main__":
    try:
        print(verify(*sys.argv[1:3]))  # noqa: T201
    except Bad as exc:
        sys.exit(f"BAD: {exc}")
