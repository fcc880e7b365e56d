"""Reviewing on the command line beyond one approval: claims, several people, edits."""

import io
import json
import sys
from pathlib import Path

import pytest

from chimera.cli import output
from chimera.models.gate.policy import Policy, SkillPolicy
from tests.unit.cli.conftest import Run
from tests.unit.cli.swarm import FakeServices

TENANT = ("-t", "acme")
JSON = ("-o", "json")
ANN = ("--as", "ann")
BOB = ("--as", "bob")
BETTER = '{"said": "better", "loud": "BETTER"}'


@pytest.fixture
def card(run: Run, plan_id: str) -> str:
    """The older one of two that wait: of low confidence."""
    cards = run("review", "list", *TENANT, *JSON).json
    assert [card["reasons"][0]["rule"] for card in cards] == ["confidence.below", "keyword.password"]
    card_id: str = cards[0]["card_id"]
    return card_id


@pytest.fixture
def card_of_two(run: Run, services: FakeServices) -> str:
    """One that two people must approve."""
    services.adapters.policy_changes.apply("acme", Policy(defaults=SkillPolicy(quorum=2)), "tests")
    rows = json.dumps([{"text": "unsure", "confidence": "0.4"}])
    run("plan", "submit", "echoes", *TENANT, "--set", f"rows={rows}")
    [card] = run("review", "list", *TENANT, *JSON).json
    assert card["approvals_needed"] == 2
    card_id: str = card["card_id"]
    return card_id


class TestClaims:
    def test_a_claimed_card_is_refused_to_others(self, run: Run, card: str) -> None:
        claimed = run("review", "claim", card, *TENANT, *ANN, "--minutes", "5", *JSON).json
        assert (claimed["claimed_by"], claimed["claim_expires_at"]) == ("ann", "2026-03-01T12:05:00Z")
        assert " ann\n" in run("review", "list", *TENANT).out
        assert "claimed     ann, until 2026-03-01 12:05:00Z" in run("review", "show", card, *TENANT).out
        for words in (("approve",), ("deny", "--reason", "no"), ("edit", "--to", BETTER), ("claim",), ("release",)):
            ran = run("review", words[0], card, *words[1:], *TENANT, *BOB)
            assert (ran.code, ran.out) == (5, ""), words
            assert "claimed by ann" in ran.err
        assert "ann until 2026-03-01 12:05:00Z" in run("review", "claim", card, *TENANT, *ANN, "--minutes", "5").out
        assert run("review", "release", card, *TENANT, *ANN, *JSON).json["claimed_by"] is None
        assert run("review", "approve", card, *TENANT, *BOB).code == 0

    def test_next_claims_the_oldest_and_shows_it(self, run: Run, card: str) -> None:
        ran = run("review", "next", *TENANT, *ANN)
        assert card in ran.out
        assert "text: unsure" in ran.out
        assert f"chimera review edit {card} --tenant acme --to better.json" in ran.err
        second = run("review", "next", *TENANT, *BOB, "--skill", "echo", *JSON).json
        assert (second["claimed_by"], second["output"]["said"]) == ("bob", "my password")
        none = run("review", "next", *TENANT, "--as", "eve")
        assert (none.code, none.out) == (3, "")
        assert "no review card of acme waits for eve" in none.err

    @pytest.mark.parametrize("minutes", ["0", "-1", "1441", "nan", "inf"])
    def test_a_claim_is_at_most_a_day(self, run: Run, card: str, minutes: str) -> None:
        ran = run("review", "claim", card, *TENANT, f"--minutes={minutes}")
        assert ran.code == 2
        assert "at most a day" in ran.err


class TestSeveralPeople:
    def test_the_last_of_them_commits(self, run: Run, card_of_two: str) -> None:
        first = run("review", "approve", card_of_two, *TENANT, *ANN)
        assert first.code == 0
        assert "1 of 2" in first.out
        assert "not committed yet: 1 more person must approve it" in first.err
        assert "approvals   1 of 2: ann" in run("review", "show", card_of_two, *TENANT).out
        again = run("review", "approve", card_of_two, *TENANT, *ANN)
        assert again.code == 5
        assert "ann has approved it already" in again.err
        last = run("review", "approve", card_of_two, *TENANT, *BOB, *JSON).json
        assert (last["status"], last["approvals"], last["decided_by"]) == ("approved", ["ann", "bob"], "bob")


class TestEdit:
    def test_a_clean_edit_is_committed(self, run: Run, card: str, plan_id: str) -> None:
        done = run("review", "edit", card, *TENANT, *ANN, "--to", BETTER, "--note", "said it better", *JSON).json
        assert (done["status"], done["decided_by"], done["note"]) == ("edited", "ann", "said it better")
        assert (done["revision"], done["edited_by"]) == (1, "ann")
        outputs = [row["output"]["said"] for row in run("plan", "results", plan_id, *TENANT, *JSON).json]
        assert "better" in outputs
        shown = run("review", "show", card, *TENANT)
        assert "said: better" in shown.out
        assert "edited      by ann, revision 1" in shown.out
        assert "said: unsure" in run("review", "show", card, *TENANT, "--revision", "0").out
        assert run("review", "show", card, *TENANT, "--revision", "2").code == 2

    def test_the_output_may_stand_in_a_file_or_come_in(
        self, run: Run, plan_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = [card["card_id"] for card in run("review", "list", *TENANT, *JSON).json]
        file = tmp_path / "better.json"
        file.write_text(BETTER, encoding="utf-8-sig")
        assert run("review", "edit", first, *TENANT, "--to", str(file), *JSON).json["status"] == "edited"
        monkeypatch.setattr(sys, "stdin", io.StringIO(BETTER))
        assert run("review", "edit", second, *TENANT, "--to", "-", *JSON).json["status"] == "edited"

    def test_what_the_policy_finds_is_shown_and_nothing_committed(self, run: Run, card: str) -> None:
        worse = '{"said": "the secret key", "loud": "ah"}'
        ran = run("review", "edit", card, *TENANT, *ANN, "--to", worse)
        assert (ran.code, "pending" in ran.out) == (0, True)
        assert "nothing was committed" in ran.err
        assert "keyword.secret_key in output.said" in ran.err
        assert ">>secret key<<" in run("review", "show", card, *TENANT).out
        assert run("review", "approve", card, *TENANT, *BOB, *JSON).json["status"] == "edited"

    def test_what_the_policy_denies_is_refused(self, run: Run, card: str) -> None:
        ran = run("review", "edit", card, *TENANT, "--to", '{"said": 7}', *JSON)
        assert (ran.code, ran.out) == (2, "")
        error, document = ran.err.splitlines()
        assert error.startswith(
            "error: nothing was changed: the policy in force does not allow this output: output.schema"
        )
        assert json.loads(document)["code"] == "EditRefused"
        assert run("review", "show", card, *TENANT, *JSON).json["revision"] == 0

    @pytest.mark.parametrize(
        ("to", "message"),
        [
            ("nowhere.json", "nowhere.json: it is no JSON, and as a file it cannot be read: No such file"),
            (".", "it cannot be read: Is a directory"),
            ("{", "it is no JSON"),
            ("NaN", "the output is not JSON"),
            ("[" * 100_000, "it is no JSON"),
            ('{"said": "unsure", "loud": "UNSURE"}', "is the one that the card shows"),
        ],
        ids=["nowhere", "folder", "half", "nan", "deep", "same"],
    )
    def test_what_is_no_output_is_refused(self, run: Run, card: str, to: str, message: str) -> None:
        ran = run("review", "edit", card, *TENANT, "--to", to)
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err

    def test_a_file_without_json(self, run: Run, card: str, tmp_path: Path) -> None:
        for content, message in ((b"so?", "does not hold JSON"), (b"\xff\xfe\x00", "is not UTF-8")):
            (tmp_path / "x").write_bytes(content)
            ran = run("review", "edit", card, *TENANT, "--to", str(tmp_path / "x"))
            assert ran.code == 2
            assert message in ran.err

    def test_an_edit_counts_as_one_approval(self, run: Run, card_of_two: str) -> None:
        ran = run("review", "edit", card_of_two, *TENANT, *ANN, "--to", BETTER)
        assert "not committed yet: 1 more person must approve it" in ran.err
        assert "nothing was committed" not in ran.err
        assert run("review", "approve", card_of_two, *TENANT, *BOB, *JSON).json["status"] == "edited"


def test_a_card_in_colour_is_readable(run: Run, card: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    output.stdout.cache_clear()
    assert "unsure" in run("review", "next", *TENANT, *ANN).out
