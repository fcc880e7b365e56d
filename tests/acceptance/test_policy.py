"""A policy from its file to the decisions that name it."""

from pathlib import Path

from tests.acceptance.conftest import Shell

POLICY = Path("examples/tickets/policy.yaml")
WHOM = ("--tenant", "policed")
JSON = ("-o", "json")
ROWS = 'rows=[{"text":"Where is my parcel? It was due on Monday."},{"text":"I want a R\u0435fund now"}]'


def decided(stack: Shell) -> dict[str, list[str]]:
    """Submits the two messages; the rules that each one's card names, by task state."""
    ran = stack.run("plan", "submit", "tickets", *WHOM, "--set", ROWS, "--watch", "--timeout", "60", *JSON)
    assert ran.code == 0, ran.err
    cards = stack.run("review", "list", *WHOM, "--plan", ran.json["plan_id"], *JSON).json
    return {card["policy_version"]: [reason["rule"] for reason in card["reasons"]] for card in cards}


def test_a_policy_is_tried_applied_and_named(stack: Shell, tmp_path: Path) -> None:
    assert stack.run("tenant", "add", "policed").code == 0
    assert stack.run("policy", "check", str(POLICY), *JSON).json["notes"] == []
    assert stack.run("policy", "test", str(POLICY), *JSON).json["ok"] is True

    assert all(version.startswith("default@v0+") for version in decided(stack))
    simulated = stack.run("policy", "simulate", str(POLICY), *WHOM, *JSON).json
    assert simulated["results"] == 2
    assert "keyword.refund" in simulated["by_rule"]

    applied = stack.run("policy", "apply", str(POLICY), *WHOM, "--as", "ana", *JSON).json
    assert applied["changed"] is True
    found = decided(stack)
    assert list(found) == [applied["version"]]
    assert "keyword.refund" in found[applied["version"]]
    entries = stack.run("audit", "list", *WHOM, *JSON).json
    assert [entry["facts"]["version"] for entry in entries if entry["kind"] == "policy.applied"] == [applied["version"]]

    broken = tmp_path / "broken.yaml"
    broken.write_text(POLICY.read_text().replace("sample: 0.02", "sample: 2%"))
    ran = stack.run("policy", "apply", str(broken), *WHOM)
    assert (ran.code, ran.out) == (2, "")
    assert f"{broken}:14: skills.tickets.triage.sample: " in ran.err
    assert stack.run("policy", "show", *WHOM, *JSON).json["version"] == applied["version"]
