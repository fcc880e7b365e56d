import io
import json
import sys
from collections.abc import Iterator

import pytest

from chimera import SkillFailed, Success, TaskSpec
from chimera.models.ids import IdKind, parse_id
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.planner import Planner
from chimera.models.work.skill import Skill
from chimera.models.work.wave import WaveRef
from tests.unit.cli.conftest import Run, decide
from tests.unit.cli.swarm import FakeServices

TENANT = ("-t", "acme")
JSON = ("-o", "json")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def bad(catalogue: Catalogue) -> set[str]:
    """A planner `picky` of skills that refuse the texts in this set."""
    refused: set[str] = set()

    def picky(text: str) -> Success[str]:
        if text in refused:
            raise SkillFailed("no", retryable=False)
        return Success(text, confidence=0.1 if text == "?" else 1.0)

    skill = Skill(picky, name="picky", max_batch=10, timeout_seconds=5, max_attempts=1)

    def plan(texts: list[str], chain: list[str] = []) -> Iterator[TaskSpec]:  # noqa: B006
        yield from (skill.task(text=text) for text in texts)
        before: tuple[TaskSpec, ...] = ()
        for text in chain:
            spec = skill.task(text=text).options(depends_on=before)
            before = (spec,)
            yield spec

    catalogue.add_skill(skill)
    catalogue.add_planner(Planner(plan, name="picky"))
    return refused


def submitted(run: Run, *more: str, texts: str = '["a","b"]') -> str:
    ran = run("plan", "submit", "picky", *TENANT, "--set", f"texts={texts}", *more, *JSON)
    assert ran.code == 0, ran.err
    plan_id: str = ran.json["plan_id"]
    return plan_id


@pytest.fixture
def waiting(run: Run, services: FakeServices, bad: set[str]) -> list[str]:
    """Three plans whose messages are lost: two of session s, one of none."""
    services.queue.room = 0
    plans = [submitted(run, "--session", "s"), submitted(run, "--session", "s"), submitted(run)]
    services.queue.room = 1000
    return plans


class TestWhich:
    @pytest.mark.parametrize("verb", [("cancel",), ("pause",), ("resume",), ("retry", "--failed")])
    @pytest.mark.parametrize("which", [(), ("pl_1", "--all"), ("--session", "s", "--all"), ("pl_1", "--session", "s")])
    def test_exactly_one_of_three(self, run: Run, verb: tuple[str, ...], which: tuple[str, ...]) -> None:
        ran = run("plan", *verb, *which, *TENANT)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("error: which plans? Name one, or --session NAME, or --all")

    def test_all_needs_a_yes_where_nobody_can_be_asked(
        self, run: Run, waiting: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
        ran = run("plan", "cancel", "--all", *TENANT)
        assert (ran.code, ran.out) == (2, "")
        assert "would cancel every open plan of acme: --all needs --yes" in ran.err

    @pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("YES\n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
    def test_on_a_terminal_all_is_asked_for(
        self, run: Run, waiting: list[str], monkeypatch: pytest.MonkeyPatch, answer: str, code: int
    ) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        ran = run("plan", "pause", "--all", *TENANT, *JSON)
        assert ran.code == code
        assert "pause every open plan of acme? [y/N]" in ran.err
        assert ("nothing was changed" in ran.err) is (code == 1)
        assert len(json.loads(ran.out or "[]")) == (3 if code == 0 else 0)

    def test_another_tenant_s_plan(self, run: Run, waiting: list[str]) -> None:
        for verb in ("cancel", "pause", "resume"):
            assert run("plan", verb, waiting[0], "-t", "globex").code == 3
        assert run("plan", "retry", waiting[0], "--failed", "-t", "globex").code == 3


class TestPause:
    def test_a_plan_that_is_paused_shows_it(self, run: Run, waiting: list[str]) -> None:
        ran = run("plan", "pause", waiting[0], *TENANT, "--as", "ana")
        assert ran.code == 0
        assert ran.out.splitlines()[1].split() == [waiting[0], "submitted", "(paused)"]
        assert ran.err == f"next: chimera plan resume {waiting[0]} --tenant acme\n"
        shown = run("plan", "show", waiting[0], *TENANT)
        assert "submitted (paused)" in shown.out
        assert "Z by ana" in shown.out
        assert shown.err == f"next: chimera plan resume {waiting[0]} --tenant acme\n"
        as_json = run("plan", "show", waiting[0], *TENANT, *JSON).json
        assert (as_json["state"], as_json["paused"], as_json["paused_by"]) == ("submitted", True, "ana")
        assert "submitted (paused)" in run("plan", "list", *TENANT).out

    def test_waiting_for_a_paused_plan_says_so(self, run: Run, waiting: list[str]) -> None:
        run("plan", "pause", waiting[0], *TENANT)
        for verb in ("wait", "watch"):
            ran = run("plan", verb, waiting[0], *TENANT, "--timeout", "0.05")
            assert ran.code == 124
            assert "is still submitted (paused) after 0.05 s; what it waits for: chimera plan show pl_" in ran.err

    def test_resume(self, run: Run, waiting: list[str]) -> None:
        run("plan", "pause", waiting[0], *TENANT)
        ran = run("plan", "resume", waiting[0], *TENANT, *JSON)
        assert ran.json == [{"plan_id": waiting[0], "state": "submitted", "paused": False}]
        assert run("plan", "wait", waiting[0], *TENANT, *JSON).json["counts"]["committed"] == 2
        assert run("plan", "resume", waiting[0], *TENANT).code == 5
        assert run("plan", "pause", waiting[0], *TENANT).code == 5

    def test_a_session(self, run: Run, waiting: list[str]) -> None:
        ran = run("plan", "pause", "--session", "s", *TENANT)
        assert [line.split()[0] for line in ran.out.splitlines()[1:]] == waiting[:2]
        assert ran.err == "next: chimera plan resume --session s --tenant acme\n"
        again = run("plan", "pause", "--session", "s", *TENANT)
        assert (again.code, again.out) == (0, "")
        assert again.err == "no open plans of acme in session s that are not paused already\n"
        assert len(run("plan", "resume", "--session", "s", *TENANT, *JSON).json) == 2
        assert run("plan", "resume", "--session", "s", *TENANT, *JSON).json == []
        listed = run("plan", "list", "--session", "s", *TENANT, *JSON).json
        assert {plan["state"] for plan in listed} == {"completed"}
        assert run("plan", "list", "--session", "t", *TENANT).err == "no plans of acme in session t\n"

    def test_all(self, run: Run, waiting: list[str]) -> None:
        ran = run("plan", "pause", "--all", "--yes", *TENANT)
        assert len(ran.out.splitlines()) == 4
        assert ran.err == "next: chimera plan resume --all --tenant acme\n"


class TestCancel:
    def test_a_session(self, run: Run, waiting: list[str]) -> None:
        ran = run("plan", "cancel", "--session", "s", *TENANT, *JSON)
        assert [(plan["plan_id"], plan["state"]) for plan in ran.json] == [
            (plan_id, "cancelled") for plan_id in waiting[:2]
        ]
        assert run("plan", "show", waiting[2], *TENANT, *JSON).json["state"] == "submitted"
        assert run("plan", "cancel", "--session", "s", *TENANT).err == "no open plans of acme in session s\n"

    def test_all(self, run: Run, waiting: list[str], plan_id: str) -> None:
        ran = run("plan", "cancel", "--all", "-y", *TENANT)
        rows = [line.split() for line in ran.out.splitlines()[1:]]
        assert rows == [[plan, "cancelled"] for plan in waiting] + [[plan_id, "stopping"]]
        assert ran.err == "open tasks are being closed: chimera plan list --tenant acme\n"
        assert run("plan", "cancel", "--all", "-y", *TENANT, *JSON).json == []
        assert run("review", "list", *TENANT, *JSON).json == []


class TestRetry:
    def test_what_failed_and_nothing_else(self, run: Run, bad: set[str]) -> None:
        bad.add("b")
        old = submitted(run)
        bad.clear()
        ran = run("plan", "retry", old, "--failed", *TENANT)
        assert ran.code == 0, ran.err
        new = ran.out.splitlines()[1].split()
        assert new[1:] == [old, "1", "running"]
        assert ran.err == f"next: chimera plan watch {new[0]} --tenant acme\n"
        results = run("plan", "results", new[0], *TENANT, *JSON).json
        assert [(row["state"], row["output"]) for row in results] == [("approved", "b")]
        shown = run("plan", "show", new[0], *TENANT)
        assert f"retry of   {old}" in shown.out
        assert run("plan", "show", new[0], *TENANT, *JSON).json["retry_of"] == old

    def test_twice_is_once(self, run: Run, bad: set[str]) -> None:
        bad.add("b")
        old = submitted(run)
        first = run("plan", "retry", old, "--failed", *TENANT, *JSON).json
        again = run("plan", "retry", old, "--failed", *TENANT, *JSON).json
        assert [plan["created"] for plan in first + again] == [True, False]
        assert again[0]["plan_id"] == first[0]["plan_id"]
        assert "it was there already" in run("plan", "retry", old, "--failed", *TENANT).out

    def test_a_planner_that_failed(self, run: Run) -> None:
        run("plan", "submit", "broken", *TENANT)
        old = run("plan", "list", *TENANT, *JSON).json[0]["plan_id"]
        ran = run("plan", "retry", old, "--failed", *TENANT)
        assert "not planned yet" in ran.out

    def test_what_is_left_out_is_told(self, run: Run, bad: set[str], services: FakeServices) -> None:
        bad.add("b")
        old = submitted(run, "--set", 'chain=["?","then"]')
        [card] = run("review", "list", *TENANT, *JSON).json
        decide(run, "deny", card["card_id"], *TENANT, "--reason", "no")
        wave = WaveRef(tenant_id="acme", plan_id=parse_id(IdKind.PLAN, old), wave_no=0)
        services.queue.publish_judge(wave)  # as the sweep has the next wave sent
        counts = run("plan", "show", old, *TENANT, *JSON).json["counts"]
        assert (counts["denied"], counts["failed"]) == (1, 2)
        ran = run("plan", "retry", old, "--failed", *TENANT)
        assert ran.out.splitlines()[1].split()[2] == "1"
        assert f"left out: 1 tasks of {old} that depend on tasks that are not tried again\n" in ran.err

    def test_a_session(self, run: Run, bad: set[str]) -> None:
        bad.add("b")
        plans = [submitted(run, "--session", "s"), submitted(run, "--session", "s")]
        submitted(run)
        ran = run("plan", "retry", "--session", "s", "--failed", "--denied", "--stopped", *TENANT, *JSON)
        assert [plan["retry_of"] for plan in ran.json] == plans
        assert run("plan", "retry", "--session", "t", "--failed", *TENANT, *JSON).json == []
        assert (
            run("plan", "retry", "--session", "t", "--failed", *TENANT).err
            == "nothing of acme in session t is to be tried again\n"
        )

    def test_the_deadline_is_the_new_plan_s_own(self, run: Run, bad: set[str]) -> None:
        bad.add("b")
        old = submitted(run)
        ran = run("plan", "retry", old, "--failed", "--deadline", "2126-03-01T12:00Z", *TENANT, *JSON)
        new = run("plan", "show", ran.json[0]["plan_id"], *TENANT, *JSON).json
        assert new["deadline"] == "2126-03-01T12:00:00Z"
        assert run("plan", "retry", old, "--failed", "--deadline", "soon", *TENANT).code == 2

    def test_what_cannot_be_tried_again(self, run: Run, bad: set[str]) -> None:
        old = submitted(run, texts="[]")
        ran = run("plan", "retry", old, *TENANT)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("error: say what is to be tried again: failed, denied, stopped")
        ran = run("plan", "retry", old, "--failed", *TENANT, *JSON)
        assert (ran.code, ran.out) == (5, "")
        assert json.loads(ran.err.splitlines()[-1])["code"] == "NothingToRetry"
