"""Which entries of an audit somebody wants to read."""

from typing import Any
from uuid import UUID

from chimera.models.audit.audit import AuditEntry
from chimera.models.audit.kinds import AuditKind
from chimera.models.ids import IdKind, format_id
from chimera.models.record import Instant, Record, canonical_json, is_named


class EntryFilter(Record):
    """Entries that are all of what is given here."""

    # From this moment on, and before that one.
    since: Instant | None = None
    until: Instant | None = None
    actor: str | None = None
    plan_id: UUID | None = None
    task_id: UUID | None = None
    # Of one of these kinds; empty for all.
    kinds: tuple[AuditKind, ...] = ()
    # A rule among the reasons: `keyword.password`, or `keyword` for all that begin with `keyword.`.
    rule: str | None = None

    @property
    def rule_text(self) -> str | None:
        """The rule's name as it stands within the text of what happened: what lacks that need not be parsed."""
        return None if self.rule is None else canonical_json(self.rule)[1:-1]

    @property
    def is_selection(self) -> bool:
        """Whether it may leave out entries between others: what remains is no chain then."""
        return self != EntryFilter(since=self.since)

    def holds(self, entry: AuditEntry) -> bool:
        """Whether the entry is one of them."""
        reasons = (entry.facts or {}).get("reasons", []) if self.rule else []
        return (
            (self.since is None or entry.at >= self.since)
            and (self.until is None or entry.at < self.until)
            and self.actor in {None, entry.actor}
            and self.plan_id in {None, entry.plan_id}
            and self.task_id in {None, entry.task_id}
            and (not self.kinds or entry.kind in self.kinds)
            and (self.rule is None or any(is_named(reason["rule"], self.rule) for reason in reasons))
        )

    def facts(self) -> dict[str, Any]:
        """What was asked for, as the record of reading has it: without what was not."""
        ids = {"plan": (IdKind.PLAN, self.plan_id), "task": (IdKind.TASK, self.task_id)}
        return {
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "actor": self.actor,
            **{name: value and format_id(kind, value) for name, (kind, value) in ids.items()},
            "kinds": list(self.kinds),
            "rule": self.rule,
        }


EVERY_ENTRY = EntryFilter()
