"""What seals the audit, and what verifying it needs: it has no broker, and imports no code of the project's."""

from functools import cached_property
from pathlib import Path

from chimera.adapters.files.checkpoint_place import CheckpointPlace as FilePlace
from chimera.adapters.files.key_ring import KeyRing
from chimera.adapters.http.checkpoint_place import CheckpointPlace as HttpPlace
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.checkpoint_store import CheckpointStore
from chimera.adapters.postgres.stores.export_store import ExportStore
from chimera.ports.checkpoint_place import CheckpointPlace
from chimera.ports.clock import Clock
from chimera.services.checkpointer import Checkpointer
from chimera.services.export_sealer import ExportSealer
from chimera.services.sealer import Sealer
from chimera.settings import Settings


class Auditing:
    """Places, keys and who seals; only `chimera seal` and people's commands use it. Role seal."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    @cached_property
    def places(self) -> list[CheckpointPlace]:
        """Where checkpoints are kept; empty where there are none."""
        return [_place(named) for named in self._settings.checkpoint_places]

    @cached_property
    def key_ring(self) -> KeyRing:
        """The keys of checkpoints."""
        return KeyRing(self._settings.audit_keys, self._clock)

    @cached_property
    def checkpointer(self) -> Checkpointer:
        """Signs checkpoints."""
        return Checkpointer(
            self._store,
            self.places,
            self.key_ring,
            self._clock,
            origin=self._settings.checkpoint_origin,
            interval_seconds=self._settings.checkpoint_seconds,
        )

    @cached_property
    def sealer(self) -> Sealer:
        """Has that done again and again."""
        return Sealer(self.checkpointer, self.exports, interval_seconds=self._settings.checkpoint_seconds)

    @cached_property
    def exports(self) -> ExportSealer:
        """Signs the headers of exports."""
        exports = ExportStore(self._database)
        return ExportSealer(exports, self.checkpointer, self._store, self.key_ring, self._clock)

    @cached_property
    def _store(self) -> CheckpointStore:
        return CheckpointStore(self._database)

    @cached_property
    def _database(self) -> Database:
        return Database(self._settings.require("seal_database_url"), self._settings.database_pool_size)


def _place(named: str) -> CheckpointPlace:
    return HttpPlace(named) if named.startswith(("http://", "https://")) else FilePlace(Path(named).expanduser())
