import io
import json
import sys
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from tests.unit.cli.conftest import Run
from tests.unit.cli.swarm import FakeServices

TENANT = ("-t", "acme")
JSON = ("-o", "json")

STRICT = """
name: strict
defaults:
  confidence: {approve: 0.9}
skills:
  echo:
    max_result_bytes: 1000
cases:
  - name: sure
    skill: echo
    output: {said: hello}
    confidence: 0.95
    expect: approve
  - name: unsure
    skill: echo
    confidence: 0.8
    expect: hitl
    rules: [confidence.below]
"""


@pytest.fixture
def strict(tmp_path: Path) -> str:
    file = tmp_path / "strict.yaml"
    file.write_text(STRICT)
    return str(file)


@pytest.fixture
def wrong(tmp_path: Path) -> str:
    file = tmp_path / "wrong.yaml"
    file.write_text("name: wrong\ncases:\n  - name: hopeful\n    confidence: 0.1\n    expect: approve\n")
    return str(file)


def submitted(run: Run, *confidences: float) -> str:
    rows = json.dumps([{"text": f"text {number}", "confidence": str(n)} for number, n in enumerate(confidences)])
    plan_id: str = run("plan", "submit", "echoes", *TENANT, "--set", f"rows={rows}", *JSON).json["plan_id"]
    return plan_id


class TestCheck:
    def test_a_policy_that_can_be_applied(self, run: Run, strict: str) -> None:
        ran = run("policy", "check", strict)
        assert ran.code == 0
        assert "policy strict, " in ran.out
        assert "2 cases: it can be applied" in ran.out
        assert run("policy", "check", strict, *JSON).json["ok"] is True

    def test_every_fault_is_named_by_file_and_line(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "acme.yaml"
        file.write_text("name: acme\ndefaults:\n  sample: 2\nrules:\n  - name: a\n    patern: b\n")
        ran = run("policy", "check", str(file))
        assert (ran.code, ran.out) == (2, "")
        assert f"{file}:3: defaults.sample: " in ran.err
        assert f"{file}:6: rules.0.patern: no such key; known here: " in ran.err
        assert run("policy", "apply", str(file), *TENANT).code == 2

    def test_a_skill_that_nobody_has_is_pointed_out(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "acme.yaml"
        file.write_text("skills: {ecco: {sample: 0.5}}\nrules: []\n")
        ran = run("policy", "check", str(file))
        assert ran.code == 0
        assert "no skill named 'ecco' is registered here" in ran.err
        assert "rules: none" in ran.err

    @pytest.mark.parametrize(
        ("reserve", "said"),
        [
            ("", "budget: nothing is set aside for echo, skills that it does not name: "),
            (
                "skills: {echo: {reserve: {tokens: 10}}}",
                "budget: nothing is set aside for skills that it does not name: ",
            ),
            ("defaults: {reserve: {tokens: 10}}", None),
        ],
    )
    def test_a_budget_that_sets_nothing_aside_is_pointed_out(
        self, run: Run, tmp_path: Path, reserve: str, said: str | None
    ) -> None:
        file = tmp_path / "acme.yaml"
        skills = reserve if "skills" in reserve else f"skills: {{echo: {{sample: 0.1}}}}\n{reserve}"
        file.write_text(f"budget: {{day: {{tokens: 100}}}}\n{skills}\n")
        ran = run("policy", "check", str(file))
        assert ran.code == 0, ran.err
        assert (said or "") in ran.err
        assert ("budget:" in ran.err) is (said is not None)

    def test_standard_input_and_a_byte_order_mark(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("name: piped\n"))
        assert "policy piped" in run("policy", "check", "-").out

    @pytest.mark.parametrize("content", [None, b"name: \xff"])
    def test_a_file_that_cannot_be_read(self, run: Run, tmp_path: Path, content: bytes | None) -> None:
        file = tmp_path / "acme.yaml"
        if content is not None:
            file.write_bytes(content)
        ran = run("policy", "check", str(file))
        assert ran.code == 2
        assert f"{file} cannot be read: " in ran.err

    def test_the_schema_is_one_that_editors_can_check_with(self, run: Run, strict: str) -> None:
        schema = jsonschema_rs.validator_for(run("policy", "schema").json)
        assert schema.is_valid(yaml.safe_load(STRICT))
        assert not schema.is_valid({"nmae": "x"})
        assert run("policy", "schema", *JSON).json == run("policy", "schema").json


class TestTest:
    def test_cases_that_are_ruled_as_expected(self, run: Run, strict: str) -> None:
        ran = run("policy", "test", strict)
        assert ran.code == 0
        assert ran.out.count("ok") == 2
        assert run("policy", "test", strict, *JSON).json["ok"] is True

    def test_cases_that_are_not(self, run: Run, wrong: str) -> None:
        ran = run("policy", "test", wrong)
        assert ran.code == 1
        assert "FAILED" in ran.out
        assert "1 of 1 cases are not ruled as they expect" in ran.err
        [case] = run("policy", "test", wrong, *JSON).json["cases"]
        assert (case["expect"], case["ruled"], case["passed"]) == ("approve", "hitl", False)

    def test_none(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "none.yaml"
        file.write_text("name: none\n")
        ran = run("policy", "test", str(file))
        assert ran.code == 0
        assert "add some under `cases`" in ran.err


class TestApply:
    def test_it_is_in_force_from_the_next_decision_on(self, run: Run, services: FakeServices, strict: str) -> None:
        before = submitted(run, 0.8)
        ran = run("policy", "apply", strict, *TENANT, "--as", "ann")
        assert ran.code == 0
        assert ran.out.startswith("strict@v1+")
        after = submitted(run, 0.8)
        states = [run("plan", "show", plan, *TENANT, *JSON).json["state"] for plan in (before, after)]
        assert states == ["completed", "in_review"]
        assert "strict@v1+" in run("policy", "show", *TENANT, "--versions").out
        assert run("policy", "show", *TENANT, "--versions", *JSON).json[0]["applied_by"] == "ann"
        assert services.database.policy("acme").own

    def test_the_same_again_is_no_new_version(self, run: Run, strict: str) -> None:
        first = run("policy", "apply", strict, *TENANT, *JSON).json
        again = run("policy", "apply", strict, *TENANT)
        assert again.out == f"{first['version']} is in force already\n"
        assert first["changed"] is True

    def test_one_that_fails_its_own_cases_is_refused(self, run: Run, services: FakeServices, wrong: str) -> None:
        ran = run("policy", "apply", wrong, *TENANT)
        assert (ran.code, ran.out) == (1, "")
        assert "not applied: these cases are not ruled as they expect: hopeful" in ran.err
        assert not services.database.policy("acme").own

    def test_a_dry_run_changes_nothing(self, run: Run, services: FakeServices, strict: str) -> None:
        ran = run("policy", "apply", strict, "--default", "--dry-run")
        assert ran.code == 0
        assert "nothing was changed" in ran.err
        assert services.database.policy("acme").number == 0

    def test_a_default_is_all_tenants(self, run: Run, services: FakeServices, strict: str) -> None:
        ran = run("policy", "apply", strict, "--default")
        assert "in force for all tenants without a policy of their own; before: default@v0+" in ran.out
        assert "the default of all tenants" in run("policy", "show", *TENANT).out
        assert services.database.policy("acme").policy.name == "strict"

    @pytest.mark.parametrize("whom", [(), ("-t", "acme", "--default")])
    def test_whose_has_to_be_said(self, run: Run, strict: str, whom: tuple[str, ...]) -> None:
        ran = run("policy", "apply", strict, *whom)
        assert (ran.code, ran.out) == (2, "")
        assert "say whose policy: --tenant ID, or --default" in ran.err


class TestShowAndDiff:
    def test_what_is_shown_can_be_applied(self, run: Run, strict: str, tmp_path: Path) -> None:
        run("policy", "apply", strict, *TENANT)
        shown = run("policy", "show", *TENANT)
        assert "the tenant's own" in shown.out
        file = tmp_path / "again.yaml"
        file.write_text(shown.out)
        assert "in force already" in run("policy", "apply", str(file), *TENANT).out
        assert "no difference to strict@v1+" in run("policy", "diff", str(file), *TENANT).err
        assert run("policy", "show", *TENANT, *JSON).json["policy"]["name"] == "strict"

    def test_nothing_was_applied(self, run: Run) -> None:
        assert "the built-in default; nothing was applied" in run("policy", "show", "--default").out
        assert "nothing was applied" in run("policy", "show", "--default", "--versions").err

    def test_what_a_file_would_change(self, run: Run, strict: str) -> None:
        ran = run("policy", "diff", strict, *TENANT)
        assert "-name: default" in ran.out
        assert "+name: strict" in ran.out
        found = run("policy", "diff", strict, *TENANT, *JSON).json
        assert found["changes"] is True
        assert found["before"].startswith("default@v0+")


FLOORED = """\
name: everybody
defaults:
  confidence: {approve: 0.8}
rules:
  - {name: keyword.tulip, keywords: [tulip], then: deny}
floor:
  approve: 0.8
  rules: [keyword.tulip]
"""
BELOW = """\
name: mild
defaults:
  confidence:
    approve: 0.0
rules:
  - name: keyword.rose
    keywords: [rose]
"""


class TestFloor:
    """What the operator's policy asks of all others at least."""

    @pytest.fixture
    def floored(self, tmp_path: Path) -> str:
        file = tmp_path / "floored.yaml"
        file.write_text(FLOORED)
        return str(file)

    @pytest.fixture
    def low(self, tmp_path: Path) -> str:
        file = tmp_path / "low.yaml"
        file.write_text(BELOW)
        return str(file)

    def faults(self, low: str) -> list[str]:
        return [
            f"{low}:4: defaults.confidence.approve: 0.0 is below the floor, 0.8",
            f"{low}:5: rules: keyword.tulip is missing, which the floor asks of everybody",
        ]

    def test_what_is_below_it_is_refused_with_each_line(self, run: Run, floored: str, low: str) -> None:
        assert run("policy", "apply", floored, "--default").code == 0
        for words in ((), ("--dry-run",)):
            ran = run("policy", "apply", low, *TENANT, *words)
            assert (ran.code, ran.out) == (2, "")
            assert ran.err.removeprefix("error: ").splitlines() == self.faults(low)
        assert run("policy", "show", *TENANT, "--versions").out == ""

    def test_a_file_is_checked_against_it_without_a_server(self, run: Run, floored: str, low: str) -> None:
        assert run("policy", "check", low).code == 0
        ran = run("policy", "check", low, "--floor", floored)
        assert (ran.code, ran.err.removeprefix("error: ").splitlines()) == (2, self.faults(low))
        assert run("policy", "check", floored, "--floor", floored).code == 0

    def test_a_default_below_its_own_floor_is_refused(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "odd.yaml"
        file.write_text(FLOORED.replace("confidence: {approve: 0.8}", "confidence: {approve: 0.7}"))
        for words in (("check",), ("apply", "--default")):
            ran = run("policy", words[0], str(file), *words[1:])
            assert (ran.code, ran.out) == (2, "")
            assert f"{file}:3: defaults.confidence.approve: 0.7 is below the floor, 0.8" in ran.err
        file.write_text(FLOORED.replace("rules: [keyword.tulip]", "rules: [keyword.rose]"))
        assert "rules keyword.rose are none of this policy's own" in run("policy", "check", str(file)).err

    def test_whom_it_isolates_is_checked_shown_and_weakened_on_record(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "apart.yaml"
        file.write_text("floor:\n  isolated: [Acme Inc]\n")
        ran = run("policy", "check", str(file))
        assert ran.code == 2
        assert f"{file}:2: floor.isolated" in ran.err
        file.write_text("floor:\n  isolated: [acme]\n")
        assert run("policy", "check", str(file)).code == 0
        assert run("policy", "apply", str(file), "--default").code == 0
        assert run("policy", "show", *TENANT, *JSON).json["isolated"] is True
        assert "skills and planners of acme run at level host" in run("policy", "show", *TENANT).out
        assert run("policy", "show", "--default", *JSON).json["isolated"] is False
        file.write_text("floor:\n  isolated: '*'\n")
        assert run("policy", "apply", str(file), "--default", *JSON).json["weakened"] == []
        assert "of all tenants run at level host" in run("policy", "show", "--default").out
        file.write_text("name: default\n")
        assert "asks less: floor.isolated: none, was *" in run("policy", "diff", str(file), "--default").err
        assert run("policy", "apply", str(file), "--default", *JSON).json["weakened"] == ["floor.isolated: none, was *"]

    def test_what_is_in_force_is_raised_to_it_and_shown_so(self, run: Run, floored: str, low: str) -> None:
        assert run("policy", "apply", low, *TENANT).code == 0
        default = run("policy", "apply", floored, "--default", *JSON).json["version"]
        shown = run("policy", "show", *TENANT, *JSON).json
        assert shown["floor"] == default
        assert shown["version"].startswith("mild@v1+")
        assert shown["version"].endswith(f"^{default}")
        assert shown["policy"]["defaults"]["confidence"]["approve"] == 0.8
        assert [rule["name"] for rule in shown["policy"]["rules"]] == ["keyword.tulip", "keyword.rose"]
        ran = run("policy", "show", *TENANT)
        assert f"# raised to the floor of {default}\n" in ran.out
        submitted(run, 0.75, 0.95)
        [card] = run("review", "list", *TENANT, *JSON).json
        assert card["policy_version"] == shown["version"]

    def test_a_diff_says_what_is_given_up_and_what_is_below(self, run: Run, floored: str, low: str) -> None:
        run("policy", "apply", floored, "--default")
        ran = run("policy", "diff", low, *TENANT)
        assert ran.err.splitlines() == [
            "asks less: defaults.confidence.approve: 0.0, was 0.8",
            "asks less: rules.keyword.tulip: dropped",
            "asks less: floor.approve: none, was 0.8",
            "asks less: floor.rules: without keyword.tulip",
            *(f"below the floor: {fault}" for fault in self.faults(low)),
        ]
        found = run("policy", "diff", low, *TENANT, *JSON).json
        assert found["below_floor"] == self.faults(low)
        assert len(found["weakened"]) == 4

    def test_what_is_given_up_is_told_and_on_record(
        self, run: Run, services: FakeServices, strict: str, low: str
    ) -> None:
        run("policy", "apply", strict, *TENANT)
        ran = run("policy", "apply", low, *TENANT, *JSON)
        assert "asks less: defaults.confidence.approve: 0.0, was 0.9" in ran.err
        assert "defaults.confidence.approve: 0.0, was 0.9" in ran.json["weakened"]
        [*_, entry] = services.adapters.plans.entries("acme", None, 0, 1000)
        assert entry.facts is not None
        assert entry.facts["weakened"] == ran.json["weakened"]

    def test_a_simulation_is_of_what_would_be_in_force(self, run: Run, floored: str, low: str) -> None:
        submitted(run, 0.75)
        assert run("policy", "simulate", low, *TENANT, *JSON).json["changed"] == 0
        run("policy", "apply", floored, "--default")
        assert run("policy", "simulate", low, *TENANT, *JSON).json["after"] == {"hitl": 1}


class TestSimulate:
    def test_what_would_change(self, run: Run, strict: str) -> None:
        plan = submitted(run, 0.95, 0.8, 0.5)
        submitted(run, 0.75)
        ran = run("policy", "simulate", strict, *TENANT)
        assert ran.code == 0
        assert "2 of 4 results would be ruled on otherwise" in ran.out
        assert "confidence.below" in ran.out
        ran = run("policy", "simulate", strict, *TENANT, "--plan", plan, *JSON)
        assert ran.code == 0, ran.err
        found = ran.json
        assert (found["results"], found["changed"]) == (3, 1)
        assert found["before"] == {"approve": 2, "hitl": 1}
        assert found["after"] == {"approve": 1, "hitl": 2}
        assert found["by_rule"] == {"confidence.below": 1}
        [change] = found["changes"]
        assert (change["plan_id"], change["before"], change["after"]) == (plan, "approve", "hitl")
        assert change["task_id"].startswith("tk_")

    def test_more_than_are_shown(self, run: Run, strict: str) -> None:
        submitted(run, 0.8, 0.8, 0.8)
        ran = run("policy", "simulate", strict, *TENANT, "--limit", "1")
        assert ran.out.count("tk_") == 1
        assert "2 more; --limit shows them" in ran.err

    def test_nothing_was_judged(self, run: Run, strict: str) -> None:
        assert "no results were judged" in run("policy", "simulate", strict, *TENANT).err
        submitted(run, 0.8)
        ran = run("policy", "simulate", strict, *TENANT, "--since", "2100-01-01")
        assert "no results were judged since 2100-01-01" in ran.err

    def test_nothing_is_written(self, run: Run, services: FakeServices, strict: str) -> None:
        submitted(run, 0.8)
        entries = len(services.database.audit["acme"])
        run("policy", "simulate", strict, *TENANT)
        assert len(services.database.audit["acme"]) == entries
        assert services.database.policy("acme").number == 0
