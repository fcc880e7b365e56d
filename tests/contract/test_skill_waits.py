"""What waits for a process that has a skill."""

from datetime import timedelta
from uuid import UUID

from chimera.ports.skill_waits import SkillWait
from tests.contract.scene import Scene, now_of


def of_plan(scene: Scene, plan_id: UUID) -> list[tuple[str, int]]:
    return [(wait.skill, wait.count) for wait in scene.world.waits.of_plan(scene.tenant_id, plan_id)]


def of_all(scene: Scene) -> list[SkillWait]:
    """Of the test's own tenant."""
    return [wait for wait in scene.world.all_waits.of_all() if wait.tenant_id == scene.tenant_id]


def test_what_waits_its_turn_waits_for_no_skill(scene: Scene) -> None:
    planned = scene.plan(2, 2)
    scene.send(window=1)
    assert of_plan(scene, planned.plan_id) == []
    assert of_all(scene) == []


def test_tasks_that_were_given_back_wait_for_their_skill(scene: Scene) -> None:
    planned, other = scene.plan(3, 2), scene.plan(1)
    scene.send()
    scene.claim(planned.wave, planned.ids[:1])
    scene.give_back(planned, [])
    scene.pass_time(60)
    scene.give_back(other, [])
    assert of_plan(scene, planned.plan_id) == [("echo", 2)]
    assert of_plan(scene, other.plan_id) == [("echo", 1)]
    [wait] = of_all(scene)
    assert (wait.skill, wait.count) == ("echo", 3)
    assert timedelta(seconds=59) < now_of(scene.world) - wait.since < timedelta(seconds=90)


def test_what_ended_waits_for_nothing(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    scene.give_back(planned, [])
    scene.stop(planned.plan_id)
    scene.stop_wave(planned.wave)
    assert of_plan(scene, planned.plan_id) == []
    assert of_all(scene) == []


def test_a_tenant_sees_what_is_its_own(scene: Scene, stranger: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    scene.give_back(planned, [])
    assert stranger.world.waits.of_plan(stranger.tenant_id, planned.plan_id) == []
