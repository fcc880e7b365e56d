"""The sealer: has the audit sealed again and again, and outlives whatever keeps it from that."""

from collections.abc import Callable
from time import monotonic

import structlog

from chimera.errors import AuditUnavailable, StoreRefused, StoreUnavailable
from chimera.services.checkpointer import Checkpointer
from chimera.services.export_sealer import ExportSealer

log = structlog.get_logger(__name__)

# A tenant whose checkpoint is due waits for it no longer than this; and who exports, for an answer.
LOOK_EVERY_SECONDS = 10.0
ANSWER_EVERY_SECONDS = 0.5


class Sealer:
    """What the process `chimera seal` does."""

    def __init__(self, checkpointer: Checkpointer, exports: ExportSealer, *, interval_seconds: float) -> None:
        self._checkpointer = checkpointer
        self._exports = exports
        self._look_every_seconds = min(interval_seconds, LOOK_EVERY_SECONDS)
        # On the monotonic clock, when each is done again.
        self._audits_at = self._exports_at = 0.0

    def run(self, ended: Callable[[float], bool]) -> None:
        """Seals whatever is due, and whatever somebody exports, until it has ended.

        Args:
            ended: waits so many seconds, or until this is to end; whether it is.
        """

        def between() -> bool:
            # Many tenants take a while: who exports does not wait for all of them.
            self._answer(ended)
            return ended(0.0)

        while not between():
            if monotonic() >= self._audits_at:
                self._try(self._checkpointer.run, between)
                self._audits_at = monotonic() + self._look_every_seconds
            ended(max(0.0, min(self._audits_at, self._exports_at) - monotonic()))

    def _answer(self, ended: Callable[[float], bool]) -> None:
        if monotonic() >= self._exports_at:
            went_well = self._try(self._exports.run, lambda: ended(0.0))
            self._exports_at = monotonic() + (ANSWER_EVERY_SECONDS if went_well else self._look_every_seconds)

    def _try(self, seal: Callable[[Callable[[], bool]], int], ended: Callable[[], bool]) -> bool:
        try:
            seal(ended)
        except (AuditUnavailable, StoreUnavailable, StoreRefused) as exc:
            # A place, the key or PostgreSQL is away: that is mended elsewhere, and may be by the next time.
            log.error("sealing_failed", why=str(exc), again_in_seconds=self._look_every_seconds)  # noqa: TRY400
            return False
        return True
