"""Shared state to read."""

import pytest

from chimera.adapters.postgres.stores.state_store import MOST_VALUE_BYTES
from chimera.errors import StateNotFound
from chimera.models.record import canonical_json, sha256
from chimera.models.work.task import TaskState
from tests.contract.scene import Planned, Scene, approve, replan, success
from tests.contract.worlds import PostgresWorld, World, stores


@pytest.fixture
def world(postgres_world: PostgresWorld) -> World:
    """The real one alone: there is no port to this store, and no fake."""
    return postgres_world


def written(scene: Scene, key: str, value: object) -> Planned:
    """A plan whose one task has committed the value."""
    planned = scene.plan(1, state_key=key)
    scene.judge(scene.work_off(planned, success(value)), approve)
    return planned


def test_an_entry_has_its_value_version_and_who_committed_it(scene: Scene) -> None:
    written(scene, "k", "old")
    planned = written(scene, "k", {"new": [1, None]})
    entry = stores(scene.world).states.get(scene.tenant_id, "k")
    assert (entry.key, entry.value, entry.version, entry.value_omitted) == ("k", {"new": [1, None]}, 2, False)
    assert (entry.plan_id, entry.task_id, entry.attempt) == (planned.plan_id, planned.ids[0], 1)
    assert entry.decided_by == "policy"
    text = canonical_json(success({"new": [1, None]}).model_dump(mode="json"))
    assert (entry.result_sha256, entry.result_size) == (sha256(text).hex(), len(text))


def test_there_is_no_entry_before_the_first_commit_nor_of_another_tenant(scene: Scene, stranger: Scene) -> None:
    written(scene, "k", 1)
    for tenant_id, key in ((scene.tenant_id, "other"), (stranger.tenant_id, "k")):
        with pytest.raises(StateNotFound):
            stores(scene.world).states.get(tenant_id, key)
        with pytest.raises(StateNotFound):
            stores(scene.world).states.history(tenant_id, key, 10)
    assert stores(scene.world).states.list_entries(stranger.tenant_id, "", 10) == []


def test_entries_are_listed_by_key(scene: Scene) -> None:
    for key in ("b/2", "B", "b/10", "a", "b%"):
        written(scene, key, key)
    states = stores(scene.world).states
    assert [entry.key for entry in states.list_entries(scene.tenant_id, "", 10)] == ["B", "a", "b%", "b/10", "b/2"]
    assert [entry.key for entry in states.list_entries(scene.tenant_id, "b/", 10)] == ["b/10", "b/2"]
    assert [entry.key for entry in states.list_entries(scene.tenant_id, "", 2, after="a")] == ["b%", "b/10"]


def test_a_history_has_every_version_newest_first(scene: Scene) -> None:
    plans = [written(scene, "k", value) for value in ("one", None, "three")]
    written(scene, "other", "x")
    entries = stores(scene.world).states.history(scene.tenant_id, "k", 10)
    assert [(entry.version, entry.value) for entry in entries] == [(3, "three"), (2, None), (1, "one")]
    assert [entry.task_id for entry in entries] == [planned.ids[0] for planned in reversed(plans)]
    assert [entry.version for entry in stores(scene.world).states.history(scene.tenant_id, "k", 1, before=3)] == [2]
    assert stores(scene.world).states.history(scene.tenant_id, "k", 10, before=1) == []


def test_a_history_names_the_person_who_approved(scene: Scene) -> None:
    planned, [card] = scene.in_review(state_key="k")
    scene.decide(card, approve=True, by="bob")
    [entry] = stores(scene.world).states.history(scene.tenant_id, "k", 10)
    assert (entry.decided_by, entry.plan_id) == ("bob", planned.plan_id)


def test_a_large_value_is_shown_whole_only_by_itself(scene: Scene) -> None:
    large = "x" * (MOST_VALUE_BYTES + 1)
    written(scene, "k", large)
    assert stores(scene.world).states.get(scene.tenant_id, "k").value == large
    [listed] = stores(scene.world).states.list_entries(scene.tenant_id, "", 10)
    [version] = stores(scene.world).states.history(scene.tenant_id, "k", 10)
    for entry in (listed, version):
        assert (entry.value, entry.value_omitted) == (None, True)
        assert entry.result_size > len(large)
        assert entry.result_sha256 == stores(scene.world).states.get(scene.tenant_id, "k").result_sha256


def test_a_claim_comes_with_the_entry_as_it_is(scene: Scene) -> None:
    first = scene.plan(1, state_key="k")
    scene.send()
    [task] = scene.claim(first.wave, first.ids).tasks
    assert (task.state_key, task.state_value, task.state_version) == ("k", None, 0)
    written(scene, "k", {"a": "\x00é"})
    second = scene.plan(1, state_key="k")
    scene.send()
    [task] = scene.claim(second.wave, second.ids).tasks
    assert (task.state_value, task.state_version) == (canonical_json({"a": "\x00é"}), 1)
    third = scene.plan(1)
    scene.send()
    [task] = scene.claim(third.wave, third.ids).tasks
    assert (task.state_key, task.state_value, task.state_version) == (None, None, None)


def test_a_result_made_from_an_older_version_goes_back_and_is_made_again_from_the_new_one(scene: Scene) -> None:
    late, soon = scene.plan(1, state_key="k"), scene.plan(1, state_key="k")
    scene.send()
    claims = [scene.claim(planned.wave, planned.ids) for planned in (late, soon)]
    for claim in claims[::-1]:
        scene.stage(claim, success(claim.ids[0].hex))
        scene.judge(claim.wave, approve)
    assert scene.states(late.plan_id) == [TaskState.QUEUED]
    scene.send()
    again = scene.claim(late.wave, late.ids)
    [task] = again.tasks
    assert (task.attempt, task.state_value, task.state_version) == (2, canonical_json(soon.ids[0].hex), 1)
    assert "state.changed" in (task.feedback or "")
    scene.stage(again, success("merged"))
    scene.judge(late.wave, approve)
    history = stores(scene.world).states.history(scene.tenant_id, "k", 10)
    assert [(entry.version, entry.task_id) for entry in history] == [(2, late.ids[0]), (1, soon.ids[0])]


def test_what_is_sent_back_commits_nothing(scene: Scene) -> None:
    planned = scene.plan(1, state_key="k", has_replan=True)
    scene.judge(scene.work_off(planned), replan)
    with pytest.raises(StateNotFound):
        stores(scene.world).states.get(scene.tenant_id, "k")


def test_what_a_person_made_of_a_result_is_what_the_state_and_its_history_have(scene: Scene) -> None:
    _, [card] = scene.in_review(state_key="k")
    edit = scene.edit(card, {"longer": "than before"}, by="bob")
    [committed] = stores(scene.world).states.history(scene.tenant_id, "k", 10)
    for entry in (committed, stores(scene.world).states.get(scene.tenant_id, "k")):
        assert (entry.value, entry.decided_by) == ({"longer": "than before"}, "bob")
        assert (entry.result_sha256, entry.result_size) == (edit.sha256.hex(), len(edit.outcome))
