"""Review cards and what people do with them, in PostgreSQL: one transaction each, all or nothing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.chain import Appended, append
from chimera.adapters.postgres.steps.deciding import DecidingTransaction, PlanStopped, Recorded
from chimera.adapters.postgres.steps.policy_in_force import in_force, version_in_force
from chimera.adapters.postgres.steps.refusals import refusals_noted
from chimera.adapters.postgres.steps.sealing import Sealing
from chimera.adapters.postgres.steps.staged import staged as staged_result
from chimera.errors import CardAlreadyDecided, CardChanged, CardClaimed, CardNotFound, Conflict
from chimera.failpoints import Failpoint, failpoint
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.gate.deciding import NOTHING_DECIDED, Decided, StateChanged, person_decision, ruling_of_person
from chimera.models.gate.review import CardStatus
from chimera.models.ids import IdKind, format_id
from chimera.models.record import canonical_json, sha256
from chimera.models.text.person import person_key
from chimera.models.work.decision import Decision
from chimera.models.work.wave import WaveRef
from chimera.ports import card_store as port
from chimera.ports.card_store import CardDecision, CardEdit, ToEdit
from chimera.ports.decision_store import PolicyChanged

_SQL = statements("card_store")


class CardStore(port.CardStore):
    """In the role `review`. Locks the wave first, where something is decided, then the card, the audit's head last."""

    def __init__(self, database: Database, sealing: Sealing | None = None) -> None:
        """Where `sealing` is given, nothing is decided whose audit is not sealed in time."""
        self._database = database
        self._sealing = sealing

    def claim(self, tenant_id: str, card_id: UUID, who: str, seconds: float) -> None:  # noqa: D102  see the port
        with self._asked(tenant_id, card_id, "claim", who) as connection:
            card = _Card(connection, tenant_id, card_id)
            card.require_open(who)
            card.claim(who, seconds)

    def claim_next(self, tenant_id: str, who: str, seconds: float, skill: str | None) -> UUID | None:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            row = connection.execute(_SQL["next"], {"who": who, "skill": skill}).fetchone()
            if row is None or row["card_id"] is None:
                return None
            card_id: UUID = row["card_id"]
            _Card(connection, tenant_id, card_id).claim(who, seconds)
        return card_id

    def release(self, tenant_id: str, card_id: UUID, who: str) -> None:  # noqa: D102
        with self._asked(tenant_id, card_id, "release", who) as connection:
            card = _Card(connection, tenant_id, card_id)
            card.require_open(who)
            if card.row["held_by"] is not None:
                card.release(who)

    def decide(self, tenant_id: str, decision: CardDecision) -> Decided:  # noqa: D102
        with self._deciding(tenant_id, decision.card_id, "decide", decision.decided_by) as card:
            card.require_open(decision.decided_by)
            card.require_seen(decision.version, decision.seen_sha256)
            if not decision.approve:
                return card.end(decision.decided_by, decision.note, [], approve=False)
            card.require_first_approval(decision.decided_by)
            return card.approve(decision.decided_by, decision.note, [])

    def to_edit(self, tenant_id: str, card_id: UUID) -> ToEdit:  # noqa: D102
        with self._asked(tenant_id, card_id, "edit", "app") as connection:
            row = connection.execute(_SQL["staged"], {"tenant": tenant_id, "card": card_id}).fetchone()
            if row is None:
                raise _not_found(tenant_id, card_id)
            return ToEdit(staged=staged_result(row), policy=in_force(connection, tenant_id))

    def edit(self, tenant_id: str, edit: CardEdit) -> Decided:  # noqa: D102
        with self._deciding(tenant_id, edit.card_id, "edit", edit.edited_by) as card:
            card.require_open(edit.edited_by)
            card.require_seen(edit.version, edit.seen_sha256)
            edited = card.revise(edit)
            decided = NOTHING_DECIDED
            if edit.approve:
                decided = card.approve(edit.edited_by, edit.note, [edited])
            else:
                card.deciding.note([edited])
            card.require_policy(edit.policy_version)
            return decided

    @contextmanager
    def _deciding(self, tenant_id: str, card_id: UUID, to: str, who: str) -> Iterator["_DecidingCard"]:
        """A transaction that may decide on a card that somebody asks for."""
        try:
            with self._asked(tenant_id, card_id, to, who) as connection:
                yield _DecidingCard(connection, tenant_id, card_id, self._sealing)
        except PlanStopped:
            raise Conflict("the plan was stopped: nothing of it is committed any more") from None
        except StateChanged:
            raise Conflict(
                "shared state has changed since this result was made: deny it, or run the plan again"
            ) from None

    @contextmanager
    def _asked(self, tenant_id: str, card_id: UUID, to: str, who: str) -> Iterator[psycopg.Connection[DictRow]]:
        """A transaction on a card that somebody asks for; where the tenant has none, that goes on record."""
        with (
            refusals_noted(self._database, tenant_id, format_id(IdKind.CARD, card_id), to, who),
            self._database.transaction(tenant_id) as connection,
        ):
            yield connection


class _Card:
    """A card under its lock, and the steps of a transaction on it."""

    def __init__(self, connection: psycopg.Connection[DictRow], tenant_id: str, card_id: UUID) -> None:
        self._connection = connection
        self._scope = {"tenant": tenant_id, "card": card_id}
        place = connection.execute(_SQL["place"], self._scope).fetchone()
        if place is None:
            raise _not_found(tenant_id, card_id)
        self._wave = WaveRef(tenant_id=tenant_id, **place)
        self._lock_wave()
        connection.execute(_SQL["lock"], self._scope)
        self.row = self._read()

    def _lock_wave(self) -> None:
        """Locks the card's wave, where something of it is decided: before the card."""

    def require_open(self, who: str) -> None:
        """Refuses a person who may not change the card."""
        name, row = _name(self.row["card_id"]), self.row
        if row["status"] != CardStatus.PENDING:
            by = f" by {row['decided_by']}" if row["decided_by"] else ""
            raise CardAlreadyDecided(f"{name} was {row['status']}{by} already")
        if row["held_by"] not in {None, who}:
            until = row["claim_expires_at"].isoformat(timespec="seconds")
            raise CardClaimed(f"{name} is claimed by {row['held_by']} until {until}: wait, or have it released")

    def require_seen(self, version: int, sha256: bytes) -> None:
        """Refuses a person who has seen another version of the card, or other bytes."""
        row = self.row
        if (version, sha256) != (row["version"], row["result_sha256"]):
            raise CardChanged(
                f"{_name(row['card_id'])} has changed since it was shown (version {row['version']}): look at it again"
            )

    def require_first_approval(self, who: str) -> None:
        """Refuses the second approval of one person."""
        row = self.row
        if person_key(who) in map(person_key, row["approvals"]):
            counted = f"{len(row['approvals'])} of {row['approvals_needed']}"
            raise Conflict(f"{who} has approved {_name(row['card_id'])} already ({counted}): somebody else must, too")

    def claim(self, who: str, seconds: float) -> None:
        """Keeps the card for a person."""
        values = self._scope | {"who": who, "seconds": seconds}
        row = self._connection.execute(_SQL["claim"], values).fetchone()
        assert row is not None
        self._append([self._event(AuditKind.REVIEW_CLAIMED, who, {"until": row["claim_expires_at"].isoformat()})])

    def release(self, who: str) -> None:
        """Gives the card back to everybody."""
        self._connection.execute(_SQL["release"], self._scope | {"who": who})
        self._append([self._event(AuditKind.REVIEW_RELEASED, who, {})])

    def _append(self, events: Sequence[AuditEvent]) -> list[Appended]:
        return append(self._connection, self._wave.tenant_id, events)

    def _event(self, kind: AuditKind, who: str, facts: dict[str, Any]) -> AuditEvent:
        facts = {"card_id": self.row["card_id"].hex, "result_sha256": self.row["result_sha256"].hex()} | facts
        return AuditEvent(kind=kind, actor=who, plan_id=self.row["plan_id"], task_id=self.row["task_id"], facts=facts)

    def _read(self) -> DictRow:
        row = self._connection.execute(_SQL["card"], self._scope).fetchone()
        assert row is not None
        return row


class _DecidingCard(_Card):
    """A card that a person decides on, or changes."""

    def __init__(
        self, connection: psycopg.Connection[DictRow], tenant_id: str, card_id: UUID, sealing: Sealing | None
    ) -> None:
        """Where `sealing` is given, nothing is decided whose audit is not sealed in time."""
        self._sealing = sealing
        super().__init__(connection, tenant_id, card_id)

    def _lock_wave(self) -> None:
        self.deciding = DecidingTransaction(self._connection, self._wave, self._sealing)
        failpoint(Failpoint.REVIEW_LOCKED, self._wave.tenant_id)

    def require_policy(self, version: str) -> None:
        """Refuses what was gated by another policy than the one in force: asked with the audit's head locked."""
        if version_in_force(self._connection, self._wave.tenant_id) != version:
            raise PolicyChanged

    def revise(self, edit: CardEdit) -> AuditEvent:
        """Shows another version of the result from now on; returns what is to be recorded."""
        number = self.row["revision"] + 1
        values = {
            "version": edit.version,
            "outcome": edit.outcome,
            "sha256": edit.sha256,
            "reasons": canonical_json([reason.model_dump(mode="json") for reason in edit.reasons]),
            "policy": edit.policy_version,
            "who": edit.edited_by,
            "note": edit.note,
        }
        before = self.row["result_sha256"]
        self._connection.execute(_SQL["revise"], self._scope | values)
        self.row = self._read()
        facts = {
            "revision": number,
            "before_sha256": before.hex(),
            "reasons": [reason.model_dump(mode="json") for reason in edit.reasons],
            "policy_version": edit.policy_version,
            **_note(edit.note),
        }
        return self._event(AuditKind.REVIEW_EDITED, edit.edited_by, facts)

    def approve(self, who: str, note: str | None, events: Sequence[AuditEvent]) -> Decided:
        """Counts a person's approval of what is shown; the last one that is needed ends the card."""
        approvals = {person_key(name) for name in (*self.row["approvals"], who)}
        if len(approvals) >= self.row["approvals_needed"]:
            return self.end(who, note, events, approve=True)
        facts = {"approvals": len(approvals), "approvals_needed": self.row["approvals_needed"], **_note(note)}
        self._connection.execute(_SQL["release"], self._scope | {"who": who})  # for the next person
        self.deciding.note([*events, self._event(AuditKind.REVIEW_APPROVED, who, facts)], self._approved(who))
        return NOTHING_DECIDED

    def end(self, who: str, note: str | None, events: Sequence[AuditEvent], *, approve: bool) -> Decided:
        """Decides the card, and all that follows for task, wave and plan."""
        row = self.row
        status = CardStatus.DENIED
        if approve:
            status = CardStatus.EDITED if row["revision"] else CardStatus.APPROVED
        values = {"version": row["version"], "status": status, "who": who, "note": note}
        self._connection.execute(_SQL["decide"], self._scope | values)
        decision = Decision(
            task_id=row["task_id"],
            attempt=row["attempt"],
            agent_id=row["agent_id"],
            ruling=ruling_of_person(approve=approve),
            result_sha256=row["result_sha256"],
            decided_by=who,
            policy_version=version_in_force(self._connection, self._wave.tenant_id),
        )
        approvals = [*row["approvals"], who] if approve else row["approvals"]
        facts = {"status": status, "version": row["version"], **_note(note), "approvals": approvals}
        decided = self.deciding.decide(
            [person_decision(decision, row["state_key"], row["state_version"])],
            noted=[*events, self._event(AuditKind.REVIEW_DECIDED, who, facts)],
            recorded=self._approved(who) if approve else None,
        )
        assert decided.decisions  # the wave is locked: while its card waits, a task is in review
        return decided

    def _approved(self, who: str) -> Recorded:
        def write(entries: Sequence[Appended]) -> None:
            values = {"sha256": self.row["result_sha256"], "who": who, "at": entries[-1].at, "seq": entries[-1].seq}
            self._connection.execute(_SQL["insert_approval"], self._scope | values)

        return write


def _note(note: str | None) -> dict[str, str | None]:
    """A person's own words are on the card, from where they can be erased; on record is their hash."""
    return {"note_sha256": None if note is None else sha256(note).hex()}


def _not_found(tenant_id: str, card_id: UUID) -> CardNotFound:
    return CardNotFound(f"tenant {tenant_id!r} has no {_name(card_id)}")


def _name(card_id: UUID) -> str:
    return f"review card {format_id(IdKind.CARD, card_id)}"
