"""Review cards and what people do with them, in memory."""

from datetime import timedelta
from uuid import UUID

from chimera.errors import CardAlreadyDecided, CardChanged, CardClaimed, Conflict
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.gate.deciding import NOTHING_DECIDED, Decided, person_decision, ruling_of_person
from chimera.models.gate.review import CardStatus, ReviewCard, Revision
from chimera.models.record import sha256
from chimera.models.text.person import person_key
from chimera.models.work.decision import Decision
from chimera.models.work.wave import WaveRef
from chimera.ports import card_store as port
from chimera.ports.card_store import CardDecision, CardEdit, ToEdit
from chimera.ports.decision_store import PolicyChanged
from tests.fakes.deciding import FakeDeciding
from tests.fakes.review_store import first_revision


class FakeCardStore(FakeDeciding, port.CardStore):
    """Decides on cards with the steps that the decisions of the Judge are made of."""

    def claim(self, tenant_id: str, card_id: UUID, who: str, seconds: float) -> None:
        self._claim(self._open(tenant_id, card_id, who, "claim"), who, seconds)

    def claim_next(self, tenant_id: str, who: str, seconds: float, skill: str | None) -> UUID | None:
        cards = [card for card in self._database.opened().cards.values() if card.tenant_id == tenant_id]
        for card in sorted(cards, key=lambda card: card.card_id):
            waits = card.status is CardStatus.PENDING and not self._is_stopped(self._wave(card))
            approved = person_key(who) in map(person_key, card.approvals)
            if waits and self._held_by(card) is None and not approved and skill in {None, card.skill}:
                self._claim(card, who, seconds)
                return card.card_id
        return None

    def release(self, tenant_id: str, card_id: UUID, who: str) -> None:
        card = self._open(tenant_id, card_id, who, "release")
        if self._held_by(card) is not None:
            self._put(card, claimed_by=None, claim_expires_at=None)
            self._note(card, AuditKind.REVIEW_RELEASED, who)

    def decide(self, tenant_id: str, decision: CardDecision) -> Decided:
        card = self._open(tenant_id, decision.card_id, decision.decided_by, "decide")
        _require_seen(card, decision.version, decision.seen_sha256)
        if self._is_stopped(self._wave(card)):
            raise Conflict
        if not decision.approve:
            return self._end(card, decision.decided_by, decision.note, approve=False)
        if person_key(decision.decided_by) in map(person_key, card.approvals):
            raise Conflict(f"{decision.decided_by} has approved it already")
        self._require_state(card)
        return self._approve(card, decision.decided_by, decision.note)

    def to_edit(self, tenant_id: str, card_id: UUID) -> ToEdit:
        card = self._database.opened().asked_card(tenant_id, card_id, "edit")
        staged = self._staged(self._database.tasks[tenant_id, card.task_id])
        return ToEdit(staged=staged, policy=self._database.policy(tenant_id))

    def edit(self, tenant_id: str, edit: CardEdit) -> Decided:
        card = self._open(tenant_id, edit.card_id, edit.edited_by, "edit")
        _require_seen(card, edit.version, edit.seen_sha256)
        if self._is_stopped(self._wave(card)):
            raise Conflict
        if edit.policy_version != self._database.policy(tenant_id).version:
            raise PolicyChanged
        if edit.approve:
            self._require_state(card)
        revisions = self._database.revisions[tenant_id, card.card_id]
        if not revisions:
            revisions.append(first_revision(card))
        revision = Revision(
            number=len(revisions),
            outcome=edit.outcome,
            sha256=edit.sha256,
            reasons=edit.reasons,
            policy_version=edit.policy_version,
            edited_by=edit.edited_by,
            edited_at=self._database.now(),
            note=edit.note,
        )
        revisions.append(revision)
        card = self._put(
            card,
            revision=revision.number,
            outcome=edit.outcome,
            result_sha256=edit.sha256,
            edited_by=edit.edited_by,
            reasons=edit.reasons,
            policy_version=edit.policy_version,
            version=card.version + 1,
            approvals=tuple(self._database.approvals[tenant_id, card.card_id, edit.sha256]),
        )
        self._note(card, AuditKind.REVIEW_EDITED, edit.edited_by, revision=revision.number, **_words(edit.note))
        return self._approve(card, edit.edited_by, edit.note) if edit.approve else NOTHING_DECIDED

    def _open(self, tenant_id: str, card_id: UUID, who: str, to: str) -> ReviewCard:
        card = self._database.opened().asked_card(tenant_id, card_id, to, who)
        if card.status is not CardStatus.PENDING:
            raise CardAlreadyDecided(f"the card was {card.status} by {card.decided_by} already")
        if self._held_by(card) not in {None, who}:
            raise CardClaimed(f"the card is claimed by {card.claimed_by}")
        return card

    def _held_by(self, card: ReviewCard) -> str | None:
        until = card.claim_expires_at
        return card.claimed_by if until is not None and until > self._database.now() else None

    def _require_state(self, card: ReviewCard) -> None:
        last = len(card.approvals) + 1 >= card.approvals_needed
        row = self._database.tasks[card.tenant_id, card.task_id]
        if last and row.task.state_key and self._version(card.tenant_id, row.task.state_key) != row.state_version:
            raise Conflict("shared state has changed")

    def _claim(self, card: ReviewCard, who: str, seconds: float) -> None:
        self._put(card, claimed_by=who, claim_expires_at=self._database.now() + timedelta(seconds=seconds))
        self._note(card, AuditKind.REVIEW_CLAIMED, who)

    def _approve(self, card: ReviewCard, who: str, note: str | None) -> Decided:
        approvals = self._database.approvals[card.tenant_id, card.card_id, card.result_sha256]
        if person_key(who) not in map(person_key, approvals):
            approvals.append(who)
        card = self._put(card, approvals=tuple(approvals))
        if len(approvals) >= card.approvals_needed:
            return self._end(card, who, note, approve=True)
        self._put(card, claimed_by=None, claim_expires_at=None)
        self._note(card, AuditKind.REVIEW_APPROVED, who, approvals=len(approvals), **_words(note))
        return NOTHING_DECIDED

    def _end(self, card: ReviewCard, who: str, note: str | None, *, approve: bool) -> Decided:
        wave, task = self._wave(card), self._database.tasks[card.tenant_id, card.task_id]
        status = (CardStatus.EDITED if card.revision else CardStatus.APPROVED) if approve else CardStatus.DENIED
        decision = Decision(
            task_id=card.task_id,
            attempt=card.attempt,
            agent_id=task.agent_id,
            ruling=ruling_of_person(approve=approve),
            result_sha256=card.result_sha256,
            decided_by=who,
            policy_version=self._database.policy(card.tenant_id).version,
        )
        noted = self._event(card, AuditKind.REVIEW_DECIDED, who, status=status, version=card.version, **_words(note))
        item = person_decision(decision, task.task.state_key, task.state_version)
        decided = self._decide(wave, [item], [noted])
        self._change_card(card, status, decided_by=who, note=note)
        return decided

    def _put(self, card: ReviewCard, **fields: object) -> ReviewCard:
        changed = card.model_copy(update=fields)
        self._database.cards[card.tenant_id, card.card_id] = changed
        return changed

    def _note(self, card: ReviewCard, kind: AuditKind, who: str, **facts: object) -> None:
        self._database.record(card.tenant_id, [self._event(card, kind, who, **facts)])

    def _event(self, card: ReviewCard, kind: AuditKind, who: str, **facts: object) -> AuditEvent:
        facts = {"card_id": card.card_id.hex, "result_sha256": card.result_sha256.hex()} | facts
        return AuditEvent(kind=kind, actor=who, plan_id=card.plan_id, task_id=card.task_id, facts=facts)

    def _wave(self, card: ReviewCard) -> WaveRef:
        task = self._database.tasks[card.tenant_id, card.task_id].task
        return WaveRef(tenant_id=card.tenant_id, plan_id=card.plan_id, wave_no=task.wave_no)


def _require_seen(card: ReviewCard, version: int, sha256: bytes) -> None:
    if (card.version, card.result_sha256) != (version, sha256):
        raise CardChanged("the card has changed since it was shown")


def _words(note: str | None) -> dict[str, str | None]:
    return {"note_sha256": None if note is None else sha256(note).hex()}
