"""A reviewer approves what nobody saw, counts as two people, or lets the record name somebody else."""

import os
import pwd
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from chimera.models.gate.policy import Amount, Budget, Policy
from tests.attacks.reviewer.conftest import Desk

DeskOf = Callable[..., Desk]
WORSE = '"we will delete all of it"'

# What alice calls herself for her second approval.
SPELLINGS = {
    "space-after": "alice ",
    "space-before": " alice",
    "newline": "alice\n",
    "tab": "alice\t",
    "capital": "Alice",
    "full-width": "\uff41lice",
    "cyrillic": "\u0430lice",
    "zero-width": "al\u200bice",
    "soft-hyphen": "al\u00adice",
    "right-to-left-mark": "alice\u200f",
    "no-break-space": "alice\u00a0",
}
# What she calls herself so that it looks as if Chimera had decided.
PARTS = (
    "judge",
    "policy",
    "system",
    "app",
    "sweep",
    "owner",
    "chimera",
    "policy and fast-judge",
    "chimera_judge",
    "Judge",
)
# What acts on a terminal, or makes two lines of a record's one.
SIGNS = {"escape": "al\x1b[2Jice", "c1": "al\x9b2Jice", "newline": "alice\nreview.decided  bob", "rlo": "\u202eecila"}


def test_an_edit_between_show_and_approve_is_not_committed_unseen(desk_of: DeskOf) -> None:
    desk = desk_of()
    card = desk.card()  # what bob looks at
    desk("review", "edit", card["card_id"], "--to", WORSE, "--as", "eve", *desk.seen())
    assert desk.card()["output"] == "we will delete all of it"
    desk("review", "approve", card["card_id"], "--as", "bob")
    assert not desk.committed()


def test_an_edit_between_show_and_edit_is_not_replaced_unseen(desk_of: DeskOf) -> None:
    desk = desk_of()
    card = desk.card()
    desk("review", "edit", card["card_id"], "--to", WORSE, "--as", "eve", *desk.seen())
    desk("review", "edit", card["card_id"], "--to", '"hello."', "--as", "bob")
    assert not desk.committed()


def test_an_edit_between_show_and_deny_is_not_denied_unseen(desk_of: DeskOf) -> None:
    desk = desk_of()
    card = desk.card()
    desk("review", "edit", card["card_id"], "--to", WORSE, "--as", "eve", *desk.seen())
    desk("review", "deny", card["card_id"], "--reason", "no", "--as", "bob")
    assert desk.card()["status"] == "pending"


@pytest.mark.parametrize("name", [*SPELLINGS.values()], ids=[*SPELLINGS])
def test_one_person_is_not_two_by_another_spelling(desk_of: DeskOf, name: str) -> None:
    desk = desk_of(2)
    card = desk.card()["card_id"]
    assert desk("review", "approve", card, "--as", "alice", *desk.seen()).code == 0
    desk("review", "approve", card, "--as", name, *desk.seen())
    assert not desk.committed()
    assert len(desk.card()["approvals"]) == 1


@pytest.mark.parametrize("name", PARTS)
def test_nobody_decides_in_the_name_of_a_part_of_chimera(desk_of: DeskOf, name: str) -> None:
    desk = desk_of()
    desk("review", "approve", desk.card()["card_id"], "--as", name, *desk.seen())
    assert not desk.committed()
    assert not [entry for entry in desk.entries() if entry["kind"] == "review.decided"]


@pytest.mark.parametrize("name", [*SIGNS.values()], ids=[*SIGNS])
def test_a_name_that_acts_on_a_terminal_is_not_recorded(desk_of: DeskOf, name: str) -> None:
    desk = desk_of()
    desk("review", "claim", desk.card()["card_id"], "--as", name)
    assert name not in {entry["actor"] for entry in desk.entries()}


@pytest.mark.parametrize("what", ["approve", "deny", "claim", "policy", "budget", "session", "erase"])
def test_whatever_name_is_given_the_record_has_the_real_user(desk_of: DeskOf, tmp_path: Path, what: str) -> None:
    desk = desk_of()
    file = tmp_path / "policy.yaml"
    file.write_text("name: mine\n")
    card = desk.card()
    if what == "budget":
        policy = Policy(budget=Budget(day=Amount(cost_usd=Decimal(1))))
        desk.services.adapters.policy_changes.apply(desk.tenant, policy, "tests")
    commands = {
        "approve": ("review", "approve", card["card_id"], *desk.seen()),
        "deny": ("review", "deny", card["card_id"], "--reason", "no", *desk.seen()),
        "claim": ("review", "claim", card["card_id"]),
        "policy": ("policy", "apply", str(file)),
        "budget": ("budget", "allow", "--day-usd", "5"),
        "session": ("plan", "cancel", card["plan_id"]),
        "erase": ("audit", "erase", "--task", card["task_id"], "--reason", "asked to"),
    }
    ran = desk(*commands[what], "--as", "the-boss")
    assert ran.code == 0, ran.err
    [*_, last] = [entry for entry in desk.entries() if entry["actor"] == "the-boss" and entry["kind"] != "task.decided"]
    user = pwd.getpwuid(os.getuid()).pw_name
    assert str(last["facts"].get("by_user", "")).startswith(f"{user}@")
    assert str(last["facts"].get("by_login", "")).startswith("chimera_")
