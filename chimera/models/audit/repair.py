"""A repair of an audit that does not go on: what is wrong with it is named on the record, and nothing of it is changed.

Each row that is wrong is named with the SHA-256 of all of it, so that verifying knows it as what was found, and finds
any change of it since. A row that is missing is not explained by it.
"""

import json
from collections.abc import Iterable
from typing import Any

from chimera.models.audit.audit import AuditEvent, ChainHead
from chimera.models.audit.kinds import AuditKind
from chimera.models.audit.proof import EntryRow, Fault
from chimera.models.record import Record


class WrongRow(Record):
    """An entry that is not what its chain makes of it."""

    seq: int
    # SHA-256 of the row, in hex: EntryRow.digest.
    sha256: str
    what: str


class Repaired(Record):
    """What a repair found, and set."""

    rows: tuple[WrongRow, ...]
    # Where the chain was said to end, and where it does.
    found: ChainHead
    ends: ChainHead

    @property
    def nothing(self) -> bool:
        """Whether there was nothing to repair."""
        return not self.rows and self.found == self.ends


def repaired_event(repaired: Repaired, actor: str, reason: str) -> AuditEvent:
    """What the audit is to say of it."""
    facts: dict[str, Any] = {
        "reason": reason,
        "rows": [[row.seq, row.sha256, row.what] for row in repaired.rows],
        "head_found": [repaired.found.seq, repaired.found.hash.hex()],
        "head_set": [repaired.ends.seq, repaired.ends.hash.hex()],
    }
    return AuditEvent(kind=AuditKind.AUDIT_REPAIRED, actor=actor, facts=facts)


class Repairs:
    """What entries `audit.repaired` say that was wrong."""

    def __init__(self, rows: Iterable[EntryRow]) -> None:
        """Takes up those among the rows; what such an entry is worth, the walk over the chain says."""
        self._known: set[tuple[int, str]] = set()
        for row in rows:
            if row.kind == AuditKind.AUDIT_REPAIRED:
                self._known |= _named(row.payload)

    def names(self, row: EntryRow, fault: Fault) -> bool:  # noqa: ARG002  as proof.Known
        """Whether this very row is named as wrong."""
        return (row.seq, row.digest()) in self._known


def _named(payload: str | None) -> set[tuple[int, str]]:
    try:
        return {(int(seq), str(digest)) for seq, digest, *_ in json.loads(payload or "{}").get("rows", ())}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return set()
