"""Verifies an export of `chimera audit export` by itself: `python verify_export.py EXPORT [FIRST_KEY_ID]`.

Needs Python 3.11 and the package cryptography, nothing of Chimera's. It shows that nobody changed the entries since
they were sealed, and whose keys say so. FIRST_KEY_ID is the id that was noted when the first key was made; without it,
compare the one that is shown. Exit code 1 if anything is not as it was.
"""

import csv
import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SKEW = timedelta(minutes=5)  # that the clocks of those who sign and of the database may differ by
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
GRACE = timedelta(minutes=15)  # after which a new key must have signed
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
    return {name: value or None for name, value in row.items()}


def signed(key: Row, text: bytes, signature: str) -> bool:
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key["public_key"]))
    with suppress(InvalidSignature):
        return public.verify(bytes.fromhex(signature), text) is None
    return False


def retired(key: Row, at: datetime) -> bool:
    return bool(key["retired_at"]) and at >= datetime.fromisoformat(key["retired_at"])


def trusted(keys: list[Row]) -> dict[str, Row]:
    known = dict[str, Row]()
    for key in keys:
        name, said = key["key_id"], key["announced"]
        need(name == hashlib.sha256(key["public_key"].encode()).hexdigest()[:16], f"key {name} is another one")
        if said:
            by = known.get(said["by"])
            text = {"announces": name, "public_key": key["public_key"], "at": key["created_at"], "retires": said["by"]}
            need(
                by and signed(by, canonical(text).encode(), said["signature"]),
                f"key {name} was not announced by {said['by']}",
            )
            need(by and retired(by, datetime.fromisoformat(key["created_at"])), f"key {said['by']} was not retired")
        known[name] = key
    return known


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


def verify(path: str, first_key: str | None = None) -> str:
    """Says what was verified; raises Bad with the first thing that is wrong."""
    try:
        return _verified(records(path), first_key)
    except BROKEN as exc:
        raise Bad(f"this is no export, or a record of it is broken: {exc!r}") from None


def _verified(coming: Iterator[Row], first_key: str | None) -> str:
    header = json.loads(next(coming)["payload"])
    need(not header.get("filter"), "it is a selection of entries, not the chain: it proves nothing")
    keys, tenant = trusted(header["keys"]), header["tenant_id"]
    roots = [name for name, key in keys.items() if not key["announced"]]
    need(first_key is None or roots == [first_key], f"the first keys are {roots}, not {first_key}")
    seq, previous, row, point = header["after_seq"], bytes.fromhex(header["after_hash"]), Row(), Row()
    missing, erased = list[int](), list[Any]()
    for record in coming:
        if record["record"] == "checkpoint":
            before, point = point, json.loads(record["payload"])
            check_checkpoint(point, before, keys, row, tenant)
        else:
            before, seq, row = row, seq + 1, record
            previous = check_entry(record, tenant, seq, previous, missing, erased)
            at = datetime.fromisoformat(row["at"])
            need(not before or at >= datetime.fromisoformat(before["at"]), f"entry {seq}: its time goes back")
            need(at <= datetime.fromisoformat(header["exported_at"]) + SKEW, f"entry {seq}: its time is still to come")
    need((header["head_seq"], header["head_hash"]) == (seq, previous.hex()), f"the export is cut off after entry {seq}")
    for number in missing:
        need(any(low <= number <= high for low, high in erased), f"entry {number}: what happened is missing")
    sealed = "NOT SEALED by any checkpoint"
    until = datetime.fromisoformat(header["exported_at"]) - GRACE
    if point:
        name = point["key_id"]
        need(not retired(keys[name], until), f"the last checkpoint's key {name} was retired before")
        sealed = f"sealed to entry {point['seq']} by key {name}"
    return (
        f"ok: {tenant}, entries {header['after_seq'] + 1} to {seq}, {sealed}; first keys: {', '.join(roots) or 'none'}"
    )


if __name__ == "__main__":
    try:
        print(verify(*sys.argv[1:3]))  # noqa: T201
    except Bad as exc:
        sys.exit(f"BAD: {exc}")
