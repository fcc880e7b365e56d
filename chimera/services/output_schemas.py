"""The schemas that outputs are checked against: those that workers declared with the version of the skill that ran."""

from collections import OrderedDict
from collections.abc import Iterable

import structlog

from chimera.models.gate.gate import Staged, schema_fault
from chimera.models.record import read_json
from chimera.models.work.json_schema import JsonSchema
from chimera.models.work.result import SuccessOutcome
from chimera.ports.skill_store import SkillStore

log = structlog.get_logger(__name__)

# Compiled schemas with their patterns: each pattern may take a megabyte.
_KEPT = 256


class OutputSchemas:
    """Each version's schema, read once and compiled once for as long as there is room for it."""

    def __init__(self, store: SkillStore) -> None:
        self._store = store
        # By fingerprint, the one that was used last at the end; None for one that cannot be used.
        self._known: OrderedDict[bytes, JsonSchema | None] = OrderedDict()

    def learn(self, results: Iterable[Staged]) -> None:
        """Reads what is needed for these results, in one statement where something is.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        needed = {
            staged.fingerprint
            for staged in results
            if staged.fingerprint is not None and isinstance(staged.outcome, SuccessOutcome)
        }
        self._forget()
        if missing := needed - self._known.keys():
            for fingerprint, text in self._store.output_schemas(missing).items():
                self._known[fingerprint] = _compiled(fingerprint, text)

    def fault(self, staged: Staged) -> str | None:
        """Where an output does not fit, as `schema_fault` says it; `learn` came before."""
        fingerprint = staged.fingerprint
        if fingerprint is None or fingerprint not in self._known:
            return schema_fault(staged, None)
        self._known.move_to_end(fingerprint)
        return schema_fault(staged, self._known[fingerprint])

    def _forget(self) -> None:
        """Makes room: those that were used last stay."""
        left = _KEPT
        for fingerprint in reversed([*self._known]):
            schema = self._known[fingerprint]
            left -= schema.weight if schema else 1
            if left < 0:
                del self._known[fingerprint]


def _compiled(fingerprint: bytes, text: str | None) -> JsonSchema | None:
    """The schema; None where it cannot be used, as one that an earlier release or somebody else declared."""
    try:
        return JsonSchema(read_json(text or ""))
    except ValueError as exc:
        log.warning("schema_unusable", fingerprint=fingerprint.hex(), why=str(exc))
        return None
