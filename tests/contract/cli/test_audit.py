"""`chimera audit list`."""

import re

import pytest

from chimera.models.ids import short_id
from tests.unit.cli.conftest import OnTerminal, Run, decide

TENANT = ("-t", "acme")
JSON = ("-o", "json")


@pytest.mark.parametrize("width", [40, 80])
def test_the_audit_fits_a_terminal(run: Run, plan_id: str, on_terminal: OnTerminal, width: int) -> None:
    on_terminal(width)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in run("audit", "list", *TENANT).out.splitlines()]
    assert [line for line in lines if len(line) > width] == []
    assert sum(short_id(plan_id) in line for line in lines) >= 2


class TestAudit:
    def test_the_latest_of_a_tenant_or_the_first_of_a_plan(self, run: Run, plan_id: str) -> None:
        entries = run("audit", "list", *TENANT, *JSON).json
        assert [entry["kind"] for entry in entries[:3]] == ["tenant.added", "plan.submitted", "plan.planned"]
        assert [entry["seq"] for entry in entries] == sorted(entry["seq"] for entry in entries)
        of_plan = run("audit", "list", *TENANT, "--plan", plan_id, "--limit", "2", *JSON).json
        assert [entry["kind"] for entry in of_plan] == ["plan.submitted", "plan.planned"]
        assert {entry["plan_id"] for entry in of_plan} == {plan_id}
        table = run("audit", "list", *TENANT, "--limit", "9")
        assert "hitl: keyword.password" in table.out
        assert "9 entries; --limit shows more" in table.err

    def test_who_approved_what_is_one_command(self, run: Run, plan_id: str) -> None:
        cards = run("review", "list", *TENANT, *JSON).json
        decide(run, "approve", cards[0]["card_id"], *TENANT, "--as", "ana")
        decide(run, "deny", cards[1]["card_id"], *TENANT, "--as", "bob", "--reason", "no")
        ran = run("audit", "list", *TENANT, "--kind", "review.decided", "--since", "1h", "--until", "2999-01-01")
        words = [line.split() for line in ran.out.splitlines()[1:]]
        assert [(row[3], row[4], row[6], row[7]) for row in words] == [
            ("review.decided", "ana", cards[0]["task_id"], "approved"),
            ("review.decided", "bob", cards[1]["task_id"], "denied"),
        ]
        assert "no such entries of acme" in run("audit", "list", *TENANT, "--until", "1h").err
        of_task = run("audit", "list", *TENANT, "--task", short_id(cards[1]["task_id"]), *JSON).json
        assert {entry["task_id"] for entry in of_task} == {cards[1]["task_id"]}
        by_rule = run("audit", "list", *TENANT, "--rule", "keyword", "--kind", "task.decided", *JSON).json
        assert len(by_rule) == 1
        shown = run("review", "list", *TENANT, "--status", "approved", "--actor", "ana", "--since", "1h")
        assert shown.out.splitlines()[0].split() == ["CARD", "SKILL", "STATUS", "BY", "AT", "CONF", "WHY"]
        assert "ana" in shown.out.splitlines()[1]
        assert run("review", "list", *TENANT, "--status", "all", "--rule", "keyword", *JSON).json != []

    @pytest.mark.parametrize(
        "arguments",
        [("--since", "soon"), ("--until", "x"), ("--since", "1d", "--until", "2d"), ("--since", "0001-01-01")],
    )
    def test_what_is_no_period(self, run: Run, arguments: tuple[str, ...]) -> None:
        for command in (("audit", "list"), ("review", "list")):
            ran = run(*command, *TENANT, *arguments)
            assert ran.code == 2
            assert ran.err.startswith("error: --")

    def test_nobody(self, run: Run) -> None:
        # That it was read is on record, and there is nobody's record to write that to.
        assert run("audit", "list", "-t", "globex").code == 3

    def test_short_ids_are_taken(self, run: Run, plan_id: str) -> None:
        for shown in (short_id(plan_id), plan_id[:-1], plan_id[3:]):
            found = run("audit", "list", *TENANT, "--plan", shown, *JSON).json
            assert {entry["plan_id"] for entry in found} == {plan_id}
        task = run("review", "list", *TENANT, *JSON).json[0]["task_id"]
        assert run("plan", "cancel", short_id(plan_id), *TENANT).code == 0
        erased = run("audit", "erase", *TENANT, "--task", short_id(task), "--reason", "r", *JSON).json
        assert erased["tasks"] == [task]
