import json
import re
from pathlib import Path

import pytest

from chimera.models.ids import short_id
from tests.unit.cli.conftest import OnTerminal, Run, decide
from tests.unit.cli.swarm import FakeServices

TENANT = ("-t", "acme")
JSON = ("-o", "json")


class TestPlan:
    def test_submit_says_the_id_and_what_is_next(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "m.csv").write_text("text,confidence\nhi,0.9\n")
        ran = run("plan", "submit", "echoes", *TENANT, "--input", str(tmp_path / "m.csv"), "--goal", "g")
        assert ran.code == 0
        plan_id, word = ran.out.split()
        assert (plan_id[:3], word) == ("pl_", "submitted")
        assert ran.err == f"next: chimera plan watch {plan_id} --tenant acme\n"

    def test_the_same_key_again_is_the_same_plan(self, run: Run) -> None:
        submit = ("plan", "submit", "echoes", *TENANT, "--set", "rows=[]", "--key", "k")
        first, second = run(*submit, *JSON), run(*submit)
        assert first.json["created"] is True
        assert second.code == 0
        assert second.out == f"{first.json['plan_id']}  already submitted (key k)\n"
        other = run(*submit, "--goal", "another", *JSON)
        assert other.code == 5
        assert json.loads(other.err.splitlines()[-1])["code"] == "IdempotencyConflict"

    def test_submit_and_watch(self, run: Run) -> None:
        ran = run("plan", "submit", "echoes", *TENANT, "--set", 'rows=[{"text":"a","confidence":"1"}]', "--watch")
        assert ran.code == 0
        assert "1: 1 committed, 0 in review, 0 denied, 0 failed" in ran.out
        assert "next: chimera plan results pl_" in ran.err
        ran = run("plan", "submit", "echoes", *TENANT, "--set", 'rows=[{"text":"a","confidence":"1"}]', "-w", *JSON)
        assert (ran.json["created"], ran.json["state"], ran.json["counts"]["committed"]) == (True, "completed", 1)

    def test_a_plan_of_no_rows_completes_and_says_so(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "m.jsonl").write_text("")
        ran = run("plan", "submit", "echoes", *TENANT, "-i", str(tmp_path / "m.jsonl"), "--watch")
        assert ran.code == 0
        assert "no rows: the plan completes at once" in ran.err
        assert "none: there was nothing to do" in ran.out

    def test_a_plan_that_fails(self, run: Run) -> None:
        ran = run("plan", "submit", "broken", *TENANT, "--watch")
        assert ran.code == 6
        assert "planner_raised: RuntimeError: no steps today" in ran.out
        assert ran.err.splitlines()[-1].startswith("error: plan pl_")

    def test_a_plan_whose_tasks_all_failed_says_so_and_ends_with_6(self, run: Run) -> None:
        # Text that no skill takes: each attempt fails.
        rows = json.dumps([{"text": "fail", "confidence": "0.9"}] * 2 + [{"text": "fine", "confidence": "0.9"}])
        ran = run("plan", "submit", "echoes", *TENANT, "--set", f"rows={rows}", "--watch", *JSON)
        assert (ran.code, ran.json["state"], ran.json["counts"]["failed"]) == (6, "completed_with_failures", 2)
        plan = ran.json["plan_id"]
        assert json.loads(ran.err.splitlines()[-1])["code"] == "PlanFailed"
        waited = run("plan", "wait", plan, *TENANT)
        assert waited.code == 6
        assert "completed with failures" in waited.out
        assert waited.err.splitlines() == [
            f"next: chimera plan results {plan} --tenant acme",
            f"or:   chimera plan retry {plan} --failed --tenant acme",
            f"error: plan {plan} completed with failures (2 of 3 tasks came to no answer)",
        ]
        listed = run("plan", "list", *TENANT, "--state", "completed_with_failures", *JSON).json
        assert [each["plan_id"] for each in listed] == [plan]
        assert run("plan", "retry", plan, "--failed", *TENANT).code == 0

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["nobody-knows-it", *TENANT], 2, "no planner named 'nobody-knows-it'; registered: broken, echoes"),
            (["echoes", "-t", "globex", "--set", "rows=[]"], 3, "There is no such tenant"),
            (["echoes", *TENANT, "--set", "rows=1"], 2, "planner 'echoes': inputs do not fit: rows:"),
            (["echoes", *TENANT, "--timeout", "1"], 2, "--timeout is for --watch"),
            (["echoes", *TENANT, "--deadline", "soon"], 2, "--deadline soon"),
            (["echoes", *TENANT, "--input", "none.csv"], 2, "none.csv: there is no such file"),
        ],
    )
    def test_what_cannot_be_submitted(self, arguments: list[str], code: int, said: str, run: Run) -> None:
        ran = run("plan", "submit", *arguments)
        assert ran.code == code
        assert ran.out == ""
        assert ran.err.startswith(f"error: {said}")

    def test_columns_of_other_names(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "m.csv").write_text("body,confidence\nhi,0.9\n")
        submit = ("plan", "submit", "echoes", *TENANT, "-i", str(tmp_path / "m.csv"))
        ran = run(*submit, "--column", "text=body", "--watch", *JSON)
        assert (ran.code, ran.json["counts"]["committed"]) == (0, 1)
        assert run(*submit, "--column", "text=no").code == 2
        # CSV's columns are texts, and the planner wants texts only.
        (tmp_path / "m.jsonl").write_text('{"body": 1, "confidence": "0.9"}\n')
        refused = run(*submit[:-1], str(tmp_path / "m.jsonl"), "--column", "text=body")
        assert refused.code == 2
        assert refused.err.endswith("rows.0.text: Input should be a valid string ('text' is the file's 'body')\n")
        assert "for the rows of --input" in run("plan", "submit", "echoes", *TENANT, "--column", "text=body").err

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["nobody-knows-it", *TENANT, "--set", "rows=[]"], 2, "no planner named 'nobody-knows-it'"),
            (["echoes", "-t", "globex", "--set", "rows=[]"], 3, "There is no such tenant"),
            (["echoes", *TENANT, "--set", "rows=1"], 2, "planner 'echoes': inputs do not fit: rows:"),
            (["echoes", *TENANT, "--set", "rows=[]", "--deadline", "2026-01-01T00:00Z"], 2, "the deadline 2026-01-01T"),
            (["echoes", *TENANT, "--set", "rows=[]", "--session", "ended"], 5, ""),
            (["echoes", *TENANT, "--set", "rows=[]", "--key", "k"], 5, "This idempotency key"),
            (["echoes", *TENANT, "--set", "rows=[]", "--goal", "g" * 10_001], 2, "the request is not valid: goal"),
        ],
    )
    def test_a_dry_run_refuses_what_submit_refuses(
        self, arguments: list[str], code: int, said: str, run: Run, services: FakeServices
    ) -> None:
        run("plan", "submit", "echoes", *TENANT, "--set", "rows=[]", "--key", "k", "--goal", "another")
        run("plan", "submit", "echoes", *TENANT, "--set", "rows=[]", "--session", "ended")
        assert run("session", "stop", "ended", *TENANT).code == 0
        before = len(services.adapters.plans.list_plans("acme", 100))
        for dry in ((), ("--dry-run",)):
            ran = run("plan", "submit", *arguments, *dry)
            assert (ran.code, ran.out) == (code, "")
            assert ran.err.startswith(f"error: {said}"), ran.err
        assert len(services.adapters.plans.list_plans("acme", 100)) == before

    def test_a_dry_run_stores_nothing(self, run: Run, services: FakeServices) -> None:
        entries = len(services.adapters.plans.last_entries("acme", 100))
        ran = run("plan", "submit", "echoes", *TENANT, "--set", "rows=[]", "--session", "new", "--dry-run")
        assert ran.code == 0
        assert len(services.adapters.plans.last_entries("acme", 100)) == entries

    def test_a_key_in_the_file_and_on_the_line(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "m.csv").write_text("text,confidence\n")
        ran = run("plan", "submit", "echoes", *TENANT, "-i", str(tmp_path / "m.csv"), "--set", "rows=[]")
        assert ran.code == 2
        assert "--set rows: " in ran.err

    def test_list(self, run: Run, plan_id: str) -> None:
        ran = run("plan", "list", *TENANT)
        assert ran.out.splitlines()[0].split() == ["PLAN", "PLANNER", "STATE", "GATED", "REVIEW", "FAILED", "AGE"]
        assert ran.out.splitlines()[1].split()[:6] == [plan_id, "echoes", "in_review", "3/3", "2", "0"]
        assert [plan["plan_id"] for plan in run("plan", "list", *TENANT, *JSON).json] == [plan_id]
        assert run("plan", "list", *TENANT, "--state", "failed").err == "no plans of acme that are failed\n"
        assert run("plan", "list", *TENANT, "--state", "lost").code == 2

    def test_show(self, run: Run, plan_id: str) -> None:
        ran = run("plan", "show", plan_id, *TENANT)
        assert "3: 1 committed, 2 in review, 0 denied, 0 failed" in ran.out
        assert ran.err == f"next: chimera review list --tenant acme --plan {plan_id}\n"
        assert run("plan", "show", plan_id, *TENANT, *JSON).json["counts"]["in_review"] == 2

    def test_of_another_tenant_there_is_no_such_plan(self, run: Run, plan_id: str) -> None:
        assert run("plan", "show", plan_id, "-t", "globex").code == 3
        assert run("plan", "show", "pl_1", *TENANT).code == 2

    def test_watch_in_json_is_one_event_a_line(self, run: Run, plan_id: str) -> None:
        events = [json.loads(line) for line in run("plan", "watch", plan_id, *TENANT, *JSON).out.splitlines()]
        assert [event["kind"] for event in events[:2]] == ["plan.submitted", "plan.planned"]
        decided = [event for event in events if event["kind"] == "task.decided"]
        assert len(decided) == 3
        assert all(event["task_id"].startswith("tk_") for event in decided)

    def test_watch_and_wait_for_people(self, run: Run, plan_id: str) -> None:
        assert run("plan", "watch", plan_id, *TENANT).code == 0
        ran = run("plan", "wait", plan_id, *TENANT, *JSON)
        assert (ran.code, ran.json["state"]) == (0, "in_review")

    def test_a_wait_that_is_too_long(self, run: Run, services: FakeServices) -> None:
        services.queue.room = 0
        ran = run("plan", "submit", "echoes", *TENANT, "--set", "rows=[]", "--watch", "--timeout", "0.05", *JSON)
        assert ran.code == 124
        assert json.loads(ran.err.splitlines()[-1])["code"] == "WaitTimeout"
        plan_id = run("plan", "list", *TENANT, *JSON).json[0]["plan_id"]
        assert run("plan", "wait", plan_id, *TENANT, "--timeout", "0").code == 124
        assert run("plan", "show", plan_id, *TENANT).err.startswith("next: chimera plan watch")

    def test_cancel(self, run: Run, plan_id: str) -> None:
        assert run("plan", "cancel", plan_id, *TENANT, "--as", "ana").code == 0
        ran = run("plan", "wait", plan_id, *TENANT, *JSON)
        assert (ran.code, ran.json["state"], ran.json["counts"]["cancelled"]) == (6, "cancelled", 2)
        again = run("plan", "cancel", plan_id, *TENANT, *JSON)
        assert again.json == [{"plan_id": plan_id, "state": "cancelled", "paused": False}]
        assert run("plan", "cancel", plan_id, *TENANT, "--as", " ").code == 2

    def test_one_that_has_ended_is_not_cancelled(self, run: Run) -> None:
        plan_id = run("plan", "submit", "echoes", *TENANT, "--set", "rows=[]", *JSON).json["plan_id"]
        assert run("plan", "cancel", plan_id, *TENANT).code == 5

    def test_results(self, run: Run, plan_id: str) -> None:
        rows = run("plan", "results", plan_id, *TENANT, *JSON).json
        assert [row["state"] for row in rows] == ["approved", "in_review", "in_review"]
        assert rows[0]["output"] == {"said": "fine", "loud": "FINE"}
        assert (rows[0]["confidence"], rows[0]["label"], rows[0]["failure"]) == (0.9, {"said": "fine"}, None)
        assert len(run("plan", "results", plan_id, *TENANT, "--limit", "1", *JSON).json) == 1
        assert len(run("plan", "results", plan_id, *TENANT, "--state", "in_review", *JSON).json) == 2
        table = run("plan", "results", plan_id, *TENANT).out.splitlines()
        assert table[0].split() == ["TASK", "STATE", "CONF", "OUTPUT"]
        assert table[1].split(maxsplit=3)[1:] == ["approved", "0.90", '{"loud": "FINE", "said": "fine"}']
        assert run("plan", "results", plan_id, *TENANT, "--state", "denied", *JSON).json == []
        assert run("plan", "results", plan_id, *TENANT, "--state", "denied").err == "no such results\n"

    def test_score(self, run: Run, plan_id: str) -> None:
        scored = run("plan", "results", plan_id, *TENANT, "--score", *JSON).json
        assert scored["committed"] == {"tasks": 1, "labelled": 1, "right": 1, "accuracy": 1.0}
        assert scored["in_review"] == {"tasks": 2, "labelled": 1, "right": 0, "accuracy": 0.0}
        assert scored["all"] == {"tasks": 3, "labelled": 2, "right": 1, "accuracy": 0.5}
        table = [line.split() for line in run("plan", "results", plan_id, *TENANT, "--score").out.splitlines()]
        assert table[1] == ["committed", "1", "1", "1", "100.0%"]
        assert table[-1] == ["all", "3", "2", "1", "50.0%"]
        assert run("plan", "results", plan_id, *TENANT, "--score", "--limit", "1").code == 2

    def test_where_the_store_is_away(self, run: Run, services: FakeServices) -> None:
        services.database.available = False
        ran = run("plan", "list", *TENANT)
        assert ran.code == 1
        assert "`chimera up`" in ran.err


class TestReview:
    @pytest.fixture
    def cards(self, run: Run, plan_id: str) -> list[str]:
        """The card of low confidence, and that of the keyword."""
        cards = run("review", "list", *TENANT, "--plan", plan_id, *JSON).json
        return [card["card_id"] for card in sorted(cards, key=lambda card: str(card["reasons"][0]["rule"]))]

    def test_list(self, run: Run, cards: list[str]) -> None:
        ran = run("review", "list", *TENANT)
        assert "confidence.below 0.40 < 0.7" in ran.out
        assert "keyword.password in input.text, output.loud, output.said" in ran.out
        assert f"chimera review show {cards[0]} --tenant acme" in ran.err
        assert run("review", "list", *TENANT, "--status", "denied", *JSON).json == []
        assert run("review", "list", *TENANT, "--status", "denied").err == "no denied review cards of acme\n"
        assert len(run("review", "list", *TENANT, "--status", "all", "--limit", "1", *JSON).json) == 1
        assert run("review", "list", *TENANT, "--status", "lost").code == 2

    def test_show_marks_what_was_found(self, run: Run, cards: list[str]) -> None:
        ran = run("review", "show", cards[1], *TENANT)
        assert "  text: my >>password<<\n" in ran.out
        assert "  loud: MY >>PASSWORD<<\n" in ran.out
        assert "  0: heard it\n" in ran.out
        shown = run("review", "show", cards[1], *TENANT, *JSON).json
        seen = f"--version {shown['version']} --sha {shown['result_sha256'][:16]}"
        assert f"chimera review approve {cards[1]} {seen} --tenant acme" in ran.err
        assert f"version     {shown['version']}\nsha         {shown['result_sha256']}\n" in ran.out
        assert shown["output"] == {"said": "my password", "loud": "MY PASSWORD"}
        assert shown["reasons"][0]["spans"][0] == {"path": "input.text", "start": 3, "end": 11}

    def test_hostile_text_is_shown_and_does_nothing(self, run: Run) -> None:
        hostile = "[red]x[/] \x1b[2J\u202egnp.exe\u200b\r\nnext\x9b1m"
        rows = [{"text": hostile, "confidence": "0.1"}]
        run("plan", "submit", "echoes", *TENANT, "--set", f"rows={json.dumps(rows)}")
        card = run("review", "list", *TENANT, *JSON).json[0]["card_id"]
        ran = run("review", "show", card, *TENANT)
        assert "  text: [red]x[/] <U+001B>[2J<U+202E>gnp.exe<U+200B>\n    next<U+009B>1m\n" in ran.out
        as_json = run("review", "show", card, *TENANT, *JSON)
        assert as_json.out.isascii()
        assert as_json.json["input"]["text"] == hostile

    def test_a_large_field_is_cut_around_what_was_found(self, run: Run) -> None:
        text = "a" * 300_000 + " my password is x " + "b" * 100_000
        rows = [{"text": text, "confidence": "0.9"}]
        run("plan", "submit", "echoes", *TENANT, "--set", f"rows={json.dumps(rows)}")
        card = run("review", "list", *TENANT, *JSON).json[0]["card_id"]
        ran = run("review", "show", card, *TENANT)
        assert len(ran.out) < 20_000
        assert " my >>password<< is x " in ran.out
        assert "[... 297,884 characters ...]" in ran.out
        assert ran.err.splitlines()[:3] == [
            f"cut: {name} shows 2,248 of 400,018 characters" for name in ("input.text", "output.loud", "output.said")
        ]
        assert f"all of it: chimera review show {card} --tenant acme --full" in ran.err
        assert ran.err.index("all of it") < ran.err.index("next:")
        whole = run("review", "show", card, *TENANT, "--full")
        assert "a" * 300_000 + " my >>password<< is x " in whole.out
        assert "cut:" not in whole.err
        assert run("review", "show", card, *TENANT, *JSON).json["input"]["text"] == text

    def test_of_many_values_the_first_are_shown(self, run: Run) -> None:
        rows = [{"text": "t", "confidence": "0.1"}]
        run("plan", "submit", "echoes", *TENANT, "--set", f"rows={json.dumps(rows)}")
        card = run("review", "list", *TENANT, *JSON).json[0]["card_id"]
        better = json.dumps({"said": "t", "loud": "T"} | {f"k{number:04}": "v" for number in range(1000)})
        decide(run, "edit", card, *TENANT, "--to", better)
        ran = run("review", "show", card, *TENANT)
        assert "cut: output shows 200 of 1,002 values" in ran.err
        assert "k0999" not in ran.out
        assert "k0999" in run("review", "show", card, *TENANT, "--full").out

    def test_approve_once(self, run: Run, cards: list[str], plan_id: str) -> None:
        ran = decide(run, "approve", cards[0], *TENANT, "--as", "ana", "--reason", "looks right", *JSON)
        assert (ran.json["status"], ran.json["decided_by"], ran.json["note"]) == ("approved", "ana", "looks right")
        assert decide(run, "approve", cards[0], *TENANT).code == 5
        assert run("plan", "show", plan_id, *TENANT, *JSON).json["counts"]["committed"] == 2

    def test_deny_needs_a_reason(self, run: Run, cards: list[str]) -> None:
        assert decide(run, "deny", cards[0], *TENANT).code == 2
        assert decide(run, "deny", cards[0], *TENANT, "--reason", " ").code == 2
        ran = decide(run, "deny", cards[0], *TENANT, "--reason", "wrong")
        assert ran.code == 0
        assert ran.out.splitlines()[1].split()[:2] == [cards[0], "denied"]
        assert "next:" not in run("review", "show", cards[0], *TENANT).err

    def test_no_such_card(self, run: Run, cards: list[str]) -> None:
        assert run("review", "show", "rc_" + "0" * 32, *TENANT).code == 3
        assert run("review", "approve", "rc_x", *TENANT).code == 2
        assert run("review", "show", cards[0], "-t", "globex").code == 3


class TestShortIds:
    def test_a_short_id_and_a_prefix_are_taken_wherever_an_id_is(self, run: Run, plan_id: str) -> None:
        cards = run("review", "list", *TENANT, *JSON).json
        card = cards[0]["card_id"]
        for shown in (short_id(plan_id), plan_id[:-1], plan_id[3:]):
            assert run("plan", "show", shown, *TENANT, *JSON).json["plan_id"] == plan_id
            assert len(run("review", "list", *TENANT, "--plan", shown, *JSON).json) == 2
            assert run("budget", "show", *TENANT, "--plan", shown).code == 0
        assert run("review", "show", short_id(card), *TENANT, *JSON).json["card_id"] == card
        assert decide(run, "deny", short_id(card), *TENANT, "--reason", "no", *JSON).json["status"] == "denied"
        assert run("plan", "cancel", short_id(plan_id), *TENANT).code == 0

    def test_one_that_means_several_lists_them(self, run: Run, plan_id: str) -> None:
        other = run("plan", "submit", "echoes", *TENANT, "--set", "rows=[]", *JSON).json["plan_id"]
        ran = run("plan", "show", plan_id[: 3 + 8], *TENANT)
        assert ran.code == 2
        assert ran.err == f"error: {plan_id[: 3 + 8]} is short for a plan id, of several: {plan_id}, {other}\n"

    def test_one_that_means_nothing_of_the_tenant_s_is_not_found(
        self, run: Run, services: FakeServices, plan_id: str
    ) -> None:
        assert run("plan", "show", "pl_0000aaaaaaaa", *TENANT).code == 3
        assert run("review", "show", "rc_0000aaaaaaaa", *TENANT).code == 3
        services.database.add_tenant("globex")
        assert run("plan", "show", short_id(plan_id), "-t", "globex").code == 3

    @pytest.mark.parametrize("width", [40, 80])
    def test_results_fit_a_terminal(self, run: Run, plan_id: str, on_terminal: OnTerminal, width: int) -> None:
        ids = [result["task_id"] for result in run("plan", "results", plan_id, *TENANT, *JSON).json]
        on_terminal(width)
        lines = run("plan", "results", plan_id, *TENANT).out.splitlines()
        assert max(map(len, lines)) <= width
        assert [line.split()[0] for line in lines if line.startswith("tk_")] == list(map(short_id, ids))
        assert sum('"said": ' in line for line in lines) == 3

    @pytest.mark.parametrize("width", [40, 80])
    @pytest.mark.parametrize(
        "words",
        [
            ("plan", "list"),
            ("plan", "show", "PLAN"),
            ("task", "list"),
            ("task", "show", "TASK"),
            ("review", "list"),
            ("review", "list", "--status", "all"),
            ("review", "show", "CARD"),
            ("session", "list"),
            ("budget", "show"),
            ("budget", "show", "--plan", "PLAN"),
        ],
        ids=" ".join,
    )
    def test_all_that_is_listed_fits_a_terminal(
        self, run: Run, plan_id: str, on_terminal: OnTerminal, words: tuple[str, ...], width: int
    ) -> None:
        card = run("review", "list", *TENANT, *JSON).json[0]
        ids = {"PLAN": plan_id, "TASK": card["task_id"], "CARD": card["card_id"]}
        command = [ids.get(word, word) for word in words]
        decide(run, "approve", card["card_id"], *TENANT, "--as", "a.person@a-department.example.org")
        on_terminal(width)
        ran = run(*command, *TENANT)
        assert ran.code == 0
        lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in ran.out.splitlines()]
        assert [line for line in lines if len(line) > width] == []
        if words[1] == "list" and words[0] in {"plan", "task", "review"}:
            wanted = ids[{"plan": "PLAN", "task": "TASK", "review": "CARD"}[words[0]]]
            assert (short_id(wanted) in ran.out) or words == ("review", "list")


def test_version(run: Run) -> None:
    assert run("version").out.startswith("chimera 0.")
    assert run("version", *JSON).json.keys() >= {"chimera", "python", "celery"}
