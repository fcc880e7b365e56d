"""`chimera audit erase`, how erased contents are shown, and that reading the audit is on record."""

import json

import pytest

from tests.contract.cli.conftest import DatabaseServices
from tests.unit.cli.conftest import Run, decide

TENANT = ("-t", "acme")
JSON = ("-o", "json")
ERASE = ("audit", "erase", *TENANT, "--reason", "asked to", "--as", "ann")


@pytest.fixture
def ended(run: Run, plan_id: str) -> str:
    """The plan, once people have decided."""
    for card in run("review", "list", *TENANT, *JSON).json:
        decide(run, "deny", card["card_id"], *TENANT, "--reason", "names Ann Smith")
    return plan_id


def task_of(run: Run, plan_id: str) -> str:
    return str(run("plan", "results", plan_id, *TENANT, *JSON).json[0]["task_id"])


def test_a_plan_is_erased_and_shown_as_redacted(run: Run, ended: str) -> None:
    assert "Ann Smith" in run("review", "list", *TENANT, "--status", "all", *JSON).out
    erased = run(*ERASE, "--plan", ended, *JSON).json
    assert (erased["erased"], erased["plans"], len(erased["tasks"]), len(erased["cards"])) == (True, [ended], 3, 2)
    shown = run("plan", "show", ended, *TENANT)
    assert "redacted" in shown.out
    assert run("plan", "show", ended, *TENANT, *JSON).json["redacted"] is True
    results = run("plan", "results", ended, *TENANT, *JSON).json
    assert {(result["redacted"], result["output"]) for result in results} == {(True, None)}
    assert run("plan", "results", ended, *TENANT).out.count("redacted") == 3


def test_a_card_is_shown_as_redacted(run: Run, ended: str) -> None:
    run(*ERASE, "--plan", ended)
    for card in run("review", "list", *TENANT, "--status", "all", *JSON).json:
        assert (card["redacted"], card["note"]) == (True, None)
        shown = run("review", "show", card["card_id"], *TENANT)
        assert shown.out.count("redacted") == 2
        assert "Ann Smith" not in shown.out
        contents = run("review", "show", card["card_id"], *TENANT, *JSON).json
        assert (contents["input"], contents["output"]) == (None, None)


def test_the_audit_says_what_was_redacted_by_whom_and_why(run: Run, ended: str) -> None:
    run(*ERASE, "--task", task_of(run, ended))
    entries = run("audit", "list", *TENANT, *JSON).json
    assert sum(entry["redacted"] for entry in entries if entry["kind"] == "task.decided") >= 1
    [entry] = [entry for entry in entries if entry["kind"] == "audit.erased"]
    assert (entry["actor"], entry["facts"]["reason"]) == ("ann", "asked to")
    assert "(redacted)" in run("audit", "list", *TENANT).out


def test_one_task_is_erased(run: Run, ended: str) -> None:
    ran = run(*ERASE, "--task", task_of(run, ended))
    assert (ran.code, ran.out.count("tk_")) == (0, 1)
    states = [result["redacted"] for result in run("plan", "results", ended, *TENANT, *JSON).json]
    assert states == [True, False, False]
    again = run(*ERASE, "--task", task_of(run, ended))
    assert "nothing was left to erase" in again.err


def test_what_waits_for_people_is_closed_with_the_reason(run: Run, plan_id: str) -> None:
    cards = run("review", "list", *TENANT, *JSON).json
    ran = run(*ERASE, "--plan", plan_id)
    assert ran.code == 0
    assert "closed   2 cards that waited for people" in ran.out
    assert run("plan", "show", plan_id, *TENANT, *JSON).json["state"] == "completed"
    assert decide(run, "approve", cards[0]["card_id"], *TENANT).code == 5
    decided = run("audit", "list", *TENANT, "--kind", "review.decided", *JSON).json
    assert [(entry["actor"], entry["facts"]["reason"]) for entry in decided] == [("ann", "asked to")] * 2


ERASED = "erased by ann: asked to"


@pytest.fixture
def two_cards(run: Run, plan_id: str) -> tuple[str, str]:
    """One that was erased while it waited, and one that a person had denied before."""
    first, second = [str(card["card_id"]) for card in run("review", "list", *TENANT, *JSON).json]
    decide(run, "deny", second, *TENANT, "--reason", "wrong", "--as", "bob")
    run(*ERASE, "--plan", plan_id)
    return first, second


def test_a_card_says_by_whom_it_was_erased_while_it_waited_and_why(run: Run, two_cards: tuple[str, str]) -> None:
    closed, decided = [run("review", "show", card, *TENANT).out for card in two_cards]
    assert ERASED in closed
    assert ("denied by ann" in closed, "note" in closed) == (True, False)
    assert ("denied by bob" in decided, "erased by" in decided) == (True, False)
    shown = [run("review", "show", card, *TENANT, *JSON).json for card in two_cards]
    assert shown[0]["erasure_reason"] == "asked to"
    assert "erasure_reason" not in shown[1]


def test_cards_are_listed_with_why_they_were_erased(run: Run, two_cards: tuple[str, str]) -> None:
    closed, decided = run("review", "list", *TENANT, "--status", "all").out.splitlines()[1:]
    assert closed.startswith(two_cards[0])
    assert closed.endswith(f"; {ERASED}")
    assert "erased by" not in decided
    listed = run("review", "list", *TENANT, "--status", "all", *JSON).json
    assert [card.get("erasure_reason") for card in listed] == ["asked to", None]


@pytest.mark.usefixtures("two_cards")
def test_the_audit_lists_by_whom_a_card_was_erased_and_why(run: Run) -> None:
    by_bob, by_ann = run("audit", "list", *TENANT, "--kind", "review.decided").out.splitlines()[1:]
    assert by_bob.endswith("  denied (redacted)")
    assert by_ann.endswith(f"  denied, {ERASED} (redacted)")


def test_a_card_that_was_closed_is_nobody_s_verdict(run: Run, services: DatabaseServices) -> None:
    rows = [{"text": text, "confidence": "0.4"} for text in ("right", "erased")]
    assert run("plan", "submit", "echoes", *TENANT, "--set", f"rows={json.dumps(rows)}").code == 0
    first, second = run("review", "list", *TENANT, *JSON).json
    decide(run, "approve", first["card_id"], *TENANT)
    run(*ERASE, "--task", second["task_id"])
    report = run("judge", "report", *TENANT).out
    assert "people's verdicts: 1 (" in report
    assert "right 1.000" in report


def test_what_still_runs_is_refused(run: Run, services: DatabaseServices) -> None:
    services.adapters.queue.room = 0  # nobody plans it
    ran = run("plan", "submit", "echoes", *TENANT, "--set", "rows=[]", *JSON)
    assert run(*ERASE, "--plan", ran.json["plan_id"]).code == 5


def test_what_is_not_the_tenant_s_is_not_found(run: Run, services: DatabaseServices, ended: str) -> None:
    services.adapters.tenants.add("globex", "tests")
    ran = run("audit", "erase", "-t", "globex", "--reason", "r", "--task", task_of(run, ended))
    assert ran.code == 3
    kinds = [entry["kind"] for entry in run("audit", "list", "-t", "globex", *JSON).json]
    assert kinds == ["tenant.added", "access.refused"]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--plan", "pl_" + "0" * 32, "--task", "tk_" + "0" * 32),
        ("--plan", "tk_" + "0" * 32),
        ("--task", "tk_" + "0" * 32, "--reason", " "),
        ("--task", "tk_" + "0" * 32, "--reason", "x" * 501),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(run: Run, arguments: tuple[str, ...]) -> None:
    ran = run(*ERASE, *arguments)
    assert ran.code == 2
    assert "--" in ran.err or "id:" in ran.err


def test_who_reads_the_audit_is_on_record(run: Run, plan_id: str) -> None:
    run("audit", "list", *TENANT, "--plan", plan_id, "--limit", "2", "--as", "bob")
    entry = run("audit", "list", *TENANT, *JSON).json[-1]
    assert (entry["kind"], entry["actor"]) == ("audit.read", "bob")
    real = {"by_user": entry["facts"]["by_user"], "by_login": "chimera_app"}
    assert entry["facts"] == real | {"command": "audit list", "plan": plan_id, "limit": 2, "rows": 2}
