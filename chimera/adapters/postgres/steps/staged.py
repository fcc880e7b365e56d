"""A staged result as it was read."""

from psycopg.rows import DictRow
from pydantic import ValidationError

from chimera.models.gate.gate import Staged
from chimera.models.work.result import OUTCOME, FailureOutcome, Usage


def staged(row: DictRow) -> Staged:
    """The result with what the gate needs of its task: a row with the names of `Staged`."""
    try:
        outcome = OUTCOME.validate_python(row["outcome"], strict=False)
    except ValidationError:
        # Staged by something else than this release's worker: it must not keep the wave from being judged.
        outcome = FailureOutcome(code="unreadable_result", message="the staged result is no outcome", retryable=False)
    usage = Usage(tokens=row.pop("tokens"), cost_usd=row.pop("cost_usd"))
    return Staged.model_validate(row | {"outcome": outcome, "usage": usage})
