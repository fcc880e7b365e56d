"""The checkpointer: seals each tenant's audit by signed checkpoints, outside of the database."""

from collections.abc import Callable, Sequence

import structlog

from chimera.errors import AuditContradicted, AuditUnavailable, CheckpointConflict
from chimera.models.audit.audit import ChainHead
from chimera.models.audit.checkpoint import NO_CHECKPOINT, Checkpoint, CheckpointChain, UnsignedCheckpoint
from chimera.ports.checkpoint_place import CheckpointPlace
from chimera.ports.checkpoint_store import CheckpointStore
from chimera.ports.clock import Clock
from chimera.ports.key_ring import KeyRing

log = structlog.get_logger(__name__)


class Checkpointer:
    """Any number may run at once: a checkpoint's number is one row's, and a place takes each once."""

    def __init__(
        self,
        store: CheckpointStore,
        places: Sequence[CheckpointPlace],
        keys: KeyRing,
        clock: Clock,
        *,
        origin: str,
        interval_seconds: float,
    ) -> None:
        self._store = store
        self._places = places
        self._keys = keys
        self._clock = clock
        self._origin = origin
        self._interval_seconds = interval_seconds

    def run(self, ended: Callable[[], bool] = lambda: False) -> int:
        """Seals every tenant that needs it, until it has `ended`; returns how many checkpoints were made.

        Raises:
            AuditUnavailable: one could not be sealed; the others were. While that lasts, the Judge stops deciding.
            StoreUnavailable: PostgreSQL does not answer.
        """
        if not self._places:
            return 0
        active = [key.key_id for key in self._keys.trusted() if key.retired_at is None]
        made, first = 0, None
        due = self._store.due(self._interval_seconds, active[-1] if active else None)
        for tenant_id in dict.fromkeys([*due, *self._ahead()]):
            if ended():
                break
            try:
                made += self.seal(tenant_id)
            except AuditUnavailable as exc:
                # One line: what is wrong stands outside of this program.
                log.error("audit_not_sealed", tenant_id=tenant_id, why=str(exc))  # noqa: TRY400
                first = first or exc
        if first is not None:
            raise first
        return made

    def overdue(self) -> list[tuple[str, float]]:
        """The tenants whose oldest unsealed entry is older than two intervals, and how old it is, in seconds."""
        now, found = self._clock.now(), []
        for tenant_id in self._store.due(self._interval_seconds, None):
            since = self._store.unsealed_since(tenant_id)
            late_seconds = (now - since).total_seconds() if since else 0.0
            if late_seconds > 2 * self._interval_seconds:
                found.append((tenant_id, late_seconds))
        return found

    def seal(self, tenant_id: str) -> bool:
        """Brings every place up to date, then makes a checkpoint of the audit's end, if that is not sealed yet.

        Raises:
            AuditContradicted: what was sealed before is not in the database as it was: an older copy was restored, or
                the audit was rewritten. Nothing is sealed until somebody has found out why.
            AuditUnavailable: the key or a place fails.
        """
        self._bring_back(tenant_id)
        last = self._store.last(tenant_id)
        if last is not None:
            self._refuse_other_past(tenant_id, last)
            self._deliver(tenant_id, last.number)
        head = self._store.head(tenant_id)
        if head.seq == 0 or (last is not None and last.seq == head.seq and self._is_active(last.key_id)):
            return False
        checkpoint = self._keys.sign(self._draft(tenant_id, head, last))
        if not self._store.add(checkpoint):
            if self._store.entry_hash(tenant_id, head.seq) != head.hash:
                raise AuditContradicted(
                    f"the head of tenant {tenant_id!r} is not its last audit entry: `chimera audit verify --tenant "
                    f"{tenant_id}` says more"
                )
            return False  # another checkpointer was first
        self._deliver(tenant_id, checkpoint.number)
        log.info("audit_sealed", tenant_id=tenant_id, number=checkpoint.number, seq=checkpoint.seq)
        return True

    def _ahead(self) -> list[str]:
        """The tenants of whom a place keeps more checkpoints than the database, which is then an older copy."""
        known = self._store.numbers()
        found = []
        for place in self._places:
            for tenant_id in place.tenants():
                kept = place.last(tenant_id)
                if kept is not None and kept.number > known.get(tenant_id, 0):
                    found.append(tenant_id)
        return found

    def _bring_back(self, tenant_id: str) -> None:
        """Takes over what a place keeps and the database does not, if it is signed and of this very audit."""
        for place in self._places:
            kept = place.last(tenant_id)
            known = self._store.last(tenant_id)
            if kept is None or (known is not None and known.number >= kept.number):
                continue
            chain = CheckpointChain(tenant_id, self._keys.trusted())
            for checkpoint in place.read(tenant_id):
                if fault := chain.fault(checkpoint):
                    raise AuditContradicted(f"{place.name}, tenant {tenant_id!r}: {fault}")
                if known is None or checkpoint.number > known.number:
                    self._refuse_other_past(tenant_id, checkpoint, place.name)
                    self._store.add(checkpoint)

    def _refuse_other_past(self, tenant_id: str, checkpoint: Checkpoint, where: str = "the database") -> None:
        found = self._store.entry_hash(tenant_id, checkpoint.seq)
        if found is None or found.hex() != checkpoint.hash:
            has = "does not have it any more" if found is None else "has another one there"
            raise AuditContradicted(
                f"checkpoint {checkpoint.number} of tenant {tenant_id!r} in {where} sealed entry {checkpoint.seq}, "
                f"and the database {has}: an older copy was restored, or the audit was changed. `chimera audit verify "
                f"--tenant {tenant_id}` says more; nothing is sealed, and soon nothing decided, until the database is "
                "as it was"
            )

    def _deliver(self, tenant_id: str, number: int) -> None:
        """Has every place keep every checkpoint up to this one."""
        for place in self._places:
            kept = place.last(tenant_id)
            # Who cannot be asked is told the last one again: that changes nothing there.
            after = kept.number if kept else 0 if place.readable else number - 1
            for checkpoint in self._store.after(tenant_id, after):
                try:
                    place.append(checkpoint)
                except CheckpointConflict as exc:
                    last = self._store.last(tenant_id)
                    if last is not None and last.number > number:
                        return  # another checkpointer has made the next one meanwhile, and delivers all of them
                    raise AuditContradicted(
                        f"{exc}: the database's checkpoints are not those that were kept; `chimera audit verify "
                        f"--tenant {tenant_id}` says more"
                    ) from exc
        self._store.mark_kept(tenant_id, number)

    def _draft(self, tenant_id: str, head: ChainHead, last: Checkpoint | None) -> UnsignedCheckpoint:
        return UnsignedCheckpoint(
            origin=self._origin,
            tenant_id=tenant_id,
            number=last.number + 1 if last else 1,
            seq=head.seq,
            hash=head.hash.hex(),
            previous=last.digest if last else NO_CHECKPOINT,
        )

    def _is_active(self, key_id: str) -> bool:
        return any(key.key_id == key_id and key.retired_at is None for key in self._keys.trusted())
