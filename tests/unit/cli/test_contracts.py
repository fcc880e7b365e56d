import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from pydantic import ValidationError

from chimera import contracts
from chimera.contracts import DIALECT, schemas, texts, write
from chimera.models.record import Record
from chimera.models.work.plan import PlanRequest
from tests.unit.cli.conftest import Run
from tests.unit.cli.swarm import FakeServices

FOLDER = Path(__file__).parents[3] / contracts.FOLDER


def test_contracts_are_as_the_models_are() -> None:
    kept = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.iterdir()}
    assert kept == texts(), (
        "a public record has changed: `./run contracts` writes contracts/ anew, and say so in CHANGELOG.md"
    )


@pytest.mark.parametrize("name", schemas())
def test_each_is_a_json_schema_with_its_name(name: str) -> None:
    schema = schemas()[name]
    jsonschema_rs.meta.validate(schema)
    assert (schema["$schema"], schema["title"]) == (DIALECT, name)


def test_writing_anew_leaves_none_of_a_record_that_is_no_more(tmp_path: Path) -> None:
    (tmp_path / "Gone.json").write_text("{}")
    write(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == set(texts())


def valid(name: str, value: Any) -> bool:
    return jsonschema_rs.validator_for(schemas()[name], validate_formats=True).is_valid(value)


REQUEST = {"tenant_id": "acme", "planner": "p", "trace_id": "t"}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"session_id": "s", "priority": 100, "inputs": {"rows": [1]}, "deadline": "2026-11-20T18:00:00Z"},
        {"tenant_id": "Acme"},
        {"priority": 101},
        {"priority": "50"},
        {"planner": ""},
        {"colour": "red"},
        {"inputs": []},
    ],
)
def test_a_request_is_taken_where_its_contract_says_so(fields: dict[str, Any]) -> None:
    request = REQUEST | fields
    try:
        PlanRequest.model_validate_json(json.dumps(request))
        taken = True
    except ValidationError:
        taken = False
    assert valid("PlanRequest", request) == taken


def test_what_a_swarm_gives_is_as_its_contracts_say(run: Run, services: FakeServices, plan_id: str) -> None:
    adapters = services.adapters
    run("plan", "submit", "echoes", "-t", "acme", "--session", "s", "--set", "rows=[]")
    [plan, _] = adapters.plans.list_plans("acme", 9)[::-1]
    tasks = adapters.tasks.list_tasks("acme", plan_id=plan.plan_id, limit=9)
    histories = [adapters.tasks.history("acme", task.task_id) for task in tasks]
    given: dict[str, Sequence[Record]] = {
        "Plan": [plan],
        "TaskStanding": tasks,
        "TaskHistory": histories,
        "TaskEvent": [event for history in histories for event in history.timeline()],
        "ReviewCard": adapters.reviews.cards("acme", plan_id=None, status=None, limit=9),
        "AuditEntry": adapters.plans.last_entries("acme", 100),
        "Session": [adapters.sessions.get("acme", "s")],
        "Result": list(adapters.database.results.values()),
        "Decision": [decision for _, decision in adapters.database.decided],
        "Task": [row.task for row in adapters.database.tasks.values()],
    }
    for name, records in given.items():
        assert records, name
        for record in records:
            dumped = record.model_dump(mode="json")
            assert valid(name, dumped), name
            assert type(record).model_validate_json(json.dumps(dumped)) == record
        assert not valid(name, dumped | {"colour": "red"}), name
