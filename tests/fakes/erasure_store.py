"""Erasing a person's data, in memory."""

from uuid import UUID

from chimera.errors import Conflict, TaskNotFound
from chimera.models.audit.access import refused_event
from chimera.models.audit.erasure import Erased, Erasure, card_closed_event, erased_events
from chimera.models.gate.deciding import OpenTask, erased_decision
from chimera.models.gate.review import CardStatus
from chimera.models.work.plan import ENDED, PlanState
from chimera.models.work.task import TaskState
from chimera.models.work.wave import WaveRef
from chimera.ports import erasure_store as port
from tests.fakes.database import PlanRow, TaskRow
from tests.fakes.deciding import FakeDeciding


class FakeErasureStore(FakeDeciding, port.ErasureStore):
    def erase(self, erasure: Erasure) -> Erased:
        database, tenant_id = self._database.opened(), erasure.tenant_id
        if erasure.plan_id is not None:
            plan = database.asked_plan(tenant_id, erasure.plan_id, "erase", erasure.actor)
            plans = self._family_of(plan)
            tasks = [row for row in database.tasks.values() if row.task.plan_id in plans]
        elif (tenant_id, erasure.task_id) in database.tasks:
            tasks = self._copies_of(tenant_id, erasure.task_id)
            plans = {row.task.plan_id for row in tasks}
        else:
            database.refuse(tenant_id, refused_event(erasure.actor, erasure.asked_for, "erase"))
            raise TaskNotFound
        over = ENDED | {PlanState.IN_REVIEW}
        if any(database.plan(tenant_id, plan_id).state not in over for plan_id in plans):
            raise Conflict
        closed = self._deny_what_waits(erasure, tasks)
        erased = self._erase(tenant_id, plans if erasure.plan_id else set(), {row.task.task_id for row in tasks})
        erased = erased.model_copy(update={"closed": closed})
        if not erased.nothing:
            about = erasure.plan_id or database.tasks[tenant_id, erasure.task_id].task.plan_id  # type: ignore[index]
            database.record(tenant_id, erased_events(erasure, erased, about))
        return erased

    def _deny_what_waits(self, erasure: Erasure, tasks: list[TaskRow]) -> tuple[tuple[UUID, UUID], ...]:
        closed = []
        for row in [row for row in tasks if row.state is TaskState.IN_REVIEW]:
            task = row.task
            [card] = [each for each in self._database.cards.values() if each.task_id == task.task_id]
            open_task = OpenTask(task_id=task.task_id, attempt=row.attempt, agent_id=row.agent_id, found=row.state)
            policy = self._database.policy(erasure.tenant_id).version
            item = erased_decision(open_task, card.result_sha256, erasure.actor, erasure.reason, policy)
            wave = WaveRef(tenant_id=erasure.tenant_id, plan_id=task.plan_id, wave_no=task.wave_no)
            self._decide(wave, [item], [card_closed_event(erasure, task.plan_id, dict(card))])
            self._change_card(card, CardStatus.DENIED, decided_by=erasure.actor, note=None)
            closed.append((task.task_id, card.card_id))
        return tuple(sorted(closed))

    def _erase(self, tenant_id: str, plans: set[UUID], tasks: set[UUID]) -> Erased:
        database, now = self._database, self._database.now()
        new_plans, new_tasks = plans - database.erased.keys(), tasks - database.erased.keys()
        database.erased |= dict.fromkeys(new_plans | new_tasks, now)
        cards = [card for card in database.cards.values() if card.task_id in new_tasks]
        for card in cards:
            gone = card.model_copy(update={"input": None, "outcome": None, "note": None, "erased_at": now})
            database.cards[tenant_id, card.card_id] = gone
            versions = database.revisions[tenant_id, card.card_id]
            versions[:] = [version.model_copy(update={"outcome": None, "note": None}) for version in versions]
        state = []
        for (owner, key), entries in database.state.items():
            if owner == tenant_id and entries[-1].task_id in new_tasks:
                state.append((entries[-1].task_id, key))
            if owner == tenant_id:
                gone_too = {"value": None, "erased": True, "result_size": 0}
                entries[:] = [
                    entry.model_copy(update=gone_too) if entry.task_id in new_tasks else entry for entry in entries
                ]
        results = [(task, attempt) for owner, task, attempt in database.results if owner == tenant_id]
        return Erased(
            plans=tuple(sorted(new_plans)),
            tasks=tuple(sorted(new_tasks)),
            results=tuple(sorted(pair for pair in results if pair[0] in new_tasks)),
            cards=tuple(sorted((card.task_id, card.card_id) for card in cards)),
            state=tuple(sorted(state)),
        )

    def _family_of(self, plan: PlanRow) -> set[UUID]:
        tenant_id, found = plan.request.tenant_id, {plan.plan_id}
        links = [(row.plan_id, row.retry_of) for (owner, _), row in self._database.plans.items() if owner == tenant_id]
        return _connected(found, links)

    def _copies_of(self, tenant_id: str, task_id: UUID | None) -> list[TaskRow]:
        rows = [row for (owner, _), row in self._database.tasks.items() if owner == tenant_id]
        assert task_id is not None
        found = _connected({task_id}, [(row.task.task_id, row.task.parent_task_id) for row in rows])
        return [row for row in rows if row.task.task_id in found]


def _connected(found: set[UUID], links: list[tuple[UUID, UUID | None]]) -> set[UUID]:
    while more := {end for pair in links if found & {*pair} for end in pair if end is not None} - found:
        found |= more
    return found
