"""Erasing a person's data: it is gone wherever it is shown, and what was decided stays proved."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.audit_log import AuditLog
from chimera.errors import CardAlreadyDecided, Conflict, NotFound, NothingToRetry
from chimera.models.audit.audit import GENESIS, chained
from chimera.models.audit.erasure import TASKS_IN_AN_ENTRY, Erased, Erasure, erased_events
from chimera.models.audit.kinds import AuditKind
from chimera.models.gate.review import CardStatus
from chimera.models.ids import IdKind, format_id
from chimera.models.work.plan import PlanState
from chimera.models.work.retry import RetryKind
from chimera.models.work.task import TaskState
from chimera.services.audit_proof import AuditProof
from tests.conftest import new_tenant_id
from tests.contract.scene import Planned, Scene, approve, deny, facts_of, failure, success
from tests.contract.worlds import PostgresWorld, World, stores


@pytest.fixture
def world(postgres_world: PostgresWorld) -> World:
    """The real one alone: there is no port to this store, and no fake."""
    return postgres_world


SECRET = "Ann Smith, 12 High Street"


def erase(scene: Scene, *, plan: UUID | None = None, task: UUID | None = None) -> Erased:
    erasure = Erasure(tenant_id=scene.tenant_id, plan_id=plan, task_id=task, actor="ann", reason="asked to")
    return stores(scene.world).erasures.erase(erasure)


@pytest.fixture
def ended(scene: Scene) -> Planned:
    """Two tasks, both reviewed: one approved into shared state, one denied."""
    planned = scene.plan(2, state_key="k", goal=SECRET, inputs={"of": SECRET})
    scene.judge(scene.work_off(planned, success(SECRET)), scene.hitl)
    first, second = scene.cards(planned.plan_id)
    scene.decide(first, approve=True, note=SECRET)
    scene.decide(second, approve=False, note=SECRET)
    assert scene.state(planned.plan_id) is PlanState.COMPLETED
    return planned


def everything_shown(scene: Scene, plan_id: UUID) -> str:
    cards, entries = scene.cards(plan_id), scene.entries()
    shared = scene.world.shared_state(scene.tenant_id, "k")
    return f"{scene.shown(plan_id)!r} {scene.results(plan_id)!r} {cards!r} {entries!r} {shared!r}"


def test_a_plan_is_erased_from_whatever_shows_it(scene: Scene, ended: Planned) -> None:
    assert SECRET in everything_shown(scene, ended.plan_id)
    erased = erase(scene, plan=ended.plan_id)
    assert erased.plans == (ended.plan_id,)
    assert set(erased.tasks) == set(ended.ids)
    assert len(erased.results) == len(erased.cards) == 2
    assert erased.state == ((ended.ids[0], "k"),)
    assert SECRET not in everything_shown(scene, ended.plan_id)


def test_what_was_erased_says_so(scene: Scene, ended: Planned) -> None:
    erase(scene, plan=ended.plan_id)
    assert scene.shown(ended.plan_id).erased_at is not None
    assert [(result.erased, result.outcome, result.label) for result in scene.results(ended.plan_id)] == [
        (True, None, None)
    ] * 2
    for card in scene.cards(ended.plan_id):
        assert card.erased_at is not None
        assert (card.input, card.outcome, card.note) == (None, None, None)
    assert scene.world.plans.erased(scene.tenant_id, [ended.plan_id, *ended.ids]) == {ended.plan_id, *ended.ids}


def test_one_task_is_erased_without_the_others(scene: Scene, ended: Planned) -> None:
    task, other = ended.ids
    assert erase(scene, task=task).tasks == (task,)
    assert [result.erased for result in scene.results(ended.plan_id)] == [True, False]
    assert scene.shown(ended.plan_id).goal == SECRET
    assert scene.world.plans.erased(scene.tenant_id, [ended.plan_id, task, other]) == {task}


def test_the_decisions_and_their_hashes_stay(scene: Scene, ended: Planned) -> None:
    hashes = [card.result_sha256 for card in scene.cards()]
    erase(scene, plan=ended.plan_id)
    assert [card.result_sha256 for card in scene.cards()] == hashes
    assert scene.world.committed(scene.tenant_id) == {ended.ids[0]}
    assert [result.committed for result in scene.results(ended.plan_id)] == [True, False]


def test_the_chain_stays_whole_and_names_what_was_erased(scene: Scene, ended: Planned) -> None:
    before = scene.entries()
    erase(scene, plan=ended.plan_id)
    *same, entry = scene.entries()
    assert same == before
    previous = GENESIS
    for each in [*same, entry]:
        assert each.hash == chained(previous, each.body)
        previous = each.hash
    assert (entry.kind, entry.actor, entry.plan_id) == ("audit.erased", "ann", ended.plan_id)
    facts = facts_of(entry)
    assert (facts["reason"], facts["plans"]) == ("asked to", [ended.plan_id.hex])
    assert {*facts["tasks"]} == {task.hex for task in ended.ids}
    assert sorted(facts["results"]) == sorted([task.hex, 1] for task in ended.ids)
    assert {*facts["cards"]} == {card.card_id.hex for card in scene.cards()}
    assert facts["state_keys"] == ["k"]


def test_erasing_again_is_nothing(scene: Scene, ended: Planned) -> None:
    erase(scene, task=ended.ids[0])
    entries = len(scene.entries())
    assert erase(scene, task=ended.ids[0]).nothing
    assert len(scene.entries()) == entries
    assert erase(scene, plan=ended.plan_id).tasks == (ended.ids[1],)


@pytest.mark.parametrize("of", ["plan", "task"])
def test_what_still_runs_is_refused(scene: Scene, of: str) -> None:
    planned = scene.plan(1, 1)
    scene.judge(scene.work_off(planned), scene.hitl)
    [card] = scene.cards()
    with pytest.raises(Conflict):
        erase(scene, **{of: planned.plan_id if of == "plan" else planned.ids[0]})
    assert scene.cards() == [card]
    assert scene.recorded("audit.erased") == []


def test_a_plan_that_waits_for_people_is_erased_and_ends(scene: Scene) -> None:
    planned = scene.plan(2, 1, goal=SECRET)
    for wave_no in (0, 1):
        scene.judge(scene.work_off(planned, success(SECRET), wave_no), scene.hitl)
    first, second, third = scene.cards()
    scene.world.cards.claim(scene.tenant_id, first.card_id, "bob", 60.0)
    erased = erase(scene, plan=planned.plan_id)
    assert erased.closed == tuple(sorted((card.task_id, card.card_id) for card in (first, second, third)))
    assert len(erased.results) == len(erased.cards) == 3
    assert SECRET not in everything_shown(scene, planned.plan_id)
    assert scene.states(planned.plan_id) == [TaskState.DENIED] * 3
    assert (scene.state(planned.plan_id), scene.shown(planned.plan_id).counts.denied) == (PlanState.COMPLETED, 3)
    for card in scene.cards():
        assert (card.status, card.decided_by, card.note) == (CardStatus.DENIED, "ann", None)
        assert card.erased_at is not None
        with pytest.raises(CardAlreadyDecided):
            scene.decide(card, approve=True, by="bob")
    assert scene.world.committed(scene.tenant_id) == set()


def test_the_record_says_why_a_card_was_closed_and_the_chain_is_whole(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    before = len(scene.entries())
    erase(scene, task=planned.ids[0])
    closed, decided, ended_, named = scene.entries()[before:]
    kinds = [entry.kind for entry in (closed, decided, ended_, named)]
    assert kinds == ["review.decided", "task.decided", "plan.completed", "audit.erased"]
    assert {entry.actor for entry in (closed, decided, named)} == {"ann"}
    assert facts_of(closed)["reason"] == "asked to"
    assert (facts_of(closed)["card_id"], facts_of(closed)["status"]) == (card.card_id.hex, "denied")
    facts = facts_of(decided)
    assert (facts["verdict"], facts["final"], facts["committed"]) == ("deny", True, False)
    assert [(reason["rule"], reason["value"]) for reason in facts["reasons"]] == [("erased", "asked to")]
    assert facts["result_sha256"] == card.result_sha256.hex()
    assert facts_of(named)["results"] == [[planned.ids[0].hex, 1]]
    previous = GENESIS
    for each in scene.entries():
        assert each.hash == chained(previous, each.body)
        previous = each.hash


def test_one_task_that_waits_is_erased_and_the_others_wait_on(scene: Scene) -> None:
    planned, [first, second] = scene.in_review(2)
    assert erase(scene, task=first.task_id).closed == ((first.task_id, first.card_id),)
    assert scene.states(planned.plan_id) == [TaskState.DENIED, TaskState.IN_REVIEW]
    assert scene.state(planned.plan_id) is PlanState.IN_REVIEW
    scene.decide(second, approve=True)
    assert scene.state(planned.plan_id) is PlanState.COMPLETED
    assert scene.world.committed(scene.tenant_id) == {second.task_id}
    assert erase(scene, task=first.task_id).nothing


def test_a_retry_that_waits_for_people_is_closed_with_what_it_tries_again(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.judge(scene.work_off(planned, failure()), deny)
    retried = scene.retry(planned.plan_id, RetryKind.DENIED)
    wave = scene.wave(retried.plan_id)
    scene.send()
    [copy] = [result.task_id for result in scene.results(retried.plan_id)]
    scene.stage(scene.claim(wave, [copy]), success(SECRET))
    scene.judge(wave, scene.hitl)
    assert set(erase(scene, task=planned.ids[0]).tasks) == {copy, planned.ids[0]}
    assert scene.state(retried.plan_id) is PlanState.COMPLETED


def test_copies_go_with_it(scene: Scene) -> None:
    planned = scene.plan(1, goal=SECRET)
    scene.judge(scene.work_off(planned, failure()), deny)
    retried = scene.retry(planned.plan_id, RetryKind.DENIED)
    with pytest.raises(Conflict):  # the copy still runs
        erase(scene, task=planned.ids[0])
    wave = scene.wave(retried.plan_id)
    scene.send()
    [copy] = [result.task_id for result in scene.results(retried.plan_id)]
    scene.stage(scene.claim(wave, [copy]), success(SECRET))
    scene.judge(wave, approve)
    # From either end: whichever of them a person names.
    assert set(erase(scene, task=copy).tasks) == {copy, planned.ids[0]}
    assert set(erase(scene, plan=planned.plan_id).plans) == {planned.plan_id, retried.plan_id}
    assert SECRET not in everything_shown(scene, retried.plan_id)


def test_what_was_erased_is_not_tried_again(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.judge(scene.work_off(planned, failure()), deny)
    erase(scene, task=planned.ids[0])
    retried = scene.retry(planned.plan_id, RetryKind.DENIED)
    assert retried.tasks == 1
    other = scene.plan(1)
    scene.judge(scene.work_off(other, failure()), deny)
    erase(scene, task=other.ids[0])
    with pytest.raises(NothingToRetry):
        scene.retry(other.plan_id, RetryKind.DENIED)
    erase(scene, plan=other.plan_id)
    with pytest.raises(Conflict):
        scene.retry(other.plan_id, RetryKind.DENIED)


def test_what_was_erased_is_not_judged_anew(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.judge(scene.work_off(planned), approve)
    erase(scene, plan=planned.plan_id)
    [judged] = scene.world.policies.judged(scene.tenant_id, None, planned.plan_id, (UUID(int=0), 0), 10)
    assert judged.staged is None


def test_shared_state_goes_on_after_its_value_was_erased(scene: Scene, ended: Planned) -> None:
    erase(scene, plan=ended.plan_id)
    assert scene.world.shared_state(scene.tenant_id, "k") == (None, 1)
    planned = scene.plan(1, state_key="k")
    scene.judge(scene.work_off(planned, success("new")), approve)
    assert scene.world.shared_state(scene.tenant_id, "k") == ("new", 2)


def test_the_history_of_shared_state_loses_what_was_erased_and_nothing_else(scene: Scene, ended: Planned) -> None:
    planned = scene.plan(1, state_key="k")
    scene.judge(scene.work_off(planned, success("new")), approve)
    erase(scene, plan=ended.plan_id)
    states = stores(scene.world).states.history(scene.tenant_id, "k", 10)
    assert [(entry.version, entry.value, entry.erased) for entry in states] == [(2, "new", False), (1, None, True)]
    assert not stores(scene.world).states.get(scene.tenant_id, "k").erased
    erase(scene, plan=planned.plan_id)
    assert stores(scene.world).states.get(scene.tenant_id, "k").erased
    assert [entry.erased for entry in stores(scene.world).states.list_entries(scene.tenant_id, "", 10)] == [True]


def test_a_great_many_tasks_have_several_entries() -> None:
    tasks = tuple(UUID(int=number) for number in range(2 * TASKS_IN_AN_ENTRY + 1))
    erasure = Erasure(tenant_id="acme", plan_id=UUID(int=7), task_id=None, actor="ann", reason="asked")
    erased = Erased(plans=(UUID(int=7),), tasks=tasks, results=tuple((task, 1) for task in tasks))
    facts = [event.facts for event in erased_events(erasure, erased, UUID(int=7))]
    assert [len(each["results"]) for each in facts] == [TASKS_IN_AN_ENTRY, TASKS_IN_AN_ENTRY, 1]
    assert [len(each["plans"]) for each in facts] == [1, 0, 0]


def test_an_audit_is_verified_after_what_waited_was_erased(
    postgres_world: PostgresWorld, app_database: Database
) -> None:
    scene = Scene(postgres_world, new_tenant_id())
    postgres_world.tenants.add(scene.tenant_id, "tests")
    planned, cards = scene.in_review(3)
    scene.edit(cards[0], "another", by="bob", approve=False)
    erase(scene, task=cards[1].task_id)
    erase(scene, plan=planned.plan_id)
    report = AuditProof(AuditLog(app_database), None).verify(scene.tenant_id, [], datetime.now(UTC))
    assert (report.faults, report.rows) == ((), len(scene.entries()))


@pytest.mark.parametrize("kind", [IdKind.PLAN, IdKind.TASK])
def test_asking_to_erase_what_is_another_tenant_s_is_on_record(scene: Scene, stranger: Scene, kind: IdKind) -> None:
    theirs = stranger.plan(1)
    before = stranger.entries()
    asked = {"plan": theirs.plan_id} if kind is IdKind.PLAN else {"task": theirs.ids[0]}
    with pytest.raises(NotFound):
        erase(scene, **asked)
    [entry] = scene.recorded(AuditKind.ACCESS_REFUSED)
    assert (entry.actor, entry.plan_id, entry.task_id) == ("ann", None, None)
    assert facts_of(entry) == {"asked_for": format_id(kind, *asked.values()), "to": "erase"}
    assert stranger.entries() == before
