"""The sealer: has the audit sealed again and again, and outlives whatever keeps it from that."""

from collections.abc import Callable

import structlog

from chimera.errors import AuditUnavailable, StoreRefused, StoreUnavailable
from chimera.services.checkpointer import Checkpointer

log = structlog.get_logger(__name__)

# A tenant whose checkpoint is due waits for it no longer than this.
LOOK_EVERY_SECONDS = 10.0


class Sealer:
    """What the process `chimera seal` does."""

    def __init__(self, checkpointer: Checkpointer, *, interval_seconds: float) -> None:
        self._checkpointer = checkpointer
        self._look_every_seconds = min(interval_seconds, LOOK_EVERY_SECONDS)

    def run(self, ended: Callable[[float], bool]) -> None:
        """Seals whatever is due, until it has ended.

        Args:
            ended: waits so many seconds, or until this is to end; whether it is.
        """
        while not ended(0.0):
            try:
                self._checkpointer.run(lambda: ended(0.0))
            except (AuditUnavailable, StoreUnavailable, StoreRefused) as exc:
                # A place, the key or PostgreSQL is away: that is mended elsewhere, and may be by the next time.
                log.error("sealing_failed", why=str(exc), again_in_seconds=self._look_every_seconds)  # noqa: TRY400
            if ended(self._look_every_seconds):
                return
