"""What skills and planners there are, as workers say when they start."""

from typing import Any
from uuid import uuid4

import pytest

from chimera.models.work.declaration import (
    PlannerDeclaration,
    SkillDeclaration,
    planner_declarations,
    skill_declarations,
)
from tests.contract.scene import Scene
from tests.unit.declared import as_planner, as_skill


@pytest.fixture
def name() -> str:
    """Of a skill or planner that no other test has: they are of all tenants."""
    return f"tests.{uuid4().hex}"


def skill(name: str, **changes: Any) -> SkillDeclaration:
    def shout(text: str) -> str:
        """Says it louder.

        By a lot.
        """
        return text

    [declared] = skill_declarations([as_skill(shout, name=name)])
    return declared.model_copy(
        update={"effects": ("email.send", "\"}{,'"), "examples": ({"text": "h\u00e9\u0000"},)} | changes
    )


def planner(name: str, **changes: Any) -> PlannerDeclaration:
    def shouts(texts: list[str]) -> list[Any]:
        """Many shouts."""
        return []

    [declared] = planner_declarations([as_planner(shouts, name=name)])
    return declared.model_copy(update=changes)


def test_what_is_declared_is_stored_whole(scene: Scene, name: str) -> None:
    scene.world.declaring.declare([skill(name)], [planner(name, has_replan=True)])
    [stored] = scene.world.skills.skills(name)
    assert stored.model_dump(exclude={"first_seen", "last_seen"}) == skill(name).model_dump()
    assert (stored.description, stored.module) == ("Says it louder.", __name__)
    assert stored.fingerprint == skill(name).fingerprint
    assert stored.first_seen == stored.last_seen
    [known] = scene.world.skills.planners(name)
    assert known.model_dump(exclude={"first_seen", "last_seen"}) == planner(name, has_replan=True).model_dump()
    assert known.fingerprint == planner(name).fingerprint


def test_a_new_row_has_one_time(scene: Scene, name: str) -> None:
    # With a clock read for each of the two they differ by a microsecond in about one row of eighty.
    names = [f"{name}.{number}" for number in range(400)]
    scene.world.declaring.declare([skill(each) for each in names], [planner(each) for each in names])
    for stored in (scene.world.skills.skills(), scene.world.skills.planners()):
        of_these = [each for each in stored if each.name.startswith(name)]
        assert len(of_these) == 400
        assert [each for each in of_these if each.first_seen != each.last_seen] == []


def test_nothing_to_declare_is_well(scene: Scene, name: str) -> None:
    scene.world.declaring.declare([], [])
    assert scene.world.skills.skills(name) == []
    assert scene.world.skills.planners(name) == []


def test_declared_again_it_is_as_it_was_declared_last(scene: Scene, name: str) -> None:
    scene.world.declaring.declare([skill(name)], [planner(name)])
    [first] = scene.world.skills.skills(name)
    again = skill(name, max_batch=7, timeout_seconds=1.5, max_attempts=9, description="", effects=(), examples=())
    scene.world.declaring.declare([again], [planner(name, description="better", has_replan=True)])
    [second] = scene.world.skills.skills(name)
    assert second.model_dump(exclude={"first_seen", "last_seen"}) == again.model_dump()
    assert second.first_seen == first.first_seen <= second.last_seen
    [known] = scene.world.skills.planners(name)
    assert (known.description, known.has_replan) == ("better", True)


def test_a_skill_whose_schema_changes_is_stored_beside_what_it_was(scene: Scene, name: str) -> None:
    changed = skill(name, output_schema={"type": "integer"}, max_batch=3)
    for declared in (skill(name), changed):
        scene.world.declaring.declare([declared], [])
    assert {stored.fingerprint for stored in scene.world.skills.skills(name)} == {
        changed.fingerprint,
        skill(name).fingerprint,
    }
    assert scene.world.waves.max_batches([name]).keys() == {name}


def test_the_version_that_was_declared_last_comes_first(scene: Scene, name: str) -> None:
    changed = skill(name, output_schema={"type": "integer"}, max_batch=3)
    for declared in (skill(name), changed, skill(name), changed):
        scene.world.declaring.declare([declared], [])
        if hasattr(scene.world.clock, "advance"):
            scene.pass_time(1)
    assert scene.world.skills.skills(name)[0].fingerprint == changed.fingerprint
    for waves in (scene.world.waves, scene.world.waves_of_judge):
        assert waves.max_batches([name, "tests.nowhere"]) == {name: 3}


def test_all_are_listed_by_name(scene: Scene, name: str) -> None:
    scene.world.declaring.declare(
        [skill(f"{name}.b"), skill(f"{name}.a")], [planner(f"{name}.b"), planner(f"{name}.a")]
    )
    for stored in (scene.world.skills.skills(), scene.world.skills.planners()):
        assert [each.name for each in stored if each.name.startswith(name)] == [f"{name}.a", f"{name}.b"]
