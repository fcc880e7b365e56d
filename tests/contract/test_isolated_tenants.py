"""Tenants that the operator's floor isolates: where their skills and planners run, and where they do not."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from copy import copy
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import pytest

from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.plan_store import PlanStore
from chimera.adapters.postgres.stores.replan_store import ReplanStore
from chimera.adapters.postgres.stores.work_store import WorkStore
from chimera.models.gate.policy import Floor, Policy
from chimera.models.work.task import TaskState
from tests.contract.scene import PLANNERS, SKILLS, Scene, facts_of
from tests.contract.worlds import FakeWorld, World
from tests.fakes import FakePlanStore, FakeReplanStore, FakeWorkStore

Isolate = Callable[[Literal["*"] | tuple[str, ...]], None]


@pytest.fixture
def isolate(world: World) -> Iterator[Isolate]:
    """Puts a default in force that isolates these tenants."""

    def put(whom: Literal["*"] | tuple[str, ...]) -> None:
        world.policy_changes.apply(None, Policy(floor=Floor(isolated=whom)), "bob")

    yield put
    world.forget_default_policy()


@pytest.fixture
def at_host(scene: Scene, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The scene of a worker at level host."""
    hosted = copy(scene.world)
    with ExitStack() as stack:
        if isinstance(hosted, FakeWorld):
            hosted.plans = FakePlanStore(hosted.database, "host")
            hosted.replans = FakeReplanStore(hosted.database, "host")
            hosted.work = FakeWorkStore(hosted.database, "host")
        else:
            servers = request.getfixturevalue("servers")
            app, worker = (
                stack.enter_context(closing(Database(servers[f"CHIMERA_{role}_DATABASE_URL"], 1, "host")))
                for role in ("APP", "WORKER")
            )
            hosted.plans, hosted.replans, hosted.work = PlanStore(app), ReplanStore(app), WorkStore(worker)
        yield Scene(hosted, scene.tenant_id)


def test_its_tasks_are_left_to_workers_at_level_host(scene: Scene, at_host: Scene, isolate: Isolate) -> None:
    planned = scene.plan(2)
    scene.send()
    isolate((scene.tenant_id,))
    assert scene.claim(planned.wave, planned.ids).tasks == ()
    assert scene.give_back(planned, SKILLS) == ["echo"]
    [wait] = scene.world.waits.of_plan(scene.tenant_id, planned.plan_id)
    assert (wait.skill, wait.count, wait.isolated) == ("echo", 2, True)
    assert [wait] == [each for each in scene.world.all_waits.of_all() if each.tenant_id == scene.tenant_id]
    assert at_host.give_back(planned, SKILLS) == []
    claim = at_host.claim(planned.wave, planned.ids)
    assert [(task.task_id, task.attempt) for task in claim.tasks] == [(task_id, 1) for task_id in planned.ids]
    assert at_host.stage(claim) == 2


def test_a_task_that_is_given_back_is_sent_again(scene: Scene, isolate: Isolate) -> None:
    planned = scene.plan(1)
    scene.send()
    isolate((scene.tenant_id,))
    scene.give_back(planned, SKILLS)
    scene.pass_time(4)
    look = scene.look_at(planned.wave, skills=SKILLS)
    assert look is not None
    assert look.again


def test_its_plans_are_planned_at_level_host(scene: Scene, at_host: Scene, isolate: Isolate) -> None:
    plan_id, token = scene.submit(), scene.world.clock.new_id()
    isolate((scene.tenant_id,))
    assert scene.world.plans.begin_planning(scene.tenant_id, plan_id, token, 60, PLANNERS) is None
    job = at_host.world.plans.begin_planning(scene.tenant_id, plan_id, token, 60, PLANNERS)
    assert job is not None
    assert job.attempt == 1


def test_its_planners_are_asked_again_at_level_host(scene: Scene, at_host: Scene, isolate: Isolate) -> None:
    planned = scene.asked()
    isolate((scene.tenant_id,))
    assert scene.begin_replan(planned.wave)[0] is None
    job, _ = at_host.begin_replan(planned.wave)
    assert job is not None
    assert job.tries == 1


def test_of_others_everything_runs_anywhere(scene: Scene, stranger: Scene, isolate: Isolate) -> None:
    planned = scene.plan(1)
    scene.send()
    isolate((stranger.tenant_id,))
    assert scene.give_back(planned, SKILLS) == []
    assert len(scene.claim(planned.wave, planned.ids).tasks) == 1
    scene.begin(scene.submit())


def test_all_tenants_can_be_isolated(scene: Scene, at_host: Scene, isolate: Isolate) -> None:
    planned = scene.plan(1)
    scene.send()
    isolate("*")
    assert scene.claim(planned.wave, planned.ids).tasks == ()
    assert len(at_host.claim(planned.wave, planned.ids).tasks) == 1


def test_what_runs_already_goes_on(scene: Scene, isolate: Isolate) -> None:
    planned = scene.plan(1)
    scene.send()
    claim = scene.claim(planned.wave, planned.ids)
    isolate((scene.tenant_id,))
    assert scene.world.work.renew(planned.wave, claim.token, 60).held
    assert scene.stage(claim) == 1
    assert [result.state for result in scene.results(planned.plan_id)] == [TaskState.STAGED]


def test_to_isolate_a_tenant_no_more_is_on_its_record(scene: Scene, isolate: Isolate) -> None:
    scene.world.policy_changes.apply(scene.tenant_id, Policy(name="own"), "ann")
    isolate((scene.tenant_id,))
    assert scene.world.policies.in_force(scene.tenant_id).isolated
    isolate(())
    assert not scene.world.policies.in_force(scene.tenant_id).isolated
    [*_, before, last] = [facts_of(entry) for entry in scene.entries() if entry.kind == "policy.applied"]
    assert before["weakened"] == []
    assert last["weakened"] == ["floor.isolated: no longer of this tenant"]
    planned = scene.plan(1)
    scene.send()
    assert len(scene.claim(planned.wave, planned.ids).tasks) == 1


def test_its_own_login_runs_everything_of_it(real_scene: Scene, servers: dict[str, str]) -> None:
    scene, world = real_scene, copy(real_scene.world)
    credentials = scene.world.credentials
    roles = credentials.make(scene.tenant_id, {"app": "secret", "worker": "secret"}, "0" * 64, "bob")
    with ExitStack() as stack:
        stack.callback(credentials.revoke, scene.tenant_id, "bob")
        own = {}
        for kind, role in roles.items():
            url = urlsplit(servers[f"CHIMERA_{kind.upper()}_DATABASE_URL"])
            address = f"{role}:secret@{url.netloc.rpartition('@')[2]}"
            own[kind] = stack.enter_context(closing(Database(urlunsplit(url._replace(netloc=address)), 1)))
        stack.callback(scene.world.forget_default_policy)
        scene.world.policy_changes.apply(None, Policy(floor=Floor(isolated="*")), "bob")
        world.plans, world.work = PlanStore(own["app"]), WorkStore(own["worker"])
        bound = Scene(world, scene.tenant_id)
        planned = bound.plan(1)
        scene.send()
        assert scene.claim(planned.wave, planned.ids).tasks == ()
        assert bound.give_back(planned, SKILLS) == []
        assert len(bound.claim(planned.wave, planned.ids).tasks) == 1
