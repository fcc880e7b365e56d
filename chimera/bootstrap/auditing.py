"""What keepers of the audit use."""

from functools import cached_property

from chimera.bootstrap.group import Group
from chimera.services.checkpointer import Checkpointer


class Auditing(Group):
    """Seals the audit; role judge."""

    @cached_property
    def checkpointer(self) -> Checkpointer:
        """Signs checkpoints."""
        return Checkpointer(
            self._adapters.checkpoints,
            self._adapters.checkpoint_places,
            self._adapters.key_ring,
            self._clock,
            origin=self._settings.checkpoint_origin,
            interval_seconds=self._settings.checkpoint_seconds,
        )
