"""The export sealer: signs for who exports where an audit begins and ends, once a checkpoint seals that end."""

from collections.abc import Callable

import structlog

from chimera.errors import AuditUnavailable
from chimera.models.audit.audit import NO_ENTRIES
from chimera.models.audit.export import AskedExport, ExportHeader
from chimera.ports.checkpoint_store import CheckpointStore
from chimera.ports.clock import Clock
from chimera.ports.export_store import ExportStore
from chimera.ports.key_ring import KeyRing
from chimera.services.checkpointer import Checkpointer

log = structlog.get_logger(__name__)


class ExportSealer:
    """Answers who asked for the seal of an export."""

    def __init__(
        self, exports: ExportStore, checkpointer: Checkpointer, store: CheckpointStore, keys: KeyRing, clock: Clock
    ) -> None:
        self._exports = exports
        self._checkpointer = checkpointer
        self._store = store
        self._keys = keys
        self._clock = clock

    def run(self, ended: Callable[[], bool] = lambda: False) -> int:
        """Answers one export of each tenant that asked, until it has `ended`; returns how many were answered.

        Raises:
            AuditUnavailable: one could not be sealed; the others were.
            StoreUnavailable: PostgreSQL does not answer.
        """
        answered, first = 0, None
        for asked in self._exports.asked():
            if ended():
                break
            try:
                answered += self.answer(asked)
            except AuditUnavailable as exc:
                log.error("export_not_sealed", tenant_id=asked.tenant_id, why=str(exc))  # noqa: TRY400  as elsewhere
                first = first or exc
        if first is not None:
            raise first
        return answered

    def answer(self, asked: AskedExport) -> bool:
        """Seals the tenant's audit to its end, and signs a header up to there; False where another one is at it.

        Raises:
            AuditUnavailable: the key or a place fails, or what was sealed is not there any more.
            StoreUnavailable: PostgreSQL does not answer.
        """
        tenant_id = asked.tenant_id
        head = self._store.head(tenant_id)
        self._checkpointer.seal(tenant_id)
        last = self._store.last(tenant_id)
        before = NO_ENTRIES.hash if asked.after_seq == 0 else self._store.entry_hash(tenant_id, asked.after_seq)
        if before is None or asked.after_seq >= head.seq:
            self._exports.answer(asked, None)
            return True
        if last is None or last.seq < head.seq:
            return False
        draft = ExportHeader(
            tenant_id=tenant_id,
            exported_at=self._clock.now(),
            after_seq=asked.after_seq,
            after_hash=before.hex(),
            head_seq=last.seq,
            head_hash=last.hash,
            entries=last.seq - asked.after_seq,
            checkpoint=last.number,
            keys=(),
        )
        self._exports.answer(asked, self._keys.sign_header(draft))
        log.info("export_sealed", tenant_id=tenant_id, after_seq=asked.after_seq, head_seq=last.seq)
        return True
