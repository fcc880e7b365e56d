"""Erasing what a review card shows, in memory: as much of an erasure as the stores of cards and verdicts see."""

from chimera.models.audit.erasure import Erasure, card_closed_event
from chimera.models.gate.deciding import OpenTask, erased_decision
from chimera.models.gate.review import CardStatus, ReviewCard
from chimera.models.work.wave import WaveRef
from tests.fakes.deciding import FakeDeciding


class FakeErasures(FakeDeciding):
    """No port: the real store is the command line's alone. Knows no copies in retries."""

    def erase_cards(self, erasure: Erasure) -> None:
        """Closes the cards of the plan or the task that wait, with the reason, and empties them all."""
        for card in list(self._database.opened().cards.values()):
            asked_for = erasure.plan_id in {None, card.plan_id} and erasure.task_id in {None, card.task_id}
            if card.tenant_id != erasure.tenant_id or not asked_for:
                continue
            if card.status is CardStatus.PENDING:
                self._deny(erasure, card)
            emptied = {"input": None, "outcome": None, "note": None, "erased_at": self._database.now()}
            place = card.tenant_id, card.card_id
            self._database.cards[place] = self._database.cards[place].model_copy(update=emptied)

    def _deny(self, erasure: Erasure, card: ReviewCard) -> None:
        row = self._database.tasks[card.tenant_id, card.task_id]
        task = OpenTask(task_id=card.task_id, attempt=card.attempt, agent_id=row.agent_id, found=row.state)
        policy_version = self._database.policy(card.tenant_id).version
        item = erased_decision(task, card.result_sha256, erasure.actor, erasure.reason, policy_version)
        wave = WaveRef(tenant_id=card.tenant_id, plan_id=card.plan_id, wave_no=row.task.wave_no)
        self._decide(wave, [item], [card_closed_event(erasure, card.plan_id, dict(card))])
        self._change_card(card, CardStatus.DENIED, decided_by=erasure.actor)
