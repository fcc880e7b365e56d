"""Ids that somebody wrote short."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from chimera.errors import CardNotFound, NotFound, PlanNotFound, TaskNotFound
from chimera.models.ids import IdKind, format_id, ranges_of, short_id
from tests.contract.scene import Scene


def find(scene: Scene, kind: IdKind, text: str, limit: int = 10) -> list[UUID]:
    return scene.world.ids.find(scene.tenant_id, kind, text, ranges_of(kind, text, datetime.now(UTC)), limit)


def test_a_short_form_and_a_prefix_are_found(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    for kind, value in (
        (IdKind.PLAN, planned.plan_id), (IdKind.TASK, planned.ids[0]), (IdKind.CARD, card.card_id),
    ):  # fmt: skip
        whole = format_id(kind, value)
        for text in (short_id(whole), short_id(whole)[3:], whole[:-1], whole[3:-1]):
            assert find(scene, kind, text) == [value]


def test_a_prefix_of_several_finds_them_in_order_up_to_the_limit(scene: Scene) -> None:
    planned, _ = scene.in_review(3)
    prefix = format_id(IdKind.TASK, planned.ids[0])[: 3 + 8]
    assert find(scene, IdKind.TASK, prefix) == sorted(planned.ids)
    assert find(scene, IdKind.TASK, prefix, limit=2) == sorted(planned.ids)[:2]


@pytest.mark.parametrize(
    ("kind", "error"), [(IdKind.PLAN, PlanNotFound), (IdKind.TASK, TaskNotFound), (IdKind.CARD, CardNotFound)]
)
def test_what_is_another_tenant_s_is_not_found_and_the_attempt_is_on_record(
    scene: Scene, stranger: Scene, kind: IdKind, error: type[NotFound]
) -> None:
    planned, [card] = scene.in_review()
    value = {IdKind.PLAN: planned.plan_id, IdKind.TASK: planned.ids[0], IdKind.CARD: card.card_id}[kind]
    text = short_id(format_id(kind, value))
    with pytest.raises(error):
        find(stranger, kind, text)
    entry = stranger.world.plans.last_entries(stranger.tenant_id, 1)[0]
    assert (entry.kind, entry.facts) == ("access.refused", {"asked_for": text, "to": "read"})
