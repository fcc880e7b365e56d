import json

import pytest

from chimera import Chimera, SessionState
from chimera.errors import SessionNotFound, SessionStopped
from tests.unit.cli.conftest import Run
from tests.unit.cli.swarm import FakeServices

TENANT = ("-t", "acme")
JSON = ("-o", "json")
ROWS = json.dumps([{"text": "fine", "confidence": "0.9"}])
SUBMIT = ("plan", "submit", "echoes", *TENANT, "--session", "s", "--set", f"rows={ROWS}")


@pytest.fixture
def plan_id(run: Run) -> str:
    """A plan of session s that has completed."""
    return submitted(run)


@pytest.fixture
def waiting(run: Run, services: FakeServices) -> str:
    """A plan of session s whose message was lost."""
    services.queue.room = 0
    plan_id = submitted(run)
    services.queue.room = 1000
    return plan_id


def submitted(run: Run) -> str:
    ran = run(*SUBMIT, *JSON)
    assert ran.code == 0, ran.err
    plan_id: str = ran.json["plan_id"]
    return plan_id


def standing(run: Run, plan_id: str) -> tuple[str, bool]:
    plan = run("plan", "show", plan_id, *TENANT, *JSON).json
    return plan["state"], plan["paused"]


def test_a_session_as_it_stands(run: Run, plan_id: str) -> None:
    ran = run("session", "show", "s", *TENANT)
    assert ran.code == 0, ran.err
    shown = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert (shown["session"], shown["state"], shown["plans"]) == ("s", "open", "1, 0 of them open")
    assert "changed" not in shown
    assert "next: chimera plan list --tenant acme --session s" in ran.err
    found = run("session", "show", "s", *TENANT, *JSON).json
    assert (found["session_id"], found["state"], found["opened_by"], found["plans"]) == ("s", "open", "app", 1)


def test_sessions_are_listed_by_state(run: Run, plan_id: str) -> None:
    run("plan", "submit", "echoes", *TENANT, "--session", "t", "--set", f"rows={ROWS}")
    run("session", "pause", "t", *TENANT, "--as", "ann")
    ran = run("session", "list", *TENANT)
    assert ran.out.splitlines()[0].split() == ["SESSION", "STATE", "PLANS", "OPEN", "AGE", "CHANGED", "BY"]
    assert len(ran.out.splitlines()) == 3
    [paused] = run("session", "list", *TENANT, "--state", "paused", *JSON).json
    assert (paused["session_id"], paused["changed_by"]) == ("t", "ann")
    ran = run("session", "list", *TENANT, "--state", "stopped")
    assert (ran.code, ran.out, ran.err) == (0, "", "no sessions of acme that are stopped\n")
    assert run("session", "list", *TENANT, "--state", "asleep").code == 2


def test_what_is_submitted_to_a_paused_one_waits_until_it_is_resumed(run: Run, waiting: str) -> None:
    ran = run("session", "pause", "s", *TENANT, "--as", "ann")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[1].split(maxsplit=1) == [waiting, "submitted (paused)"]
    assert "session s is paused, by ann" in ran.err
    ran = run(*SUBMIT)
    assert ran.code == 0
    assert "session s is paused, the plan waits: chimera session resume s --tenant acme" in ran.err
    new = ran.out.split()[0]
    assert standing(run, new) == ("submitted", True)
    changed = run("session", "resume", "s", *TENANT, *JSON).json
    assert [plan["plan_id"] for plan in changed["changed_plans"]] == [waiting, new]
    assert changed["state"] == "open"
    assert [standing(run, plan) for plan in (waiting, new)] == [("completed", False)] * 2


def test_what_is_submitted_to_a_stopped_one_is_refused(run: Run, waiting: str) -> None:
    ran = run("session", "stop", "s", *TENANT, "--as", "ann", *JSON)
    assert [(plan["plan_id"], plan["state"]) for plan in ran.json["changed_plans"]] == [(waiting, "cancelled")]
    assert (ran.json["state"], ran.json["open_plans"]) == ("stopped", 0)
    ran = run(*SUBMIT)
    assert (ran.code, ran.out) == (5, "")
    assert "session 's' was stopped by ann: it takes no plan any more" in ran.err
    assert run("session", "resume", "s", *TENANT).code == 5
    assert run("session", "stop", "s", *TENANT).code == 0
    assert run("plan", "retry", waiting, "--stopped", *TENANT).code == 5


def test_a_retry_of_a_paused_one_s_plan_waits_too(run: Run, waiting: str) -> None:
    run("plan", "cancel", waiting, *TENANT)
    run("session", "pause", "s", *TENANT)
    ran = run("plan", "retry", waiting, "--stopped", *TENANT)
    assert ran.code == 0, ran.err
    new, *_, state = ran.out.splitlines()[1].split(maxsplit=3)
    assert state.endswith("submitted (paused)")
    run("session", "resume", "s", *TENANT)
    assert standing(run, new) == ("completed", False)


@pytest.mark.parametrize("verb", ["show", "pause", "resume", "stop"])
def test_one_that_no_plan_has_named(run: Run, verb: str) -> None:
    ran = run("session", verb, "nope", *TENANT)
    assert (ran.code, ran.out) == (3, "")


def test_what_is_done_to_its_plans_alone_does_not_change_the_session(run: Run, waiting: str) -> None:
    assert run("plan", "pause", "--session", "s", *TENANT).code == 0
    assert standing(run, waiting)[1]
    assert run("session", "show", "s", *TENANT, *JSON).json["state"] == "open"
    assert standing(run, submitted(run)) == ("completed", False)
    assert run("plan", "cancel", "--session", "s", *TENANT).code == 0
    assert standing(run, submitted(run)) == ("completed", False)


def test_one_plan_of_a_paused_session_may_go_on(run: Run, waiting: str) -> None:
    run("session", "pause", "s", *TENANT)
    assert run("plan", "resume", waiting, *TENANT).code == 0
    assert standing(run, waiting) == ("completed", False)
    assert standing(run, submitted(run)) == ("submitted", True)


def test_from_python(run: Run, services: FakeServices, waiting: str) -> None:
    chimera = Chimera(services)
    changed = chimera.pause_session(tenant="acme", session_id="s")
    assert [f"pl_{plan.plan_id.hex}" for plan in changed.plans] == [waiting]
    assert chimera.session("acme", "s").state is SessionState.PAUSED
    handle = chimera.submit("echoes", tenant="acme", inputs={"rows": []}, session_id="s")
    assert handle.plan.paused
    chimera.resume_session(tenant="acme", session_id="s")
    assert handle.status == "completed"
    chimera.stop_session(tenant="acme", session_id="s")
    with pytest.raises(SessionStopped):
        chimera.submit("echoes", tenant="acme", inputs={"rows": []}, session_id="s")
    with pytest.raises(SessionNotFound):
        chimera.session("acme", "t")
