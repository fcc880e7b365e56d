"""Reviewing on the command line beyond one approval: claims, several people, edits."""

import io
import json
import shlex
import sys
from pathlib import Path

import pytest

from chimera.cli import output
from chimera.models.gate.policy import Policy, SkillPolicy
from tests.unit.cli.conftest import Ran, Run, decide
from tests.unit.cli.swarm import FakeServices

TENANT = ("-t", "acme")
JSON = ("-o", "json")
ANN = ("--as", "ann")
BOB = ("--as", "bob")
BAD_NAMES = {
    "space-after": "alice ",
    "space-before": " alice",
    "two-spaces": "alice  b",
    "tab": "alice\tb",
    "newline": "alice\n",
    "escape": "al\x1b[2Jice",
    "bell": "alice\x07",
    "c1": "al\x9bice",
    "zero-width": "al\u200bice",
    "right-to-left": "\u202eecila",
    "soft-hyphen": "al\u00adice",
    "full-width": "\uff41lice",
    "ligature": "\ufb01ona",
    "no-break-space": "a\u00a0b",
    "line-separator": "alice\u2028",
    "nothing": "",
    "signs": "---",
    "long": "a" * 101,
    "judge": "judge",
    "Judge": "Judge",
    "policy": "policy",
    "policy-and-model": "policy and fast-judge",
    "system": "system",
    "app": "app",
    "sweep": "sweep",
    "owner": "owner",
    "chimera": "chimera",
    "role": "chimera_judge",
    "look-alike": "judg\u0435",
}
BETTER = '{"said": "better", "loud": "BETTER"}'


def asked(run: Run, verb: str, card: str, *words: str) -> Ran:
    return run("review", verb, card, *words)


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
            say = decide if words[0] in {"approve", "deny", "edit"} else asked
            ran = say(run, words[0], card, *words[1:], *TENANT, *BOB)
            assert (ran.code, ran.out) == (5, ""), words
            assert "claimed by ann" in ran.err
        assert "ann until 2026-03-01 12:05:00Z" in run("review", "claim", card, *TENANT, *ANN, "--minutes", "5").out
        assert run("review", "release", card, *TENANT, *ANN, *JSON).json["claimed_by"] is None
        assert decide(run, "approve", card, *TENANT, *BOB).code == 0

    def test_next_claims_the_oldest_and_shows_it(self, run: Run, card: str) -> None:
        ran = run("review", "next", *TENANT, *ANN)
        assert card in ran.out
        assert "text: unsure" in ran.out
        assert f"chimera review edit {card} --version 1 --sha " in ran.err
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
        first = decide(run, "approve", card_of_two, *TENANT, *ANN)
        assert first.code == 0
        assert "1 of 2" in first.out
        assert "not committed yet: 1 more person must approve it" in first.err
        assert "approvals   1 of 2: ann" in run("review", "show", card_of_two, *TENANT).out
        again = decide(run, "approve", card_of_two, *TENANT, *ANN)
        assert again.code == 5
        assert "ann has approved it already" in again.err
        last = decide(run, "approve", card_of_two, *TENANT, *BOB, *JSON).json
        assert (last["status"], last["approvals"], last["decided_by"]) == ("approved", ["ann", "bob"], "bob")


class TestEdit:
    def test_a_clean_edit_is_committed(self, run: Run, card: str, plan_id: str) -> None:
        done = decide(run, "edit", card, *TENANT, *ANN, "--to", BETTER, "--note", "said it better", *JSON).json
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
        assert decide(run, "edit", first, *TENANT, "--to", str(file), *JSON).json["status"] == "edited"
        monkeypatch.setattr(sys, "stdin", io.StringIO(BETTER))
        assert decide(run, "edit", second, *TENANT, "--to", "-", *JSON).json["status"] == "edited"

    def test_what_the_policy_finds_is_shown_and_nothing_committed(self, run: Run, card: str) -> None:
        worse = '{"said": "the secret key", "loud": "ah"}'
        ran = decide(run, "edit", card, *TENANT, *ANN, "--to", worse)
        assert (ran.code, "pending" in ran.out) == (0, True)
        assert "nothing was committed" in ran.err
        assert "keyword.secret_key in output.said" in ran.err
        assert ">>secret key<<" in run("review", "show", card, *TENANT).out
        assert decide(run, "approve", card, *TENANT, *BOB, *JSON).json["status"] == "edited"

    def test_what_the_policy_denies_is_refused(self, run: Run, card: str) -> None:
        ran = decide(run, "edit", card, *TENANT, "--to", '{"said": 7}', *JSON)
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
        ran = decide(run, "edit", card, *TENANT, "--to", to)
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err

    def test_a_file_without_json(self, run: Run, card: str, tmp_path: Path) -> None:
        for content, message in ((b"so?", "does not hold JSON"), (b"\xff\xfe\x00", "is not UTF-8")):
            (tmp_path / "x").write_bytes(content)
            ran = decide(run, "edit", card, *TENANT, "--to", str(tmp_path / "x"))
            assert ran.code == 2
            assert message in ran.err

    def test_an_edit_counts_as_one_approval(self, run: Run, card_of_two: str) -> None:
        ran = decide(run, "edit", card_of_two, *TENANT, *ANN, "--to", BETTER)
        assert "not committed yet: 1 more person must approve it" in ran.err
        assert "nothing was committed" not in ran.err
        assert decide(run, "approve", card_of_two, *TENANT, *BOB, *JSON).json["status"] == "edited"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def changed(run: Run, card: str) -> tuple[str, ...]:
    """What names the card as it was before somebody put another output in its place, which waits."""
    shown = run("review", "show", card, *TENANT, *JSON).json
    decide(run, "edit", card, *TENANT, *BOB, "--to", '{"said": "delete all", "loud": "X"}')
    return ("--version", str(shown["version"]), "--sha", shown["result_sha256"][:8])


class TestSeen:
    """A decision is on what its person saw."""

    @pytest.mark.parametrize("words", [("approve",), ("deny", "--reason", "no"), ("edit", "--to", BETTER)])
    def test_nothing_is_decided_unseen_where_nobody_can_be_asked(
        self, run: Run, card: str, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
        ran = run("review", words[0], card, *words[1:], *TENANT, *ANN)
        assert (ran.code, ran.out) == (2, "")
        assert f"`chimera review show {card} --tenant acme`" in ran.err
        typed = ran.err.rpartition("`chimera ")[2].rpartition("`")[0]
        assert "--version 1 --sha " in typed
        assert run(*shlex.split(typed), *JSON).json["status"] in {"approved", "denied", "edited"}

    @pytest.mark.parametrize(
        ("seen", "message"),
        [
            (("--version", "1"), "go together"),
            (("--sha", "0" * 64), "go together"),
            (("--version", "1", "--sha", "abcdef"), "8 to 64 hex digits"),
            (("--version", "1", "--sha", "x" * 8), "8 to 64 hex digits"),
        ],
        ids=["version", "sha", "short", "no-hex"],
    )
    def test_what_was_seen_is_named_whole(self, run: Run, card: str, seen: tuple[str, ...], message: str) -> None:
        ran = run("review", "approve", card, *seen, *TENANT)
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err

    @pytest.mark.parametrize("words", [("approve",), ("deny", "--reason", "no"), ("edit", "--to", BETTER)])
    def test_what_changed_is_told_and_nothing_is_decided(
        self, run: Run, card: str, changed: tuple[str, ...], words: tuple[str, ...]
    ) -> None:
        ran = run("review", words[0], card, *changed, *words[1:], *TENANT, *ANN)
        assert (ran.code, ran.out) == (5, "")
        assert '-  "said": "unsure"' in ran.err
        assert '+  "said": "delete all"' in ran.err
        assert "+why: keyword.delete_all in output.said" in ran.err
        assert "version 1 then, 2 now" in ran.err
        assert run("review", "show", card, *TENANT, *JSON).json["status"] == "pending"

    def test_a_hash_that_was_never_shown_is_refused(self, run: Run, card: str) -> None:
        ran = run("review", "approve", card, "--version", "1", "--sha", "0" * 16, *TENANT, *ANN)
        assert (ran.code, ran.out) == (5, "")
        assert "never showed what --sha names" in ran.err

    @pytest.mark.parametrize(
        ("answer", "code", "status"), [("y\n", 0, "edited"), ("n\n", 1, "pending"), ("", 1, "pending")]
    )
    def test_somebody_who_can_be_asked_sees_what_changed_first(
        self,
        run: Run,
        card: str,
        changed: tuple[str, ...],
        monkeypatch: pytest.MonkeyPatch,
        answer: str,
        code: int,
        status: str,
    ) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        ran = run("review", "approve", card, *changed, *TENANT, *ANN)
        assert ran.code == code
        assert '+  "said": "delete all"' in ran.out
        assert "approve version 2 all the same? [y/N]" in ran.err
        assert run("review", "show", card, *TENANT, *JSON).json["status"] == status

    def test_somebody_who_can_be_asked_is_shown_the_card(
        self, run: Run, card: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal("yes\n"))
        ran = run("review", "approve", card, *TENANT, *ANN)
        assert (ran.code, "text: unsure" in ran.out) == (0, True)
        assert "approve version 1 of " in ran.err

    def test_what_changes_while_somebody_is_asked_is_asked_about_again(
        self, run: Run, services: FakeServices, card: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reviews = services.reviewing.reviews

        class Slow(Terminal):
            def readline(self, _size: int | None = -1, /) -> str:  # type: ignore[override]
                monkeypatch.setattr(sys, "stdin", Terminal("no\n"))
                reviews.edit(reviews.cards("acme")[0], {"said": "delete all", "loud": "X"}, "bob")
                return "yes\n"

        monkeypatch.setattr(sys, "stdin", Slow())
        ran = run("review", "approve", card, *TENANT, *ANN)
        assert ran.code == 1
        assert '+  "said": "delete all"' in ran.out
        assert run("review", "show", card, *TENANT, *JSON).json["status"] == "pending"

    def test_a_revision_that_is_not_the_latest_is_shown_to_be_read_only(
        self, run: Run, card: str, changed: tuple[str, ...]
    ) -> None:
        ran = run("review", "show", card, "--revision", "0", *TENANT)
        assert "to decide, see what the card shows now" in ran.err
        assert "--sha" not in ran.err
        assert changed[1] == "1"


class TestNames:
    """A person's name is written in one way, and is nobody else's."""

    @pytest.mark.parametrize("name", [*BAD_NAMES.values()], ids=[*BAD_NAMES])
    def test_what_cannot_be_a_name_is_refused(self, run: Run, card: str, name: str) -> None:
        for words in (("approve",), ("deny", "--reason", "no"), ("edit", "--to", BETTER)):
            ran = decide(run, words[0], card, *words[1:], *TENANT, "--as", name)
            assert (ran.code, ran.out) == (2, "")
            assert "\x1b" not in ran.err
        for verb in ("claim", "release"):
            assert run("review", verb, card, *TENANT, "--as", name).code == 2

    @pytest.mark.parametrize("again", ["Ann", "ANN", "\u0430nn"], ids=["Ann", "ANN", "cyrillic"])
    def test_one_person_in_two_spellings_is_one_approval(self, run: Run, card_of_two: str, again: str) -> None:
        assert decide(run, "approve", card_of_two, *TENANT, *ANN).code == 0
        ran = decide(run, "approve", card_of_two, *TENANT, "--as", again)
        assert (ran.code, ran.out) == (5, "")
        assert decide(run, "approve", card_of_two, *TENANT, "--as", "Bob Müller-Lüdenscheidt").code == 0


def test_a_card_in_colour_is_readable(run: Run, card: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    output.stdout.cache_clear()
    assert "unsure" in run("review", "next", *TENANT, *ANN).out
