import re
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from chimera import Chimera, SkillFailed, Success, TaskSpec
from chimera.cli.task.view import history_json, reason_text, show_history
from chimera.errors import NothingToRetry, TaskNotFound
from chimera.models.ids import short_id
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.decision import Reason, Span, Verdict
from chimera.models.work.history import TaskAttempt, TaskDecision, TaskHistory
from chimera.models.work.planner import Planner
from chimera.models.work.skill import Skill
from chimera.models.work.task import TaskState
from tests.unit.cli.conftest import Run, decide
from tests.unit.cli.swarm import FakeServices

TENANT = ("-t", "acme")
JSON = ("-o", "json")
ATTEMPT, END = ("started", "result"), ("decided", "committed")
NOWHERE = f"tk_{'0' * 32}"


@pytest.fixture
def bad(catalogue: Catalogue) -> set[str]:
    """A planner `picky` of tasks that fail for the texts in this set, and are unsure of `?`."""
    refused: set[str] = set()

    def picky(text: str) -> Success[str]:
        if text in refused:
            raise SkillFailed(f"no {text}", code="too_hard", retryable=False)
        return Success(text, confidence=0.1 if text == "?" else 1.0)

    skill = Skill(picky, name="picky", max_batch=10, timeout_seconds=5, max_attempts=2)

    def plan(texts: list[str]) -> Iterator[TaskSpec]:
        yield from (skill.task(text=text) for text in texts)

    catalogue.add_skill(skill)
    catalogue.add_planner(Planner(plan, name="picky"))
    return refused


AGENTS = [f"ag_{number:032x}" for number in (1, 2)]


def lost_twice() -> TaskHistory:
    """A task of two attempts that ended because agents were lost."""
    at = [datetime(2026, 1, 1, second=second, tzinfo=UTC) for second in range(6)]
    decision = TaskDecision(
        attempt=2,
        verdict=Verdict.DENY,
        final=True,
        reasons=(Reason(rule="agent.lost"),),
        policy_version="p",
        decided_by="policy",
        decided_at=at[5],
        result_sha256=None,
        audit_seq=7,
    )
    return TaskHistory(
        tenant_id="acme",
        plan_id=UUID(int=8),
        task_id=UUID(int=9),
        wave_no=0,
        ordinal=0,
        skill="echo",
        state=TaskState.EXHAUSTED,
        attempt=2,
        max_attempts=2,
        trace_id="t",
        agent_id=UUID(int=2),
        lost=2,
        attempts=tuple(
            TaskAttempt(
                attempt=number,
                skill="echo",
                agent_id=UUID(int=number),
                taken_at=at[2 * number - 1],
                lost_at=at[2 * number],
            )
            for number in (1, 2)
        ),
        decisions=(decision,),
    )


def submitted(run: Run, texts: str = '["a","b"]') -> str:
    ran = run("plan", "submit", "picky", *TENANT, "--set", f"texts={texts}", *JSON)
    assert ran.code == 0, ran.err
    plan_id: str = ran.json["plan_id"]
    return plan_id


def tasks(run: Run, *options: str) -> list[str]:
    ran = run("task", "list", *TENANT, *options, *JSON)
    assert ran.code == 0, ran.err
    return [task["task_id"] for task in ran.json]


class TestList:
    def test_a_row_says_where_a_task_stands(self, run: Run, plan_id: str) -> None:
        ran = run("task", "list", *TENANT, "--state", "approved")
        assert ran.code == 0
        head, row = ran.out.splitlines()
        assert head.split() == ["TASK", "PLAN", "SKILL", "STATE", "ATTEMPT", "AGE", "TOOK"]
        assert row.split()[1:5] == [plan_id, "echo", "approved", "1/1"]

    def test_only_those_of_a_plan_a_state_a_skill(self, run: Run, bad: set[str], plan_id: str) -> None:
        bad.add("b")
        other = submitted(run)
        assert len(tasks(run)) == 5
        assert len(tasks(run, "--plan", plan_id)) == 3
        assert len(tasks(run, "--skill", "picky")) == 2
        [failed] = tasks(run, "--state", "exhausted")
        assert tasks(run, "--plan", other, "--state", "exhausted") == [failed]
        assert tasks(run, "--plan", plan_id, "--skill", "picky") == []

    def test_page_by_page(self, run: Run, plan_id: str) -> None:
        whole = tasks(run)
        ran = run("task", "list", *TENANT, "--limit", "2", "--plan", plan_id)
        assert f"the first 2; more: chimera task list --tenant acme --plan {plan_id} --after {whole[1]}" in ran.err
        assert tasks(run, "--limit", "2") == whole[:2]
        assert tasks(run, "--limit", "2", "--after", whole[1]) == whole[2:]

    def test_none(self, run: Run) -> None:
        ran = run("task", "list", *TENANT)
        assert (ran.code, ran.out, ran.err) == (0, "", "no such tasks of acme\n")

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            (("--state", "done"), 2),
            (("--plan", "pl_1"), 2),
            (("--after", "pl_1"), 2),
            (("--plan", f"pl_{'0' * 32}"), 3),
            (("--after", NOWHERE), 3),
            (("--limit", "0"), 2),
        ],
    )
    def test_what_is_wrong_has_its_exit_code(self, run: Run, options: tuple[str, ...], code: int) -> None:
        assert run("task", "list", *TENANT, *options).code == code


class TestShow:
    def test_what_the_gate_saw_with_its_threshold_value_and_place(self, run: Run, plan_id: str) -> None:
        _, unsure, secret = tasks(run, "--plan", plan_id)
        ran = run("task", "show", unsure, *TENANT)
        assert ran.code == 0, ran.err
        assert "confidence.below 0.40 < 0.7" in ran.out
        assert "hitl, not final" in ran.out
        ran = run("task", "show", secret, *TENANT)
        [why] = [line.strip() for line in ran.out.splitlines() if "keyword.password" in line]
        assert "output.said[3:11]" in why
        assert "my password" not in ran.out
        assert "next: chimera review show rc_" in ran.err

    def test_the_timeline_names_agents_decisions_and_people(self, run: Run, plan_id: str) -> None:
        [_, unsure, _] = tasks(run, "--plan", plan_id)
        card = run("review", "list", *TENANT, *JSON).json[0]["card_id"]
        assert decide(run, "approve", card, *TENANT, "--as", "ann").code == 0
        shown = run("task", "show", unsure, *TENANT, *JSON).json
        assert (shown["task_id"], shown["plan_id"], shown["state"]) == (unsure, plan_id, "approved")
        kinds = [event["kind"] for event in shown["timeline"]]
        assert sorted(kinds) == sorted(
            ["planned", "taken", *ATTEMPT, "decided", "card opened", "approved", "card closed", *END]
        )
        by = {event["actor"] for event in shown["timeline"] if event["kind"] == "decided"}
        assert by == {"policy", "ann"}
        [attempt] = shown["attempts"]
        assert attempt["agent_id"].startswith("ag_")
        assert attempt["agent_id"] == shown["agent_id"]
        assert shown["commit"]["result_sha256"] == attempt["result_sha256"]
        [why] = shown["decisions"][0]["reasons"]
        assert (why["rule"], why["threshold"], why["value"]) == ("confidence.below", 0.7, 0.4)

    def test_it_says_where_a_failing_skill_s_traceback_is(self, run: Run, bad: set[str]) -> None:
        bad.add("b")
        submitted(run)
        [task] = tasks(run, "--state", "exhausted")
        ran = run("task", "show", task, *TENANT)
        assert "failure too_hard: no b" in ran.out
        assert f"the line skill_failed with {task}" in ran.err
        assert f"next: chimera task retry {task} --tenant acme" in ran.err
        [attempt] = run("task", "show", task, *TENANT, *JSON).json["attempts"]
        assert attempt["traceback"]["event"] == "skill_failed"
        assert (attempt["traceback"]["task_id"], attempt["traceback"]["attempt"]) == (task, 1)

    def test_by_a_short_id(self, run: Run, plan_id: str) -> None:
        [task, *_] = tasks(run, "--plan", plan_id)
        assert run("task", "show", short_id(task), *TENANT, *JSON).json["task_id"] == task
        assert tasks(run, "--plan", short_id(plan_id), "--limit", "1") == [task]

    def test_it_names_who_lost_each_attempt_and_when(self, capsys: pytest.CaptureFixture[str]) -> None:
        shown = lost_twice()
        show_history(shown)
        out = capsys.readouterr().out
        assert re.search(r"^lost +2 attempts, with their agents$", out, re.MULTILINE)
        _, rows = out.split("TIME", 1)
        table = [line.split()[2:] for line in rows.splitlines()[1:] if line.startswith("2026")]
        assert [row[:3] for row in table] == [
            ["taken", "1", AGENTS[0]],
            ["lost", "1", AGENTS[0]],
            ["taken", "2", AGENTS[1]],
            ["lost", "2", AGENTS[1]],
            ["decided", "2", "policy"],
        ]
        assert table[-1][-1] == AGENTS[1], "whose attempt it decides on"
        attempts = history_json(shown)["attempts"]
        assert [attempt["agent_id"] for attempt in attempts] == AGENTS
        assert [attempt["taken_at"] for attempt in attempts] == ["2026-01-01T00:00:01Z", "2026-01-01T00:00:03Z"]
        assert [attempt["lost_at"] for attempt in attempts] == ["2026-01-01T00:00:02Z", "2026-01-01T00:00:04Z"]

    def test_an_answer_has_no_traceback(self, run: Run, plan_id: str) -> None:
        [fine, *_] = tasks(run, "--plan", plan_id)
        ran = run("task", "show", fine, *TENANT)
        assert "skill_failed" not in ran.out + ran.err
        assert run("task", "show", fine, *TENANT, *JSON).json["attempts"][0]["traceback"] is None

    @pytest.mark.parametrize(("task", "code"), [(NOWHERE, 3), ("tk_1", 2), (f"pl_{'0' * 32}", 2)])
    def test_what_is_no_task(self, run: Run, task: str, code: int) -> None:
        ran = run("task", "show", task, *TENANT)
        assert (ran.code, ran.out) == (code, "")

    def test_a_rule_with_several_places(self) -> None:
        spans = (Span(path="output.a", start=0, end=3), Span(path="output.b.0", start=4, end=9))
        assert reason_text(Reason(rule="pii.email", spans=spans)) == "pii.email in output.a[0:3], output.b.0[4:9]"
        assert reason_text(Reason(rule="output.schema", value="x: missing")) == "output.schema x: missing"


class TestRetry:
    def test_a_new_plan_of_that_one_task(self, run: Run, bad: set[str]) -> None:
        bad.update("ab")
        plan_id = submitted(run)
        first, second = tasks(run, "--plan", plan_id)
        bad.clear()
        ran = run("task", "retry", second, *TENANT, *JSON)
        assert ran.code == 0, ran.err
        [made] = ran.json
        assert (made["retry_of"], made["tasks"], made["created"]) == (plan_id, 1, True)
        [copy] = run("task", "list", *TENANT, "--plan", made["plan_id"], *JSON).json
        assert (copy["parent_task_id"], copy["state"]) == (second, "approved")
        assert run("task", "show", second, *TENANT, *JSON).json["retried_as"] == [copy["task_id"]]
        assert run("task", "show", first, *TENANT, *JSON).json["retried_as"] == []

    def test_twice_is_the_same_plan_and_another_task_another(self, run: Run, bad: set[str]) -> None:
        bad.update("ab")
        first, second = tasks(run, "--plan", submitted(run))
        made, same, other = (run("task", "retry", task, *TENANT, *JSON).json[0] for task in (second, second, first))
        assert (same["plan_id"], same["created"]) == (made["plan_id"], False)
        assert other["created"]
        assert other["plan_id"] != made["plan_id"]

    def test_what_is_committed_is_not_tried_again(self, run: Run, plan_id: str) -> None:
        [fine, unsure, _] = tasks(run, "--plan", plan_id)
        ran = run("task", "retry", fine, *TENANT)
        assert (ran.code, ran.out) == (5, "")
        assert f"task {fine} is approved, its result is committed" in ran.err
        ran = run("task", "retry", unsure, *TENANT)
        assert ran.code == 5
        assert f"task {unsure} is in_review: it can be tried again when it has ended" in ran.err

    def test_what_is_no_task(self, run: Run) -> None:
        assert run("task", "retry", NOWHERE, *TENANT).code == 3


class TestPython:
    def test_a_plan_s_tasks_and_one_task_s_history(self, run: Run, services: FakeServices, bad: set[str]) -> None:
        bad.add("b")
        chimera = Chimera(services)
        handle = chimera.plan("acme", submitted(run))
        states = [task.state for task in handle.tasks()]
        assert states == ["approved", "exhausted"]
        [failed] = handle.tasks(state=states[1])
        task_id = f"tk_{failed.task_id.hex}"
        history = chimera.task("acme", task_id)
        assert next(event.kind for event in history.timeline()) == "planned"
        bad.clear()
        retried = chimera.retry_task("acme", task_id)
        assert retried.created
        assert [task.parent_task_id for task in retried.tasks()] == [failed.task_id]

    def test_what_it_raises(self, run: Run, services: FakeServices, plan_id: str) -> None:
        chimera = Chimera(services)
        with pytest.raises(TaskNotFound):
            chimera.task("acme", NOWHERE)
        [fine, *_] = tasks(run, "--plan", plan_id)
        with pytest.raises(NothingToRetry):
            chimera.retry_task("acme", fine)
