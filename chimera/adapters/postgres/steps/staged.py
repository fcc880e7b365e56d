"""A staged result as it was read."""

from typing import Any

from psycopg.rows import DictRow

from chimera.models.gate.gate import Staged
from chimera.models.record import read_json
from chimera.models.work.result import INVALID_RESULT, NO_USAGE, FailureOutcome, Usage, read_outcome


def staged(row: DictRow) -> Staged:
    """The result with what the gate needs of its task: a row with the names of `Staged`, and JSON as text.

    Whoever staged it: what cannot be read is a failure, and must not keep the wave from being judged.
    """
    values: dict[str, Any] = {**row, "size": len(row["outcome"])}
    cost = {name: values.pop(name) for name in ("tokens", "cost_usd")}
    try:
        usage = Usage(**cost) if any(cost.values()) else NO_USAGE
        values |= {"outcome": read_outcome(row["outcome"]), "input": read_json(row["input"]), "usage": usage}
        return Staged.model_validate(values)
    except ValueError as exc:
        # Of pydantic's error the text names places and rules, without values.
        failure = FailureOutcome(code=INVALID_RESULT, message=str(exc).splitlines()[0], retryable=False)
        return Staged.model_validate(values | {"outcome": failure, "input": {}, "usage": NO_USAGE})
