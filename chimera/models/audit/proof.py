"""What a tenant's audit is proved by: pure functions over its rows, for the database and for exports alike."""

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from chimera.models.audit.audit import GENESIS, Erasures
from chimera.models.audit.kinds import AuditKind
from chimera.models.ids import IdKind, format_id
from chimera.models.record import Record, canonical_json, sha256


class Fault(Record):
    """A row that is not as it was, or is not there."""

    # audit, checkpoint, decision, commit, result, state
    table: str
    # The sequence of the audit entry that it is about; for a checkpoint, the last that it covers.
    seq: int | None = None
    # Which row of another table.
    id: str | None = None
    what: str


class EntryRow(NamedTuple):
    """An audit entry as it is read: the times aware, the ids as 16 bytes."""

    seq: int
    at: datetime
    kind: str
    actor: str
    plan_id: bytes | None
    task_id: bytes | None
    body: str
    payload: str | None
    hash: bytes

    def digest(self) -> str:
        """SHA-256 of all of the row as it stands, in hex: what a repair names it by."""
        ids = [None if value is None else value.hex() for value in (self.plan_id, self.task_id)]
        at = self.at.astimezone(UTC).isoformat()
        row = [self.seq, at, self.kind, self.actor, *ids, self.body, self.payload or "", self.hash.hex()]
        return sha256(canonical_json(row)).hex()


# Whether what is wrong with a row is known, and the walk may go on behind it.
Known = Callable[[EntryRow, Fault], bool]


def unknown(row: EntryRow, fault: Fault) -> bool:  # noqa: ARG001  as Known
    """That nothing is known about any row."""
    return False


class DecisionRow(Record):
    """A decision, the entry about it, its result and its commit, as far as they are there."""

    seq: int
    entry_task_id: UUID | None
    entry_actor: str | None
    entry_at: datetime | None
    entry_text: str | None  # JSON: the payload, or without one the body
    task_id: UUID | None
    attempt: int | None
    verdict: str | None
    final: bool | None
    reasons: str | None  # JSON
    policy_version: str | None
    decided_by: str | None
    decided_at: datetime | None
    result_sha256: bytes | None
    stored_sha256: bytes | None
    # Of the outcome's text as it stands there; None where there is no text.
    outcome_sha256: bytes | None
    commit_attempt: int | None
    commit_sha256: bytes | None
    committed_at: datetime | None
    state_key: str | None
    state_version: int | None


class ChainWalk:
    """Walks along a chain, entry by entry, from its beginning or from an entry whose hash is known.

    The text that an entry's hash is taken of is made anew from the entry's columns and compared: so each of
    them is proved, and no JSON is parsed on the way. What does not compare is parsed, and either
    of the form of the first releases, or erased, or wrong. No time is before that of the entry before it.
    """

    def __init__(
        self,
        tenant_id: str,
        seq: int = 0,
        previous: bytes = GENESIS,
        *,
        until: datetime | None = None,
        known: Known = unknown,
    ) -> None:
        """Begins after an entry.

        Args:
            tenant_id: whose chain it is.
            seq: of that entry.
            previous: its hash.
            until: no entry is of a later time; None where that is not asked.
            known: asked about each row that is wrong, but for those that are missing.
        """
        self.tenant_id = tenant_id
        self._until = until
        self._known = known
        # What was wrong and known.
        self.explained: list[Fault] = []
        self.seq = seq
        self.hash = previous
        self.at: datetime | None = None
        self.rows = 0
        self.erasures = Erasures()
        # Entries without a payload, of which no entry has said so far that it was erased.
        self._missing: list[int] = []
        self._texts: dict[str, str] = {}

    def take(self, rows: Iterable[EntryRow]) -> Fault | None:
        """Takes the next rows; returns the first fault, and is at the entry before it then."""
        texts, tail = self._texts, f',"tenant_id":"{self.tenant_id}"}}'
        hashed, previous, expected = hashlib.sha256, self.hash, self.seq
        stamp, stamped, untimely = "", None, None
        erased = AuditKind.AUDIT_ERASED.value
        for seq, at, kind, actor, plan, task, body, payload, found in rows:
            expected += 1
            if at != stamped:
                stamp, stamped, untimely = at.astimezone(UTC).isoformat(), at, self._untimely(at)
            who, what = texts.get(actor) or self._text(actor), texts.get(kind) or self._text(kind)
            made = payload and (
                f'{{"actor":{who},"at":"{stamp}","kind":{what},"payload_sha256":"{hashed(payload.encode()).hexdigest()}"'
                f',"plan_id":{_id(plan)},"seq":{seq},"task_id":{_id(task)}{tail}'
            )
            fault = _fault(seq, untimely) if untimely else None
            if seq != expected or body != made:
                row = EntryRow(seq, at, kind, actor, plan, task, body, payload, found)
                fault = self._unlike(row, expected) or fault
            elif kind == erased and payload and not self._learn(payload):
                fault = _fault(seq, "it does not say what was erased")
            previous = hashed(previous + body.encode()).digest()
            if found != previous:
                fault = fault or _fault(seq, "its hash is not that of the entry before it and its own text")
            if fault is not None:
                row = EntryRow(seq, at, kind, actor, plan, task, body, payload, found)
                if seq != expected or not self._known(row, fault):
                    return fault
                self.explained.append(fault)
                previous = found
            else:
                self.at = at
            self.seq, self.hash = seq, found
            self.rows += 1
        return None

    def _untimely(self, at: datetime) -> str | None:
        """What is wrong with a time."""
        if self.at is not None and at < self.at:
            return "its time is before that of the entry before it"
        if self._until is not None and at > self._until:
            return "its time is still to come"
        return None

    def missing(self) -> Fault | None:
        """The first entry whose payload is missing though no entry says that it was erased; to be asked at the end."""
        for seq in self._missing:
            if not self.erasures.names_entry(seq):
                return _fault(seq, "what happened is missing, and no entry audit.erased says that it was erased")
        return None

    def _learn(self, payload: str) -> bool:
        try:
            self.erasures.learn(json.loads(payload))
        except (ValueError, TypeError, AttributeError, RecursionError):
            return False
        return True

    def _text(self, text: str) -> str:
        if len(self._texts) > 10_000:
            self._texts.clear()
        return self._texts.setdefault(text, canonical_json(text))

    def _unlike(self, row: EntryRow, expected: int) -> Fault | None:  # noqa: PLR0911  a list of what may be wrong
        """What is wrong with a row that is not what its columns make of it."""
        if row.seq != expected:
            return _fault(expected, f"it is missing: the next entry is {row.seq}")
        try:
            body = json.loads(row.body)
            columns = {
                "tenant_id": self.tenant_id,
                "seq": row.seq,
                "kind": row.kind,
                "actor": row.actor,
                "plan_id": row.plan_id and row.plan_id.hex(),
                "task_id": row.task_id and row.task_id.hex(),
            }
            wrong = [name for name, value in columns.items() if body.pop(name) != value]
            if datetime.fromisoformat(body.pop("at")) != row.at:
                wrong.append("at")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return _fault(row.seq, "its text is not that of an entry")
        if wrong:
            return _fault(row.seq, f"its text says otherwise than its {', '.join(wrong)}")
        if row.payload is None and set(body) == {"facts"}:
            return None
        if set(body) != {"payload_sha256"}:
            return _fault(row.seq, "its text is not that of an entry")
        if row.payload is not None:
            return _fault(row.seq, "what happened is not what its text has the SHA-256 of")
        self._missing.append(row.seq)
        return None


def decision_fault(row: DecisionRow, erasures: Erasures) -> Fault | None:
    """What is wrong between a decision and its entry, its result and its commit."""
    if row.task_id is None:
        return Fault(table="decision", seq=row.seq, what="the decision that this entry is about is missing")
    name = format_id(IdKind.TASK, row.task_id)
    if row.entry_task_id is None:
        return Fault(table="decision", seq=row.seq, id=name, what="the audit has no entry about this decision")
    if wrong := _unlike_entry(row):
        what = f"its {', '.join(wrong)} is not what its entry says"
        return Fault(table="decision", seq=row.seq, id=name, what=what)
    if row.result_sha256 and (result := _result_fault(row, erasures)):
        return Fault(table="result", seq=row.seq, id=name, what=result)
    if commit := _commit_fault(row):
        return Fault(table="commit", seq=row.seq, id=name, what=commit)
    return None


def _unlike_entry(row: DecisionRow) -> list[str]:
    """The columns of a decision that its entry contradicts."""
    assert row.result_sha256 is not None
    columns: dict[str, tuple[Any, Any]] = {
        "task_id": (row.task_id, row.entry_task_id),
        "decided_by": (row.decided_by, row.entry_actor),
        "decided_at": (row.decided_at, row.entry_at),
    }
    text = _object(row.entry_text)
    facts = text.get("facts") if "payload_sha256" in text or "facts" in text else text
    if facts is not None:
        facts = facts if isinstance(facts, dict) else {}
        said = {
            "attempt": row.attempt,
            "verdict": row.verdict,
            "final": row.final,
            "policy_version": row.policy_version,
            "result_sha256": row.result_sha256.hex(),
        }
        columns |= {name: (value, facts.get(name)) for name, value in said.items()}
        if row.reasons is not None:
            columns["reasons"] = (json.loads(row.reasons), facts.get("reasons"))
        if row.commit_attempt is not None:
            columns["state_key"] = (row.state_key, facts.get("state_key"))
            columns["state_version"] = (row.state_version, facts.get("state_version"))
        if facts.get("state") == "approved" and row.verdict != "approve":
            columns["verdict"] = (row.verdict, "approve")
    return [name for name, (found, wanted) in columns.items() if found != wanted]


def _result_fault(row: DecisionRow, erasures: Erasures) -> str | None:
    assert row.task_id is not None
    assert row.attempt is not None
    if row.stored_sha256 is None:
        return "the result that was decided on is missing"
    if row.stored_sha256 != row.result_sha256:
        return "it is not the result that was decided on"
    if row.outcome_sha256 is None:
        if erasures.names_result(row.task_id, row.attempt):
            return None
        return "its outcome is missing, and no entry audit.erased says that it was erased"
    return None if row.outcome_sha256 == row.result_sha256 else "its outcome is not the one that was decided on"


def _commit_fault(row: DecisionRow) -> str | None:
    if row.verdict != "approve":
        return None
    if row.commit_attempt is None:
        return "the decision approves, and the commit is missing"
    if row.commit_attempt != row.attempt or row.commit_sha256 != row.result_sha256:
        return "it is not of the result that was approved"
    if row.committed_at != row.decided_at:
        return "it is not of the transaction that approved it"
    return None


def _object(text: str | None) -> dict[str, Any]:
    """A JSON object; an empty one where the text is none."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = {}
    return value if isinstance(value, dict) else {}


def _fault(seq: int, what: str) -> Fault:
    return Fault(table="audit", seq=seq, what=what)


def _id(value: bytes | None) -> str:
    return f'"{value.hex()}"' if value else "null"
