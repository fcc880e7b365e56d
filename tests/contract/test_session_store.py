"""Sessions: their record, and what becomes of plans that are submitted to them."""

import pytest

from chimera.errors import SessionNotFound, SessionStopped
from chimera.models.work.plan import PlanState
from chimera.models.work.retry import RetryKind
from chimera.models.work.session import Session, SessionState
from tests.contract.scene import PLANNERS, Scene, deny, facts_of

OPEN, PAUSED, STOPPED = SessionState.OPEN, SessionState.PAUSED, SessionState.STOPPED


def change(scene: Scene, to: SessionState, session_id: str = "s", by: str = "ann") -> Session:
    return scene.world.sessions.change(scene.tenant_id, session_id, to, by)


def get(scene: Scene, session_id: str = "s") -> Session:
    return scene.world.sessions.get(scene.tenant_id, session_id)


def begins(scene: Scene, plan_id: object) -> bool:
    ids = scene.world.clock.new_id()
    return scene.world.plans.begin_planning(scene.tenant_id, plan_id, ids, 60, PLANNERS) is not None  # type: ignore[arg-type]


class TestRecord:
    def test_the_first_plan_that_names_it_makes_it(self, scene: Scene) -> None:
        plan_id = scene.submit(session_id="s")
        found = get(scene)
        assert (found.tenant_id, found.session_id, found.state) == (scene.tenant_id, "s", OPEN)
        assert (found.opened_by, found.changed_at, found.changed_by) == ("app", None, None)
        assert (found.plans, found.open_plans) == (1, 1)
        assert scene.recorded("session.opened")[0].facts == {"session_id": "s"}
        assert scene.kinds(plan_id) == ["plan.submitted"]
        assert scene.entries(plan_id)[0].seq == scene.shown(plan_id).first_audit_seq

    def test_a_further_plan_makes_no_other(self, scene: Scene) -> None:
        scene.submit(session_id="s")
        opened = get(scene).opened_at
        plan_id = scene.submit(session_id="s")
        scene.stop(plan_id)
        assert (get(scene).opened_at, get(scene).plans, get(scene).open_plans) == (opened, 2, 1)
        assert len(scene.recorded("session.opened")) == 1

    def test_a_plan_of_none_makes_none(self, scene: Scene) -> None:
        scene.submit()
        assert scene.world.sessions.list_sessions(scene.tenant_id, limit=9) == []

    def test_those_opened_last_come_first(self, scene: Scene, stranger: Scene) -> None:
        for name in ("b", "a", "c"):
            scene.submit(session_id=name)
            scene.pass_time(1)
        stranger.submit(session_id="x")
        change(scene, PAUSED, "a")
        store = scene.world.sessions
        assert [each.session_id for each in store.list_sessions(scene.tenant_id, limit=9)] == ["c", "a", "b"]
        assert [each.session_id for each in store.list_sessions(scene.tenant_id, limit=2)] == ["c", "a"]
        assert [each.session_id for each in store.list_sessions(scene.tenant_id, state=PAUSED, limit=9)] == ["a"]

    def test_one_that_no_plan_has_named_is_not_found(self, scene: Scene, stranger: Scene) -> None:
        stranger.submit(session_id="s")
        with pytest.raises(SessionNotFound):
            get(scene)
        with pytest.raises(SessionNotFound):
            change(scene, PAUSED)
        assert get(stranger).state is OPEN

    @pytest.mark.parametrize(("to", "kind"), [(PAUSED, "session.paused"), (STOPPED, "session.stopped")])
    def test_a_change_says_who_and_when_and_is_on_record(self, scene: Scene, to: SessionState, kind: str) -> None:
        scene.submit(session_id="s")
        changed = change(scene, to)
        assert (changed.state, changed.changed_by) == (to, "ann")
        assert changed.changed_at is not None
        assert changed == get(scene)
        [entry] = scene.recorded(kind)
        assert (entry.actor, entry.plan_id, facts_of(entry)) == ("ann", None, {"session_id": "s", "was": "open"})

    def test_resuming_is_on_record(self, scene: Scene) -> None:
        scene.submit(session_id="s")
        change(scene, PAUSED)
        assert change(scene, OPEN, by="bob").changed_by == "bob"
        [entry] = scene.recorded("session.resumed")
        assert (entry.actor, facts_of(entry)) == ("bob", {"session_id": "s", "was": "paused"})

    def test_the_same_again_changes_and_records_nothing(self, scene: Scene) -> None:
        scene.submit(session_id="s")
        assert change(scene, OPEN).changed_by is None
        first = change(scene, PAUSED)
        assert change(scene, PAUSED, by="bob") == first
        assert len(scene.recorded("session.paused")) == 1

    @pytest.mark.parametrize("to", [OPEN, PAUSED])
    def test_what_was_stopped_stays_so(self, scene: Scene, to: SessionState) -> None:
        scene.submit(session_id="s")
        change(scene, STOPPED)
        with pytest.raises(SessionStopped, match="'s' was stopped by ann"):
            change(scene, to, by="bob")
        assert change(scene, STOPPED, by="bob").changed_by == "ann"


class TestSubmit:
    def test_to_a_paused_one_it_waits_and_says_for_whom(self, scene: Scene) -> None:
        scene.submit(session_id="s")
        change(scene, PAUSED)
        submitted = scene.submitted(session_id="s")
        assert (submitted.created, submitted.paused) == (True, True)
        plan = scene.shown(submitted.plan_id)
        assert (plan.state, plan.paused, plan.paused_by) == (PlanState.SUBMITTED, True, "ann")
        assert not begins(scene, submitted.plan_id)
        assert scene.kinds(submitted.plan_id) == ["plan.submitted", "plan.paused"]
        assert scene.entries(submitted.plan_id)[1].actor == "ann"

    def test_it_goes_on_when_the_session_is_resumed(self, scene: Scene) -> None:
        scene.submit(session_id="s")
        change(scene, PAUSED)
        plan_id = scene.submit(session_id="s")
        change(scene, OPEN)
        resumed = scene.world.control.resume_open(scene.tenant_id, "s", "ann", 9, only_if=OPEN)
        assert plan_id in [each.plan_id for each in resumed]
        assert begins(scene, plan_id)

    def test_to_another_one_or_none_it_starts(self, scene: Scene) -> None:
        scene.submit(session_id="s")
        change(scene, PAUSED)
        for fields in ({"session_id": "t"}, {}):
            submitted = scene.submitted(**fields)
            assert not submitted.paused
            assert begins(scene, submitted.plan_id)

    def test_to_a_stopped_one_it_is_refused_and_leaves_nothing(self, scene: Scene) -> None:
        scene.submit(session_id="s")
        change(scene, STOPPED)
        before = scene.entries()
        with pytest.raises(SessionStopped, match="it takes no plan any more"):
            scene.submit(session_id="s")
        assert scene.entries() == before
        assert get(scene).plans == 1

    def test_what_was_submitted_before_is_found_by_its_key_all_the_same(self, scene: Scene) -> None:
        first = scene.submitted(session_id="s", idempotency_key="k")
        change(scene, STOPPED)
        again = scene.submitted(session_id="s", idempotency_key="k")
        assert (again.plan_id, again.created) == (first.plan_id, False)

    def test_a_retry_follows_its_session_too(self, scene: Scene) -> None:
        planned = scene.plan(2, session_id="s")
        scene.judge(scene.work_off(planned), deny)
        change(scene, PAUSED)
        retried = scene.retry(planned.plan_id, RetryKind.DENIED, task_id=planned.ids[0])
        assert retried.paused
        assert scene.shown(retried.plan_id).paused_by == "ann"
        assert scene.send() == []
        change(scene, STOPPED)
        with pytest.raises(SessionStopped):
            scene.retry(planned.plan_id, RetryKind.DENIED)


class TestItsPlans:
    """What is done with a session's plans is done only while the session is as it was when that was asked for."""

    def test_only_in_the_state_that_is_asked_for(self, scene: Scene) -> None:
        plan_id = scene.submit(session_id="s")
        control, who = scene.world.control, (scene.tenant_id, "s")
        assert control.pause_open(*who, "ann", 9, only_if=PAUSED) == []
        assert control.stop_open(*who, PlanState.CANCELLED, "ann", 9, only_if=STOPPED) == []
        change(scene, PAUSED)
        assert [each.plan_id for each in control.pause_open(*who, "ann", 9, only_if=PAUSED)] == [plan_id]
        assert control.resume_open(*who, "ann", 9, only_if=OPEN) == []
        assert scene.shown(plan_id).paused
        change(scene, STOPPED)
        [stopped] = control.stop_open(*who, PlanState.CANCELLED, "ann", 9, only_if=STOPPED)
        assert (stopped.plan_id, stopped.state) == (plan_id, PlanState.CANCELLED)

    def test_plans_are_changed_together_whatever_the_session_is(self, scene: Scene) -> None:
        plan_id = scene.submit(session_id="s")
        assert [each.plan_id for each in scene.world.control.pause_open(scene.tenant_id, "s", "ann", 9)] == [plan_id]
        assert get(scene).state is OPEN
