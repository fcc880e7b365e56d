"""Checkpoints in memory: the store's, and a place's."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from chimera.errors import AuditUnavailable, CheckpointConflict
from chimera.models.audit.audit import ChainHead
from chimera.models.audit.checkpoint import Checkpoint
from chimera.ports import checkpoint_place, checkpoint_store
from tests.fakes.database import FakeDatabase


class FakeCheckpointPlace(checkpoint_place.CheckpointPlace):
    readable = True

    def __init__(self, name: str = "fake") -> None:
        self.name = name
        # False is a place that cannot be reached.
        self.available = True
        self._kept: dict[str, list[Checkpoint]] = defaultdict(list)

    def append(self, checkpoint: Checkpoint) -> None:
        kept = self._opened()[checkpoint.tenant_id]
        if kept and kept[-1].digest == checkpoint.digest:
            return
        if kept and (checkpoint.previous, checkpoint.number) != (kept[-1].digest, kept[-1].number + 1):
            raise CheckpointConflict
        kept.append(checkpoint)

    def last(self, tenant_id: str) -> Checkpoint | None:
        kept = self._opened()[tenant_id]
        return kept[-1] if kept else None

    def read(self, tenant_id: str) -> Iterator[Checkpoint]:
        return iter(tuple(self._opened()[tenant_id]))

    def tenants(self) -> set[str]:
        return {tenant_id for tenant_id, kept in self._opened().items() if kept}

    def check(self) -> None:
        self._opened()

    def _opened(self) -> dict[str, list[Checkpoint]]:
        if not self.available:
            raise AuditUnavailable(f"{self.name} is not there")
        return self._kept


class FakeCheckpointStore(checkpoint_store.CheckpointStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database
        self._made: dict[str, list[Checkpoint]] = defaultdict(list)
        self._kept: dict[str, int] = defaultdict(int)
        self._made_at: dict[str, datetime] = {}

    def due(self, interval_seconds: float, key_id: str | None) -> list[str]:
        return [
            tenant_id
            for tenant_id, entries in self._database.opened().audit.items()
            if entries and self._is_due(tenant_id, len(entries), interval_seconds, key_id)
        ]

    def numbers(self) -> dict[str, int]:
        return {tenant_id: made[-1].number for tenant_id, made in self._made.items() if made}

    def head(self, tenant_id: str) -> ChainHead:
        entries = self._database.opened().audit[tenant_id]
        return ChainHead(seq=len(entries), hash=entries[-1].hash if entries else bytes(32))

    def entry_hash(self, tenant_id: str, seq: int) -> bytes | None:
        return next((entry.hash for entry in self._database.opened().audit[tenant_id] if entry.seq == seq), None)

    def last(self, tenant_id: str) -> Checkpoint | None:
        return self._made[tenant_id][-1] if self._made[tenant_id] else None

    def after(self, tenant_id: str, number: int) -> list[Checkpoint]:
        return [checkpoint for checkpoint in self._made[tenant_id] if checkpoint.number > number]

    def add(self, checkpoint: Checkpoint) -> bool:
        tenant_id = checkpoint.tenant_id
        taken = any(made.number == checkpoint.number for made in self._made[tenant_id])
        found = self.entry_hash(tenant_id, checkpoint.seq)
        if taken or found is None or found.hex() != checkpoint.hash:
            return False
        self._made[tenant_id].append(checkpoint)
        self._made_at[tenant_id] = self._database.now()
        return True

    def unsealed_since(self, tenant_id: str) -> datetime | None:
        sealed = max((made.seq for made in self._made[tenant_id] if made.number <= self._kept[tenant_id]), default=0)
        entries = self._database.opened().audit[tenant_id]
        return next((entry.at for entry in entries if entry.seq == sealed + 1), None)

    def mark_kept(self, tenant_id: str, number: int) -> None:
        self._kept[tenant_id] = max(number, self._kept[tenant_id])

    def _is_due(self, tenant_id: str, seq: int, interval_seconds: float, key_id: str | None) -> bool:
        last = self.last(tenant_id)
        if last is None or last.number > self._kept[tenant_id] or last.key_id != key_id:
            return True
        age_seconds = (self._database.now() - self._made_at[tenant_id]).total_seconds()
        return seq != last.seq and age_seconds > interval_seconds
