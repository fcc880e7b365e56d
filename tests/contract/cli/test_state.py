"""`chimera state`: what a tenant's tasks have agreed on."""

import pytest

from chimera.models.work.catalogue import Catalogue
from chimera.models.work.planner import Planner
from chimera.models.work.skill import Skill, Success
from chimera.models.work.task import TaskSpec
from tests.contract.cli.conftest import DatabaseServices
from tests.unit.cli.conftest import Run

TENANT = ("-t", "acme")
JSON = ("-o", "json")


def remember(value: object) -> Success[object]:
    return Success(value, confidence=0.9)


@pytest.fixture
def agreed(run: Run, catalogue: Catalogue) -> None:
    """Entries: `greeting` at version 2, `report` at version 1 and large."""
    skill = Skill(remember, name="remember", max_batch=1, timeout_seconds=5, max_attempts=1)

    def remembers(key: str, text: str) -> list[TaskSpec]:
        return [skill.task({"text": text}).options(state_key=key)]

    catalogue.add_skill(skill)
    catalogue.add_planner(Planner(remembers, name="remembers"))
    for key, text in (("greeting", "hi"), ("greeting", "hello"), ("report", "x" * 5000)):
        ran = run("plan", "submit", "remembers", *TENANT, "--set", f"key={key}", "--set", f"text={text}")
        assert ran.code == 0, ran.err


@pytest.mark.usefixtures("agreed")
class TestState:
    def test_get(self, run: Run) -> None:
        ran = run("state", "get", "greeting", *TENANT)
        assert ran.code == 0
        assert ran.out == '{\n  "text": "hello"\n}\n'
        assert ran.err.startswith("version 2, committed ")
        assert "decided by policy" in ran.err
        assert ran.err.endswith("next: chimera state history greeting --tenant acme\n")

    def test_get_as_json(self, run: Run) -> None:
        entry = run("state", "get", "greeting", *TENANT, *JSON).json
        assert (entry["value"], entry["version"], entry["value_omitted"]) == ({"text": "hello"}, 2, False)
        assert (entry["plan_id"][:3], entry["task_id"][:3]) == ("pl_", "tk_")
        assert run("state", "get", "report", *TENANT, *JSON).json["value"] == {"text": "x" * 5000}

    def test_what_was_erased_is_shown_as_redacted(self, run: Run) -> None:
        entry = run("state", "get", "greeting", *TENANT, *JSON).json
        run("audit", "erase", "--plan", entry["plan_id"], "--reason", "asked to", *TENANT)
        assert run("state", "get", "greeting", *TENANT).out == "redacted\n"
        assert "redacted" in run("state", "list", *TENANT).out
        assert "redacted" in run("state", "history", "greeting", *TENANT).out
        entry = run("state", "get", "greeting", *TENANT, *JSON).json
        assert (entry["value"], entry["redacted"]) == (None, True)

    def test_get_of_what_is_not_there(self, run: Run) -> None:
        for command in ("get", "history"):
            ran = run("state", command, "nothing", *TENANT)
            assert (ran.code, ran.out) == (3, "")
            assert "shared state" in ran.err

    def test_list(self, run: Run) -> None:
        ran = run("state", "list", *TENANT)
        assert ran.out.splitlines()[0].split() == ["KEY", "VERSION", "COMMITTED", "BY", "TASK", "VALUE"]
        assert [line.split()[0] for line in ran.out.splitlines()[1:]] == ["greeting", "report"]
        assert [entry["key"] for entry in run("state", "list", *TENANT, "--prefix", "re", *JSON).json] == ["report"]
        ran = run("state", "list", *TENANT, "--prefix", "zzz")
        assert (ran.code, ran.out) == (0, "")
        assert ran.err == "no shared state of acme with a key that begins with 'zzz'\n"
        assert run("state", "list", *TENANT, "--limit", "1").err.endswith("the first 1; --limit shows more\n")

    def test_history(self, run: Run) -> None:
        versions = run("state", "history", "greeting", *TENANT, *JSON).json
        assert [(entry["version"], entry["value"]["text"]) for entry in versions] == [(2, "hello"), (1, "hi")]
        lines = run("state", "history", "greeting", *TENANT).out.splitlines()
        assert [line.split()[0] for line in lines] == ["VERSION", "2", "1"]

    def test_large_values_are_named_by_their_hash(self, run: Run) -> None:
        [entry] = run("state", "history", "report", *TENANT, *JSON).json
        assert (entry["value"], entry["value_omitted"]) == (None, True)
        assert entry["result_size"] > 5000
        shown = " ".join(run("state", "history", "report", *TENANT).out.split())
        assert f"(result of {entry['result_size']} bytes, SHA-256 {entry['result_sha256'][:12]}...)" in shown

    def test_another_tenant_sees_nothing(self, run: Run, services: DatabaseServices) -> None:
        services.adapters.tenants.add("globex", "tests")
        assert run("state", "list", "-t", "globex", *JSON).json == []
        assert run("state", "get", "greeting", "-t", "globex").code == 3
