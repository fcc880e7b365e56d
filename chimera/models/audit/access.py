"""What was asked for and refused: up to 10 entries of the audit a minute, and the number of the rest."""

from datetime import timedelta

from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.record import Instant, Record

# A tenant's refused attempts in one minute that have an entry each.
RECORDED_A_MINUTE = 10
WINDOW = timedelta(minutes=1)


class Refusals(Record):
    """A tenant's refused attempts of one minute."""

    since: Instant
    recorded: int
    # Those that came after, which are only counted.
    unrecorded: int = 0

    def is_over(self, now: Instant) -> bool:
        """Whether the next attempt is one of another minute."""
        return now >= self.since + WINDOW


def refused_event(actor: str, asked_for: str, to: str) -> AuditEvent:
    """That somebody asked for what the tenant does not have.

    It does not say whether another tenant has it: a reader of this tenant's audit could otherwise find that out.

    Args:
        actor: who asked.
        asked_for: the id, as people see it.
        to: what was to be done with it: `read`, `cancel`, ...
    """
    return AuditEvent(kind=AuditKind.ACCESS_REFUSED, actor=actor, facts={"asked_for": asked_for, "to": to})


def rest_event(earlier: Refusals) -> AuditEvent:
    """How many more there were in a minute than have their entry."""
    facts = {"more": earlier.unrecorded, "since": earlier.since.isoformat(), "recorded": earlier.recorded}
    return AuditEvent(kind=AuditKind.ACCESS_REFUSED, actor="chimera", facts=facts)


def counted(earlier: Refusals | None, now: Instant, event: AuditEvent) -> tuple[Refusals, list[AuditEvent]]:
    """The count with one more attempt, and what is recorded of it."""
    if earlier is None or earlier.is_over(now):
        rest = [rest_event(earlier)] if earlier is not None and earlier.unrecorded else []
        return Refusals(since=now, recorded=1), [*rest, event]
    if earlier.recorded < RECORDED_A_MINUTE:
        return earlier.model_copy(update={"recorded": earlier.recorded + 1}), [event]
    return earlier.model_copy(update={"unrecorded": earlier.unrecorded + 1}), []
