"""The JSON Schemas of the public records. `python -m chimera.contracts` writes them to `contracts/`, each to a file.

A record's JSON is what its `model_dump(mode="json")` gives: ids are UUIDs, times ISO 8601 with their zone, hashes hex.
Of what somebody hands in, the schema says what is taken; of all else, what is given.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from chimera.models.audit.audit import AuditEntry
from chimera.models.audit.checkpoint import Checkpoint
from chimera.models.gate.policy import Policy
from chimera.models.gate.review import ReviewCard, Revision
from chimera.models.work.agent import Agent
from chimera.models.work.decision import Decision
from chimera.models.work.declaration import StoredPlanner, StoredSkill
from chimera.models.work.history import TaskEvent, TaskHistory, TaskStanding
from chimera.models.work.plan import Plan, PlanChange, PlanRequest
from chimera.models.work.result import OUTCOME, Result
from chimera.models.work.session import Session, SessionChange
from chimera.models.work.state import StateEntry
from chimera.models.work.task import Task, TaskSpec

FOLDER = Path("contracts")
DIALECT = "https://json-schema.org/draft/2020-12/schema"

# What somebody hands in.
_TAKEN: Mapping[str, TypeAdapter[Any]] = {
    "PlanRequest": TypeAdapter(PlanRequest),
    "Policy": TypeAdapter(Policy),
    "TaskSpec": TypeAdapter(TaskSpec),
}
_GIVEN: Mapping[str, TypeAdapter[Any]] = {
    "AgentHeartbeat": TypeAdapter(Agent),
    "AuditEntry": TypeAdapter(AuditEntry),
    "Checkpoint": TypeAdapter(Checkpoint),
    "Decision": TypeAdapter(Decision),
    "Outcome": OUTCOME,
    "Plan": TypeAdapter(Plan),
    "PlanChange": TypeAdapter(PlanChange),
    "PlannerDeclaration": TypeAdapter(StoredPlanner),
    "Result": TypeAdapter(Result),
    "ReviewCard": TypeAdapter(ReviewCard),
    "Revision": TypeAdapter(Revision),
    "Session": TypeAdapter(Session),
    "SessionChange": TypeAdapter(SessionChange),
    "SkillDeclaration": TypeAdapter(StoredSkill),
    "StateEntry": TypeAdapter(StateEntry),
    "Task": TypeAdapter(Task),
    "TaskEvent": TypeAdapter(TaskEvent),
    "TaskHistory": TypeAdapter(TaskHistory),
    "TaskStanding": TypeAdapter(TaskStanding),
}


class _Generate(GenerateJsonSchema):
    """Bytes are hex, as records write them."""

    def bytes_schema(self, schema: core_schema.BytesSchema) -> JsonSchemaValue:  # noqa: ARG002  pydantic's
        return {"type": "string", "pattern": "^([0-9a-f]{2})*$"}


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each public record, by its name."""
    found = {name: _schema(name, adapter, "validation") for name, adapter in _TAKEN.items()}
    return found | {name: _schema(name, adapter, "serialization") for name, adapter in _GIVEN.items()}


def texts() -> dict[str, str]:
    """The files of `contracts/`, by name."""
    return {f"{name}.json": json.dumps(schema, indent=2, sort_keys=True) + "\n" for name, schema in schemas().items()}


def write(folder: Path) -> None:
    """Writes the files, and removes those of records that are no more."""
    files = texts()
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.json"):
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _schema(name: str, adapter: TypeAdapter[Any], mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    schema = adapter.json_schema(mode=mode, schema_generator=_Generate)
    return {"$schema": DIALECT} | schema | {"title": name}


def main(argv: Sequence[str]) -> None:
    """Writes to the folder that is named, else to `contracts/` of the working directory."""
    write(Path(argv[0]) if argv else FOLDER)


if __name__ == "__main__":
    main(sys.argv[1:])
