"""Verifying a tenant's audit: the chain, the checkpoints, and that every decision is what the audit says of it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import takewhile

from chimera.errors import AuditContradicted, InvalidInput
from chimera.models.audit.audit import NO_ENTRIES, ChainHead
from chimera.models.audit.checkpoint import CLOCK_SKEW, Checkpoint, CheckpointChain
from chimera.models.audit.entry_filter import EntryFilter
from chimera.models.audit.export import ExportHeader, header_fault
from chimera.models.audit.kinds import AuditKind
from chimera.models.audit.proof import ChainWalk, EntryRow, Fault, decision_fault
from chimera.models.audit.repair import Repairs
from chimera.models.audit.trust import TrustedKey, trust_fault
from chimera.models.record import Record
from chimera.ports.audit_export import AuditExport
from chimera.ports.audit_log import AuditLog, AuditView
from chimera.ports.checkpoint_place import CheckpointPlace


@dataclass(frozen=True, kw_only=True)
class KeptCheckpoints:
    """A tenant's checkpoints as one place keeps them, in order; read as they are needed."""

    place: str
    checkpoints: Iterable[Checkpoint]


class Report(Record):
    """What verifying a tenant's audit found."""

    tenant_id: str
    ok: bool
    # Entries that were looked at.
    rows: int
    # The last of them; and the last that a checkpoint seals, 0 without one.
    seq: int
    sealed_seq: int
    checkpoints: int
    first_bad: Fault | None
    # The first of each kind of check that found one.
    faults: tuple[Fault, ...]
    # What is wrong and on record as such, by entries audit.repaired.
    explained: tuple[Fault, ...] = ()
    # Of an export: the entry before its first, 0 for a whole one; when and by which key it was sealed.
    after_seq: int = 0
    sealed_at: datetime | None = None
    sealed_by: str | None = None


class SealedWalk:
    """Walks along a chain and the checkpoints of several places at once."""

    def __init__(
        self, walk: ChainWalk, kept: Sequence[KeptCheckpoints], keys: Iterable[TrustedKey], *, after_seq: int = 0
    ) -> None:
        """A walk that begins after an entry; what seals that one or an earlier one is not compared."""
        keys = tuple(keys)
        self.walk = walk
        self.sealed_seq = 0
        self.checkpoints = 0
        self.fault: Fault | None = None
        self._readers = [_Reader(walk.tenant_id, each, keys, after_seq) for each in kept]

    def take(self, rows: Sequence[EntryRow]) -> Fault | None:
        """Takes the next rows; returns the first fault of the chain. That of a checkpoint is in `fault`."""
        fault = self.walk.take(rows)
        if rows:
            by_seq = range(EntryRow._make(rows[0]).seq, self.walk.seq + 1)
            for reader in self._readers:
                for checkpoint in reader.through(self.walk.seq):
                    if checkpoint.seq in by_seq:
                        row = EntryRow._make(rows[checkpoint.seq - by_seq.start])
                        self._note(reader, checkpoint, reader.chain.entry_fault(checkpoint, row.hash, row.at))
        return fault

    def end(self, now: datetime) -> Fault | None:
        """What the checkpoints say of the end; returns their first fault of all."""
        for reader in self._readers:
            for checkpoint in reader.through(None):
                cut = f"it seals entry {checkpoint.seq}, and the audit ends with {self.walk.seq}: its end was cut off"
                self._note(reader, checkpoint, cut)
            last = reader.chain.last
            if last is not None and (what := reader.chain.end_fault(now)):
                self._note(reader, last, what)
            self.fault = self.fault or reader.fault
        return self.fault

    def _note(self, reader: "_Reader", checkpoint: Checkpoint, what: str | None) -> None:
        self.checkpoints += 1
        if what is None:
            self.sealed_seq = max(self.sealed_seq, checkpoint.seq)
        elif self.fault is None:
            self.fault = Fault(table="checkpoint", seq=checkpoint.seq, id=reader.place, what=what)


class _Reader:
    """The checkpoints of one place, read as far as the walk has come."""

    def __init__(self, tenant_id: str, kept: KeptCheckpoints, keys: tuple[TrustedKey, ...], after_seq: int) -> None:
        self.place = kept.place
        self.chain = CheckpointChain(tenant_id, keys)
        self.fault: Fault | None = None
        self._coming = iter(kept.checkpoints)
        self._next: Checkpoint | None = None
        self._after_seq = after_seq

    def through(self, seq: int | None) -> Iterator[Checkpoint]:
        """Those in order that seal no entry after this one; with None all that are left."""
        while self.fault is None:
            try:
                self._next = self._next or next(self._coming, None)
            except AuditContradicted as exc:
                self.fault = Fault(table="checkpoint", id=self.place, what=str(exc))
                return
            if self._next is None or (seq is not None and self._next.seq > seq):
                return
            checkpoint, self._next = self._next, None
            if what := self.chain.fault(checkpoint):
                self.fault = Fault(table="checkpoint", seq=checkpoint.seq, id=self.place, what=what)
            elif checkpoint.seq > self._after_seq:
                yield checkpoint


class AuditProof:
    """Reads one moment of an audit, some thousand rows at a time."""

    def __init__(self, log: AuditLog, keys: Iterable[TrustedKey] | None) -> None:
        """Proofs by checkpoints of these keys; with None by the chain alone."""
        self._log = log
        self._keys = keys if keys is None else tuple(keys)

    def verify(
        self, tenant_id: str, kept: Sequence[KeptCheckpoints], now: datetime, since: datetime | None = None
    ) -> Report:
        """Verifies a tenant's audit.

        Args:
            tenant_id: whose.
            kept: the checkpoints that the audit has to agree with, besides those in the database; none that is made
                after this call.
            now: the time.
            since: believes what is older, and looks at what is newer only.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
            AuditUnavailable: a place's checkpoints cannot be read.
        """
        with self._log.view(tenant_id) as view:
            start = view.entry_before(since) if since else NO_ENTRIES
            # Believed no more than the walk that comes to them finds them right.
            about = view.matching(EntryFilter(kinds=(AuditKind.AUDIT_REPAIRED,)))
            repairs = Repairs(EntryRow(*row) for rows in about for row in rows)
            walk = ChainWalk(tenant_id, start.seq, start.hash, until=now + CLOCK_SKEW, known=repairs.names)
            own = [] if self._keys is None else [KeptCheckpoints(place="the database", checkpoints=view.checkpoints())]
            sealed = SealedWalk(walk, [*kept, *own], self._keys or (), after_seq=start.seq)
            broken = next(filter(None, map(sealed.take, view.entries(start.seq))), None)
            found = [broken, sealed.fault]
            if broken is None:
                found += [sealed.end(now), walk.missing(), _head_fault(view.head(), walk)]
                found += _decision_faults(view, walk, start.seq)
        return report(sealed, tuple(dict.fromkeys(filter(None, found))))


def kept_by(place: CheckpointPlace, tenant_id: str) -> KeptCheckpoints:
    """What a place keeps by now."""
    last = place.last(tenant_id)
    number = last.number if last else 0
    coming = takewhile(lambda checkpoint: checkpoint.number <= number, place.read(tenant_id))
    return KeptCheckpoints(place=place.name, checkpoints=coming)


def report(sealed: SealedWalk, faults: Sequence[Fault]) -> Report:
    """The report on a walk that is at its end."""
    return Report(
        tenant_id=sealed.walk.tenant_id,
        ok=not faults,
        rows=sealed.walk.rows,
        seq=sealed.walk.seq,
        sealed_seq=sealed.sealed_seq,
        checkpoints=sealed.checkpoints,
        first_bad=min(faults, key=lambda fault: (fault.seq is None, fault.seq or 0), default=None),
        faults=tuple(faults),
        explained=tuple(sealed.walk.explained),
    )


def _head_fault(head: ChainHead, walk: ChainWalk) -> Fault | None:
    if (head.seq, head.hash) == (walk.seq, walk.hash):
        return None
    what = f"the chain is said to end with entry {head.seq}, and ends with {walk.seq}: an end was cut off, or put on"
    return Fault(table="audit_head", seq=min(head.seq, walk.seq) + 1, what=what)


def _decision_faults(view: AuditView, walk: ChainWalk, after_seq: int) -> list[Fault | None]:
    """The first of the decisions, and the first of what has none."""
    with closing(view.doubtful(after_seq)) as rows:
        of_decision = next(filter(None, (decision_fault(row, walk.erasures) for row in rows)), None)
    with closing(view.strays()) as strays:
        return [of_decision, next(strays, None)]


def verify_export(
    export: AuditExport, keys: Iterable[TrustedKey] | None, now: datetime, *, key: str | None = None
) -> Report:
    """Verifies an export, of which nothing is believed but what a key has signed that is known from elsewhere.

    Args:
        export: what is verified.
        keys: the public keys to believe, with the times at which they were retired; or None.
        now: the time.
        key: id or public key (hex) of the one to believe; without `keys`, that key of the export which has it.

    Raises:
        InvalidInput: it is none, or a selection, which proves nothing.
    """
    header = export.header()
    if header.filter is not None:
        raise InvalidInput(
            f"{export.name} is a selection of entries, not the chain: it proves nothing. Export without --until, "
            "--actor, --plan, --task, --kind and --rule, verify that, and compare entries by sequence and hash"
        )
    # Keys that came with the export serve for its older checkpoints only, which the last one vouches for.
    believed = header.keys if keys is None else tuple(keys)
    outside = {each.key_id: each for each in believed if key is None or key in (each.key_id, each.public_key)}
    unsealed = header_fault(header, {} if keys is None and key is None else outside, now)
    repairs = cache(lambda: Repairs(EntryRow(*row) for rows in export.entries() for row in rows))
    walk = ChainWalk(
        header.tenant_id,
        header.after_seq,
        bytes.fromhex(header.after_hash),
        until=now + CLOCK_SKEW,
        known=lambda row, fault: repairs().names(row, fault),
    )
    kept = KeptCheckpoints(place=export.name, checkpoints=export.checkpoints())
    sealed = SealedWalk(walk, [kept], believed, after_seq=header.after_seq)
    broken = next(filter(None, map(sealed.take, export.entries())), None)
    found = [Fault(table="header", what=unsealed) if unsealed else None, broken, sealed.fault]
    if broken is None:
        untrusted = trust_fault(believed)
        end = ChainHead(seq=header.head_seq, hash=bytes.fromhex(header.head_hash))
        found += [sealed.end(now), walk.missing(), _head_fault(end, walk)]
        found.append(Fault(table="keys", what=untrusted) if untrusted else None)
        if sealed.sealed_seq != header.head_seq:
            found.append(Fault(table="checkpoint", what="no checkpoint seals its last entry"))
    seal = {} if header.seal is None else {"sealed_at": header.exported_at, "sealed_by": header.seal.key_id}
    return report(sealed, tuple(dict.fromkeys(filter(None, found)))).model_copy(
        update={"after_seq": header.after_seq} | seal
    )


def selected_items(view: AuditView, wanted: EntryFilter) -> Iterator[EntryRow]:
    """The entries that a filter holds, without checkpoints: what is left out between them cannot be proved."""
    for rows in view.matching(wanted):
        yield from (EntryRow(*row) for row in rows)


def export_items(view: AuditView, header: ExportHeader) -> Iterator[EntryRow | Checkpoint]:
    """The entries that a header speaks of, each followed by the checkpoints that seal it."""
    last = header.checkpoint or 0
    coming = (each for each in view.checkpoints() if header.after_seq < each.seq and each.number <= last)
    checkpoint = next(coming, None)
    for rows in view.entries(header.after_seq):
        for row in rows:
            entry = EntryRow(*row)
            if entry.seq > header.head_seq:
                return
            yield entry
            while checkpoint is not None and checkpoint.seq <= entry.seq:
                yield checkpoint
                checkpoint = next(coming, None)
