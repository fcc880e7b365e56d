"""What became of the gate's rulings, in memory."""

import json
from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from chimera.models.work.decision import Decision
from chimera.models.work.result import OUTCOME
from chimera.models.work.wave import WaveRef
from chimera.ports import verdict_store as port
from chimera.ports.verdict_store import CardOutcome, GateCount, Labelled, Scope
from tests.fakes.database import FakeDatabase, TaskRow


class FakeVerdictStore(port.VerdictStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def counts(self, scope: Scope) -> list[GateCount]:
        found = Counter(
            (row.made_from(decision.attempt).skill, decision.ruling.verdict) for row, decision in self._ruled(scope)
        )
        return [
            GateCount(skill=skill, verdict=verdict, results=results)
            for (skill, verdict), results in sorted(found.items())
        ]

    def cards(self, scope: Scope, after: UUID, limit: int) -> list[CardOutcome]:
        database = self._database.opened()
        found = []
        for (owner, card_id), card in database.cards.items():
            if owner != scope.tenant_id or card_id <= after or scope.skill not in {None, card.skill}:
                continue
            if scope.since is not None and card.opened_at < scope.since:
                continue
            if database.erasure_reason(card) is not None:
                continue
            revisions = database.revisions.get((owner, card_id))
            found.append(
                CardOutcome(
                    card_id=card_id,
                    skill=card.skill,
                    confidence=card.confidence,
                    reasons=revisions[0].reasons if revisions else card.reasons,
                    status=card.status,
                )
            )
        return sorted(found, key=lambda card: card.card_id)[:limit]

    def labelled(self, scope: Scope, after: tuple[UUID, int], limit: int) -> list[Labelled]:
        found = []
        for row, decision in self._ruled(scope):
            result = self._database.results[scope.tenant_id, decision.task_id, decision.attempt]
            if row.task.label is None or (decision.task_id, decision.attempt) <= after:
                continue
            found.append(
                Labelled(
                    task_id=decision.task_id,
                    attempt=decision.attempt,
                    skill=row.made_from(decision.attempt).skill,
                    outcome=OUTCOME.validate_python(json.loads(result.outcome), strict=False),
                    label=json.loads(row.task.label),
                )
            )
        return sorted(found, key=lambda labelled: (labelled.task_id, labelled.attempt))[:limit]

    def _ruled(self, scope: Scope) -> Iterator[tuple[TaskRow, Decision]]:
        """Decisions of the gate on results."""
        database = self._database.opened()
        wave: WaveRef
        for wave, decision in database.decided:
            row = database.tasks.get((scope.tenant_id, decision.task_id))
            if wave.tenant_id != scope.tenant_id or row is None:
                continue
            if scope.skill not in {None, row.made_from(decision.attempt).skill}:
                continue
            if not decision.result_sha256 or decision.decided_by.split(" and ")[0] != "policy":
                continue
            result = database.results.get((scope.tenant_id, decision.task_id, decision.attempt))
            if result is None or (scope.since is not None and result.finished_at < scope.since):
                continue
            yield row, decision
