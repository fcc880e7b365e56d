"""Two people, an edit and a report, over real servers and workers."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.acceptance.conftest import Ran, Shell

WHOM = ("--tenant", "reviewed")
JSON = ("-o", "json")
ROWS = 'rows=[{"text":"I forgot my password","category":"login"},{"text":"My secret key is lost","category":"login"}]'
POLICY = "name: reviewed\nskills:\n  tickets.triage:\n    quorum: 2\n"


def decide(stack: Shell, verb: str, seen: dict[str, Any], *words: str) -> Ran:
    """Decides on a card as it was seen."""
    version = ("--version", str(seen["version"]), "--sha", seen["result_sha256"])
    return stack.run("review", verb, seen["card_id"], *version, *words)


# Some thirty commands, each a process of its own.
@pytest.mark.timeout(240)
def test_two_people_review_edit_and_ask_how_good_the_gate_is(stack: Shell, tmp_path: Path) -> None:
    assert stack.run("tenant", "add", "reviewed").code == 0
    (tmp_path / "policy.yaml").write_text(POLICY)
    assert stack.run("policy", "apply", str(tmp_path / "policy.yaml"), *WHOM).code == 0
    ran = stack.run("plan", "submit", "tickets", *WHOM, "--set", ROWS, "--watch", "--timeout", "60", *JSON)
    assert (ran.code, ran.json["state"]) == (0, "in_review"), ran.err
    plan_id = ran.json["plan_id"]

    first = stack.run("review", "next", *WHOM, "--as", "ann", *JSON).json
    refused = decide(stack, "approve", first, *WHOM, "--as", "bob", *JSON)
    assert (refused.code, refused.out) == (5, "")
    assert "is claimed by ann until" in refused.err
    assert decide(stack, "approve", first, *WHOM, "--as", "ann", *JSON).json["status"] == "pending"
    assert decide(stack, "approve", first, *WHOM, "--as", "ann").code == 5
    assert stack.run("review", "approve", first["card_id"], *WHOM, "--as", "bob").code == 2, (
        "it does not say what was seen"
    )
    done = decide(stack, "approve", first, *WHOM, "--as", "bob", *JSON).json
    assert (done["status"], done["approvals"]) == ("approved", ["ann", "bob"])

    second = stack.run("review", "next", *WHOM, "--as", "ann", *JSON).json
    reply = tmp_path / "reply.json"
    reply.write_text('{"category": "login"}')
    assert decide(stack, "edit", second, *WHOM, "--as", "ann", "--to", str(reply)).code == 2
    reply.write_text('{"category": "login", "reply": "We will delete all of it."}')
    risky = decide(stack, "edit", second, *WHOM, "--as", "ann", "--to", str(reply), *JSON)
    assert (risky.code, risky.json["approvals"]) == (0, [])
    assert "keyword.delete_all in output.reply" in risky.err
    reply.write_text('{"category": "login", "reply": "We will help you."}')
    now = stack.run("review", "show", second["card_id"], *WHOM, *JSON).json
    edited = decide(stack, "edit", now, *WHOM, "--as", "ann", "--to", str(reply), *JSON).json
    assert (edited["status"], edited["revision"], edited["approvals"]) == ("pending", 2, ["ann"])
    now = stack.run("review", "show", second["card_id"], *WHOM, *JSON).json
    assert decide(stack, "approve", second, *WHOM, "--as", "bob").code != 0, "it is another text now"
    assert decide(stack, "approve", now, *WHOM, "--as", "bob", *JSON).json["status"] == "edited"

    plan = stack.run("plan", "show", plan_id, *WHOM, *JSON).json
    assert (plan["state"], plan["counts"]["committed"]) == ("completed", 2)
    replies = [row["output"]["reply"] for row in stack.run("plan", "results", plan_id, *WHOM, *JSON).json]
    assert "We will help you." in replies
    kinds = [entry["kind"] for entry in stack.run("audit", "list", *WHOM, "--limit", "50", *JSON).json]
    assert [kind for kind in kinds if kind.startswith("review.")] == [
        *["review.opened"] * 2,
        *["review.claimed", "review.approved", "review.decided"],
        *["review.claimed", "review.edited", "review.edited", "review.approved", "review.decided"],
    ]

    svg = tmp_path / "curves.svg"
    [report] = stack.run("judge", "report", *WHOM, "--svg", str(svg), *JSON).json
    assert (report["cards"], report["left_out"]) == ({"approved": 1, "edited": 1}, 2)
    assert report["labels"]["calibration"]["verdicts"] == 2
    assert ET.parse(svg).getroot().tag.endswith("svg")
