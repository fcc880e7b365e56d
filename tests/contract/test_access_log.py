"""What was asked for in vain and what was read: on record, and no flood of it."""

from collections.abc import Callable
from uuid import UUID

import pytest

from chimera.errors import NotFound, UnknownTenant
from chimera.models.audit.access import RECORDED_A_MINUTE
from chimera.models.audit.kinds import AuditKind
from chimera.models.budget.budget import Sum
from chimera.models.ids import IdKind, format_id
from chimera.models.work.retry import RetryKind
from chimera.ports.card_store import CardDecision
from tests.contract.scene import Scene, facts_of
from tests.contract.worlds import PostgresWorld, World, stores

Ask = Callable[[Scene, UUID], object]


def decide(scene: Scene, card_id: UUID) -> None:
    decision = CardDecision(card_id=card_id, version=1, seen_sha256=b"", approve=True, decided_by="ann", note=None)
    scene.world.cards.decide(scene.tenant_id, decision)


def allow(scene: Scene, plan_id: UUID) -> None:
    scene.world.budget_changes.allow(scene.tenant_id, plan_id, Sum(tokens=1), "ann")


# What is asked for, what is to be done with it, who asks.
ASK: list[tuple[IdKind, str, str, Ask]] = [
    (IdKind.PLAN, "read", "app", lambda scene, plan: scene.shown(plan)),
    (IdKind.PLAN, "cancel", "ann", lambda scene, plan: scene.stop(plan)),
    (IdKind.PLAN, "pause", "ann", lambda scene, plan: scene.pause(plan)),
    (IdKind.PLAN, "resume", "ann", lambda scene, plan: scene.resume(plan)),
    (IdKind.PLAN, "retry", "ann", lambda scene, plan: scene.retry(plan, RetryKind.FAILED)),
    (IdKind.PLAN, "read", "app", lambda scene, plan: scene.world.budgets.standing(scene.tenant_id, plan, 1)),
    (IdKind.PLAN, "allow", "ann", allow),
    (IdKind.CARD, "read", "app", lambda scene, card: scene.world.reviews.card(scene.tenant_id, card)),
    (IdKind.CARD, "claim", "ann", lambda scene, card: scene.world.cards.claim(scene.tenant_id, card, "ann", 60)),
    (IdKind.CARD, "release", "ann", lambda scene, card: scene.world.cards.release(scene.tenant_id, card, "ann")),
    (IdKind.CARD, "edit", "app", lambda scene, card: scene.world.cards.to_edit(scene.tenant_id, card)),
    (IdKind.CARD, "decide", "ann", decide),
]


@pytest.mark.parametrize(("kind", "to", "actor", "ask"), ASK)
def test_asking_for_what_is_another_tenant_s_is_on_record(
    scene: Scene, stranger: Scene, kind: IdKind, to: str, actor: str, ask: Ask
) -> None:
    planned, [card] = stranger.in_review()
    theirs = {IdKind.PLAN: planned.plan_id, IdKind.TASK: planned.ids[0], IdKind.CARD: card.card_id}[kind]
    before = stranger.entries()
    with pytest.raises(NotFound):
        ask(scene, theirs)
    [entry] = scene.recorded(AuditKind.ACCESS_REFUSED)
    assert (entry.actor, entry.plan_id, entry.task_id) == (actor, None, None)
    assert facts_of(entry) == {"asked_for": format_id(kind, theirs), "to": to}
    assert stranger.entries() == before
    assert stranger.cards() == [card]


def test_what_nobody_has_is_recorded_alike(scene: Scene, stranger: Scene) -> None:
    # Else the record would tell whether another tenant has it.
    for plan_id in (stranger.submit(), scene.world.clock.new_id()):
        with pytest.raises(NotFound):
            scene.shown(plan_id)
    first, second = map(facts_of, scene.recorded(AuditKind.ACCESS_REFUSED))
    assert first.keys() == second.keys()
    assert first["to"] == second["to"]


def test_what_is_the_tenant_s_own_is_not_recorded(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    scene.shown(planned.plan_id)
    scene.world.reviews.card(scene.tenant_id, card.card_id)
    assert scene.recorded(AuditKind.ACCESS_REFUSED) == []


def test_without_such_a_tenant_there_is_nobody_s_record_to_write_to(world: World) -> None:
    with pytest.raises(NotFound):
        Scene(world, "nobody").shown(world.clock.new_id())


def ask_often(scene: Scene, times: int) -> None:
    for _ in range(times):
        with pytest.raises(NotFound):
            scene.shown(scene.world.clock.new_id())


def test_a_flood_is_recorded_as_a_number(scene: Scene, stranger: Scene) -> None:
    ask_often(scene, RECORDED_A_MINUTE + 7)
    assert len(scene.recorded(AuditKind.ACCESS_REFUSED)) == RECORDED_A_MINUTE
    ask_often(stranger, 1)
    assert len(stranger.recorded(AuditKind.ACCESS_REFUSED)) == 1
    scene.pass_time(61)
    ask_often(scene, 1)
    *_, rest, latest = map(facts_of, scene.recorded(AuditKind.ACCESS_REFUSED))
    assert (rest["more"], rest["recorded"]) == (7, RECORDED_A_MINUTE)
    assert "asked_for" in latest


def test_the_sweep_records_the_number_where_nobody_asks_again(scene: Scene) -> None:
    ask_often(scene, RECORDED_A_MINUTE + 2)
    scene.world.sweep.keep_audit()
    assert len(scene.recorded(AuditKind.ACCESS_REFUSED)) == RECORDED_A_MINUTE
    scene.pass_time(61)
    for _ in range(2):
        scene.world.sweep.keep_audit()
    assert [facts_of(entry).get("more") for entry in scene.recorded(AuditKind.ACCESS_REFUSED)] == [
        None
    ] * RECORDED_A_MINUTE + [2]


def test_reading_the_audit_is_on_record(real_scene: Scene) -> None:
    stores(real_scene.world).access.note_read(real_scene.tenant_id, "ann", {"command": "audit list", "rows": 3})
    [entry] = real_scene.recorded("audit.read")
    assert (entry.actor, facts_of(entry)) == ("ann", {"command": "audit list", "rows": 3})


def test_nobody_s_audit_cannot_be_read(postgres_world: PostgresWorld) -> None:
    with pytest.raises(UnknownTenant):
        postgres_world.access.note_read("nobody", "ann", {})
