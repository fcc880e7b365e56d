"""`chimera skill` and `chimera planner`, over the swarm in memory: the catalogue of this process is not asked."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chimera.cli.doctor.finding import Finding
from chimera.cli.doctor.waiting import waiting
from chimera.cli.stack import workers as stack_workers
from chimera.models.gate.policy import Floor, Policy
from chimera.models.work.agent import AgentSlot, AgentStatus, ProcessBeat
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.declaration import planner_declarations, skill_declarations
from chimera.models.work.presence import WorkerNote
from chimera.models.work.task import TaskSpec
from tests.unit.cli.conftest import Run
from tests.unit.cli.swarm import FakeServices
from tests.unit.declared import as_planner, as_skill
from tests.unit.present import note


def shout(text: str) -> str:
    """Says it louder.

    By a lot.
    """
    return text


def shouts(texts: list[str], goal: str) -> list[Any]:
    """Many of them."""
    return []


@pytest.fixture
def catalogue() -> Catalogue:
    """Of a folder without the project's code."""
    return Catalogue()


@pytest.fixture
def declared(services: FakeServices) -> None:
    skill = as_skill(
        shout, timeout_seconds=90, max_batch=7, effects=["email.send"], examples=[{"text": "h\u00e9\x1b[31m"}]
    )
    planner = as_planner(shouts, examples=[{"texts": ["a"]}])
    services.adapters.skills.declare(skill_declarations([skill]), planner_declarations([planner]))


def beat(services: FakeServices, node: str, *skills: str, planners: tuple[str, ...] = ()) -> ProcessBeat:
    clock = services.clock
    slots = tuple(AgentSlot(agent_id=clock.new_id(), pid=1, status=AgentStatus.IDLE) for _ in range(2))
    return ProcessBeat(
        process_id=clock.new_id(), node=node, started_at=clock.now(), skills=skills, planners=planners, slots=slots
    )


@pytest.fixture
def workers(services: FakeServices) -> None:
    for each in (
        beat(services, "new@b", "shout", planners=("shouts",)),
        beat(services, "new@a", "shout"),
        beat(services, "old@a", "echo"),
    ):
        services.adapters.agents.register(each)
    gone = beat(services, "gone@a", "shout", planners=("shouts",))
    services.adapters.agents.register(gone)
    services.adapters.agents.leave(gone.process_id)


def test_skills_and_planners_are_listed_with_the_workers_that_have_them_now(
    run: Run, declared: None, workers: None
) -> None:
    [head, row] = run("skill", "list").out.splitlines()
    assert head.split() == ["SKILL", "WORKERS", "BATCH", "ATTEMPTS", "TIMEOUT", "DOES"]
    assert row.split(maxsplit=5) == ["shout", "2", "7", "3", "1m30s", "Says it louder."]
    [head, row] = run("planner", "list").out.splitlines()
    assert head.split() == ["PLANNER", "WORKERS", "INPUTS", "DOES"]
    assert row.split(maxsplit=3) == ["shouts", "1", "texts", "Many of them."]


def test_a_skill_is_shown_with_all_that_was_declared(run: Run, declared: None, workers: None) -> None:
    ran = run("skill", "show", "shout")
    for part in (
        "Says it louder.",
        "1m30s",
        "email.send",
        "2: new@a, new@b",
        __name__,
        "input schema",
        '"additionalProperties": false',
        "output schema",
        '"type": "string"',
        "example",
        "h\u00e9",
    ):
        assert part in ran.out
    assert "\x1b" not in ran.out
    assert "versions" not in ran.out
    shown = run("planner", "show", "shouts")
    assert "1: new@b" in shown.out
    assert '"texts"' in shown.out


def test_json_has_all_of_it(run: Run, declared: None, workers: None) -> None:
    shown = run("skill", "show", "shout", "-o", "json").json
    assert run("skill", "list", "-o", "json").json == [shown]
    assert shown["workers"] == ["new@a", "new@b"]
    assert shown["input_schema"]["properties"] == {"text": {"title": "Text", "type": "string"}}
    assert shown["output_schema"] == {"type": "string"}
    assert (shown["max_batch"], shown["timeout_seconds"], shown["effects"]) == (7, 90.0, ["email.send"])
    assert len(shown["fingerprint"]) == 64
    planner = run("planner", "show", "shouts", "-o", "json").json
    assert run("planner", "list", "-o", "json").json == [planner]
    assert (planner["workers"], planner["has_replan"], planner["examples"]) == (["new@b"], False, [{"texts": ["a"]}])


def test_what_no_worker_has_now_says_so(run: Run, declared: None) -> None:
    assert run("skill", "list").out.splitlines()[1].split()[:2] == ["shout", "0"]
    assert "workers      none" in run("skill", "show", "shout").out


def test_without_the_broker_all_but_the_workers_is_shown(run: Run, declared: None, services: FakeServices) -> None:
    services.adapters.agents.available = False
    assert run("skill", "list").out.splitlines()[1].split()[:2] == ["shout", "?"]
    assert "the broker does not answer" in run("skill", "show", "shout").out
    assert run("planner", "show", "shouts", "-o", "json").json["workers"] is None


def test_of_several_versions_the_one_declared_last_is_shown(run: Run, declared: None, services: FakeServices) -> None:
    def counted(text: str) -> int:
        return len(text)

    services.clock.advance(1)
    services.adapters.skills.declare(skill_declarations([as_skill(counted, name="shout")]), [])
    assert [each["output_schema"] for each in run("skill", "list", "-o", "json").json] == [{"type": "integer"}]
    assert "2, of which this was declared last" in run("skill", "show", "shout").out


@pytest.mark.parametrize("kind", ["skill", "planner"])
def test_what_nobody_declared_is_not_found(run: Run, kind: str, services: FakeServices) -> None:
    ran = run(kind, "show", "shouted")
    assert (ran.code, ran.out) == (3, "")
    assert f"no worker has declared a {kind} named 'shouted'; declared: none" in ran.err
    ran = run(kind, "list")
    assert (ran.code, ran.out) == (0, "")
    assert f"no worker has declared a {kind} yet" in ran.err
    assert run(kind, "list", "-o", "json").json == []


class TestWhatWaits:
    @pytest.fixture
    def catalogue(self) -> Catalogue:
        skill = as_skill(shout)

        def three() -> list[TaskSpec]:
            return [skill.task(text=str(number)) for number in range(3)]

        known = Catalogue()
        known.add_skill(skill)
        known.add_planner(as_planner(three))
        return known

    def test_a_plan_says_what_of_it_waits_for_a_skill_and_who_has_it(self, run: Run, services: FakeServices) -> None:
        services.adapters.agents.register(beat(services, "old@a", "echo"))
        plan_id = run("plan", "submit", "three", "-t", "acme", "-o", "json").json["plan_id"]
        ran = run("plan", "show", plan_id, "-t", "acme")
        assert "3 tasks wait for the skill shout since " in ran.out
        assert "; no worker that takes them has it" in ran.out
        [wait] = run("plan", "show", plan_id, "-t", "acme", "-o", "json").json["waiting"]
        assert (wait["skill"], wait["waiting"], wait["count"], wait["workers"]) == ("shout", "tasks", 3, [])
        services.adapters.agents.register(beat(services, "new@a", "shout"))
        assert "; new@a has it" in run("plan", "show", plan_id, "-t", "acme").out
        services.adapters.agents.available = False
        assert run("plan", "show", plan_id, "-t", "acme", "-o", "json").json["waiting"][0]["workers"] is None

    def test_workers_that_do_not_take_the_tenant_s_tasks_do_not_count(self, run: Run, services: FakeServices) -> None:
        services.adapters.agents.register(beat(services, "old@a", "echo"))
        of_another = beat(services, "new@a", "shout").model_copy(update={"tenants": ("globex",)})
        services.adapters.agents.register(of_another)
        plan_id = run("plan", "submit", "three", "-t", "acme", "-o", "json").json["plan_id"]
        assert run("plan", "show", plan_id, "-t", "acme", "-o", "json").json["waiting"][0]["workers"] == []

    def test_tasks_that_every_worker_can_run_wait_for_no_skill(self, run: Run, services: FakeServices) -> None:
        old = beat(services, "old@a", "echo")
        services.adapters.agents.register(old)
        plan_id = run("plan", "submit", "three", "-t", "acme", "-o", "json").json["plan_id"]
        services.adapters.agents.register(old.model_copy(update={"skills": ("shout",)}))
        assert run("plan", "show", plan_id, "-t", "acme", "-o", "json").json["waiting"] == []

    def test_the_doctor_says_what_waits(self, run: Run, services: FakeServices) -> None:
        assert found(waiting) == [("ok", "nothing waits for a skill")]
        services.adapters.agents.register(beat(services, "old@a", "echo"))
        run("plan", "submit", "three", "-t", "acme")
        [(status, said)] = found(waiting)
        assert status == "WARN"
        assert said.startswith("acme: 3 tasks wait for the skill shout since ")
        assert said.endswith("; no worker that takes them has it")

    def test_of_a_tenant_that_is_isolated_only_workers_at_level_host_count(
        self, run: Run, services: FakeServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        services.adapters.agents.register(beat(services, "a@a", "echo"))
        plan_id = run("plan", "submit", "three", "-t", "acme", "-o", "json").json["plan_id"]
        services.adapters.policy_changes.apply(None, Policy(floor=Floor(isolated=("acme",))), "bob")
        show = ("plan", "show", plan_id, "-t", "acme")
        present: dict[str, WorkerNote] = {}
        monkeypatch.setattr(stack_workers, "present_workers", lambda: present)
        for name, level in (("a@a", "trusted"), ("b@a", "host")):
            services.adapters.agents.register(beat(services, name, "shout"))
            present[name] = note("tenant.acme", skills=frozenset({"shout"}), isolation=level)
            ran = run(*show)
            assert "3 tasks wait for a worker at level host with the skill shout since " in ran.out
            assert ("; b@a is one" if level == "host" else "; no worker that takes them is one") in ran.out
            [finding] = waiting("waiting")
            assert ("CHIMERA_ISOLATION=host" in str(finding.fix)) is (level == "trusted")
        [wait] = run(*show, "-o", "json").json["waiting"]
        assert (wait["isolated"], wait["workers"]) == (True, ["b@a"])
        task_id = run("task", "list", "-t", "acme", "-o", "json").json[0]["task_id"]
        assert "for a worker at level host with the skill shout" in run("task", "show", task_id, "-t", "acme").out
        assert run("task", "show", task_id, "-t", "acme", "-o", "json").json["waiting"] == [wait]
        # One with the tenant's own login says nothing of itself, and beats.
        del present["b@a"]
        assert run(*show, "-o", "json").json["waiting"][0]["workers"] == []
        monkeypatch.setattr(services.adapters.queue, "bound", lambda: {"acme"})
        assert run(*show, "-o", "json").json["waiting"][0]["workers"] == ["b@a"]


def found(check: Callable[[str], Iterator[Finding]]) -> list[tuple[str, str]]:
    return [(finding.status, finding.detail) for finding in check("c")]
