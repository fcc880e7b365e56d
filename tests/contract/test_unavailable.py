"""A store that does not answer says so, whatever it is asked."""

from collections.abc import Callable
from uuid import UUID

import pytest

from chimera.adapters.embedded.ports import free_port
from chimera.adapters.postgres.database import Database
from chimera.errors import StoreUnavailable
from chimera.models.audit.erasure import Erasure
from chimera.models.audit.export import AskedExport
from chimera.models.budget.budget import Sum
from chimera.models.gate.policy import Policy
from chimera.models.work.plan import PlanFailure, PlanState
from chimera.models.work.retry import RetryKind
from chimera.models.work.wave import WaveRef
from chimera.ports.card_store import CardDecision, CardEdit
from chimera.ports.replan_store import Replanned
from chimera.ports.sweep_store import PlanRef
from chimera.ports.verdict_store import Scope
from tests.contract.scene import Scene
from tests.contract.worlds import FakeWorld, PostgresWorld, World

TENANT = "acme"
ID = UUID(int=1)
WAVE = WaveRef(tenant_id=TENANT, plan_id=ID, wave_no=0)
CARD = CardDecision(card_id=ID, version=1, seen_sha256=b"", approve=True, decided_by="ann", note=None)
EDIT = CardEdit(
    card_id=ID,
    version=1,
    seen_sha256=b"",
    edited_by="ann",
    note=None,
    outcome="{}",
    sha256=b"",
    reasons=(),
    policy_version="p",
    approve=True,
)
SCOPE = Scope(tenant_id=TENANT)
ERASURE = Erasure(tenant_id=TENANT, plan_id=ID, task_id=None, actor="ann", reason="asked")
ASKED = AskedExport(tenant_id=TENANT, export_id=ID, after_seq=0)
FAILURE = PlanFailure(code="a", message="b")
REPLANNED = Replanned(skill="echo", input="{}", timeout_seconds=1.0)

ASK: dict[str, Callable[[World], object]] = {
    "plans.submit": lambda world: Scene(world, TENANT).submit(),
    "plans.check": lambda world: world.plans.check(Scene(world, TENANT).request()),
    "plans.mark_published": lambda world: world.plans.mark_published(TENANT, ID, "epoch"),
    "plans.begin_planning": lambda world: world.plans.begin_planning(TENANT, ID, ID, 60, ["p"]),
    "plans.save_tasks": lambda world: world.plans.save_tasks(TENANT, ID, ID, [], []),
    "plans.fail_plan": lambda world: world.plans.fail_plan(TENANT, ID, ID, FAILURE),
    "control.stop": lambda world: world.control.stop(TENANT, ID, PlanState.CANCELLED, "ann"),
    "plans.get": lambda world: world.plans.get(TENANT, ID),
    "plans.list_plans": lambda world: world.plans.list_plans(TENANT, 1),
    "plans.results": lambda world: world.plans.results(TENANT, ID, (-1, -1), 1),
    "plans.entries": lambda world: world.plans.entries(TENANT, None, 0, 1),
    "plans.last_entries": lambda world: world.plans.last_entries(TENANT, 1),
    "control.stop_open": lambda world: world.control.stop_open(TENANT, None, PlanState.CANCELLED, "ann", 1),
    "control.pause": lambda world: world.control.pause(TENANT, ID, "ann"),
    "control.pause_open": lambda world: world.control.pause_open(TENANT, None, "ann", 1),
    "control.resume": lambda world: world.control.resume(TENANT, ID, "ann"),
    "control.resume_open": lambda world: world.control.resume_open(TENANT, None, "ann", 1),
    "control.retry": lambda world: Scene(world, TENANT).retry(ID, RetryKind.FAILED),
    "control.retryable": lambda world: world.control.retryable(TENANT, None, frozenset(RetryKind), ID, 1),
    "waves.take_next": lambda world: world.waves.take_next(TENANT, 1),
    "waves.mark_published": lambda world: world.waves.mark_published([WAVE], "epoch"),
    "sweep.bound_tenants": lambda world: world.sweep.bound_tenants(),
    "credentials.make": lambda world: world.credentials.make(TENANT, {"app": "secret"}, "0" * 64, "ann"),
    "credentials.revoke": lambda world: world.credentials.revoke(TENANT, "ann"),
    "credentials.bound_tenants": lambda world: world.credentials.bound_tenants(),
    "sweep.mark_published": lambda world: world.sweep.mark_published(PlanRef(tenant_id=TENANT, plan_id=ID), "e"),
    "work.claim": lambda world: world.work.claim(WAVE, [ID], ID, ID, 60, ["echo"]),
    "work.give_back": lambda world: world.work.give_back(WAVE, [ID], ["echo"]),
    "work.stage": lambda world: world.work.stage(WAVE, ID, ID, []),
    "decisions.open_wave": lambda world: world.decisions.open_wave(WAVE),
    "decisions.decide_wave": lambda world: world.decisions.decide_wave(WAVE, []),
    "decisions.open_waves": lambda world: world.decisions.open_waves(TENANT, ID),
    "decisions.stop_wave": lambda world: world.decisions.stop_wave(WAVE),
    "cards.claim": lambda world: world.cards.claim(TENANT, ID, "ann", 60),
    "cards.claim_next": lambda world: world.cards.claim_next(TENANT, "ann", 60, None),
    "cards.release": lambda world: world.cards.release(TENANT, ID, "ann"),
    "cards.decide": lambda world: world.cards.decide(TENANT, CARD),
    "cards.to_edit": lambda world: world.cards.to_edit(TENANT, ID),
    "cards.edit": lambda world: world.cards.edit(TENANT, EDIT),
    "waves.max_batches": lambda world: world.waves.max_batches(["echo"]),
    "skills.declare": lambda world: world.skills.declare([], []),
    "skills.output_schemas": lambda world: world.skills.output_schemas([bytes(32)]),
    "skills.skills": lambda world: world.skills.skills(),
    "skills.planners": lambda world: world.skills.planners(),
    "all_waits.of_plan": lambda world: world.all_waits.of_plan(TENANT, ID),
    "all_waits.of_all": lambda world: world.all_waits.of_all(),
    "decisions.reserve_wave": lambda world: world.decisions.reserve_wave(WAVE, ID, 1.0),
    "verdicts.counts": lambda world: world.verdicts.counts(SCOPE),
    "verdicts.cards": lambda world: world.verdicts.cards(SCOPE, ID, 1),
    "verdicts.labelled": lambda world: world.verdicts.labelled(SCOPE, (ID, 1), 1),
    "exports.ask": lambda world: world.exports.ask(ASKED),
    "exports.header": lambda world: world.exports.header(TENANT, ID),
    "exports.asked": lambda world: world.exports_to_seal.asked(),
    "exports.answer": lambda world: world.exports_to_seal.answer(ASKED, None),
    "policies.apply": lambda world: world.policy_changes.apply(TENANT, Policy(), "ann"),
    "policies.in_force": lambda world: world.policies.in_force(TENANT),
    "policies.default": lambda world: world.policies.default(),
    "policies.versions": lambda world: world.policies.versions(TENANT),
    "policies.judged": lambda world: world.policies.judged(TENANT, None, None, (ID, 0), 1),
    "reviews.cards": lambda world: world.reviews.cards(TENANT, plan_id=None, status=None, limit=1),
    "reviews.revisions": lambda world: world.reviews.revisions(TENANT, ID),
    "reviews.card": lambda world: world.reviews.card(TENANT, ID),
    "sweep.expire_plans": lambda world: world.sweep.expire_plans(),
    "sweep.unplanned": lambda world: world.sweep.unplanned(),
    "sweep.stopping": lambda world: world.sweep.stopping(),
    "sweep.untouched_waves": lambda world: world.sweep.untouched_waves(),
    "sweep.agents": lambda world: world.sweep.agents(TENANT, [WAVE]),
    "sweep.look_at": lambda world: world.sweep.look_at(WAVE, (), (), queue_is_empty=False),
    "sweep.forget": lambda world: world.sweep.forget("epoch"),
    "plans.renew_planning": lambda world: world.plans.renew_planning(TENANT, ID, ID, 1.0),
    "work.renew": lambda world: world.work.renew(WAVE, ID, 1.0),
    "work.release": lambda world: world.work.release(WAVE, ID, [ID]),
    "sweep.unreplanned": lambda world: world.sweep.unreplanned(),
    "replans.begin": lambda world: world.replans.begin(WAVE, ID, 1.0, ["p"]),
    "replans.renew": lambda world: world.replans.renew(WAVE, ID, ID, 1.0),
    "replans.save": lambda world: world.replans.save(WAVE, ID, ID, REPLANNED),
    "replans.give_up": lambda world: world.replans.give_up(WAVE, ID, ID, None),
    "replans.postpone": lambda world: world.replans.postpone(WAVE, ID, ID, "it broke", 1.0),
    "plans.erased": lambda world: world.plans.erased(TENANT, [ID]),
    "budgets.standing": lambda world: world.budgets.standing(TENANT, None, 1),
    "budgets.costs": lambda world: world.budgets.costs(TENANT, ID, (-1, -1), 1),
    "budgets.allow": lambda world: world.budget_changes.allow(TENANT, None, Sum(tokens=1), "ann"),
    "sweep.keep_audit": lambda world: world.sweep.keep_audit(),
    "sweep.resume_in_budget": lambda world: world.sweep.resume_in_budget(),
    "sweep.waiting_tenants": lambda world: world.sweep.waiting_tenants(),
}

# Of stores that have no port, and no fake.
ASK_REAL: dict[str, Callable[[PostgresWorld], object]] = {
    "tenants.add": lambda world: world.tenants.add(TENANT, "ann"),
    "tenants.list_tenants": lambda world: world.tenants.list_tenants(),
    "states.get": lambda world: world.states.get(TENANT, "k"),
    "states.list_entries": lambda world: world.states.list_entries(TENANT, "", 1),
    "states.history": lambda world: world.states.history(TENANT, "k", 1),
    "access.note_read": lambda world: world.access.note_read(TENANT, "ann", {}),
    "erasures.erase": lambda world: world.erasures.erase(ERASURE),
}


@pytest.fixture
def real_away() -> PostgresWorld:
    """Stores of a database that nobody serves."""
    database = Database(f"postgresql://eve:s3cret@127.0.0.1:{free_port()}/chimera", 1)
    return PostgresWorld(database, database, database, database, database, database)


@pytest.fixture(params=["fake", "postgres"])
def away(request: pytest.FixtureRequest) -> World:
    """A world whose database nobody serves."""
    if request.param == "fake":
        fake = FakeWorld()
        fake.database.available = False
        return fake
    real: PostgresWorld = request.getfixturevalue("real_away")
    return real


@pytest.mark.parametrize("what", ASK_REAL)
def test_a_store_without_a_port_says_so_too(real_away: PostgresWorld, what: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        ASK_REAL[what](real_away)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("what", ASK)
def test_a_store_that_does_not_answer_says_so(away: World, what: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        ASK[what](away)
    assert "s3cret" not in str(caught.value)


def test_nothing_that_is_asked_of_a_store_is_forgotten_here(away: World) -> None:
    stores = (
        "plans",
        "control",
        "waves",
        "work",
        "decisions",
        "cards",
        "reviews",
        "sweep",
        "policies",
        "replans",
        "verdicts",
        "budgets",
        "credentials",
        "skills",
        "all_waits",
        "exports",
    )
    assert _methods(away, *stores) == set(ASK)


def test_nothing_that_is_asked_of_a_store_without_a_port_is_forgotten_here(real_away: PostgresWorld) -> None:
    assert _methods(real_away, "tenants", "states", "access", "erasures") == set(ASK_REAL)


def _methods(world: World, *stores: str) -> set[str]:
    return {f"{store}.{name}" for store in stores for name in dir(getattr(world, store)) if not name.startswith("_")}
