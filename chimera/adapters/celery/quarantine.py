"""Messages that were refused, kept for people to look at: the newest of them, each with its reason.

Keys: `chimera:quarantine`, a list of JSON documents, the newest first. Whoever may write to the broker can write to it,
too: what is read of it is checked, and is nobody's word.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from chimera.adapters.celery.broker_keys import QUARANTINE
from chimera.models.work.quarantined import MAX_KEPT_BYTES, Quarantined

# With MAX_KEPT_BYTES of each, in hex digits, at most 9 MB.
MAX_ENTRIES = 1000


class Quarantine:
    """The list, over a Redis client of the broker."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def put(self, raw: bytes, queue: str, reason: str) -> None:
        """Keeps the beginning of a message; the oldest one makes room for it."""
        entry = Quarantined(
            entry_id=uuid4().hex[:12],
            at=datetime.now(UTC),
            reason=reason,
            queue=queue[:255],
            size_bytes=len(raw),
            content=raw[:MAX_KEPT_BYTES],
        )
        pipe = self._client.pipeline(transaction=False)
        pipe.lpush(QUARANTINE, entry.model_dump_json())
        pipe.ltrim(QUARANTINE, 0, MAX_ENTRIES - 1)
        pipe.execute()

    def entries(self) -> list[Quarantined]:
        """What is kept, the newest first."""
        return [entry for _, entry in self._read()]

    def drop(self, entry_ids: frozenset[str] | None) -> int:
        """Forgets these, or all of them (None); returns how many there were."""
        if entry_ids is None:
            found = int(self._client.llen(QUARANTINE))
            self._client.delete(QUARANTINE)
            return found
        return sum(
            int(self._client.lrem(QUARANTINE, 0, raw)) for raw, entry in self._read() if entry.entry_id in entry_ids
        )

    def _read(self) -> list[tuple[bytes, Quarantined]]:
        found = []
        for raw in self._client.lrange(QUARANTINE, 0, MAX_ENTRIES - 1):
            try:
                found.append((raw, Quarantined.model_validate_json(raw)))
            except ValidationError:
                self._client.lrem(QUARANTINE, 0, raw)  # none of ours
        return found
