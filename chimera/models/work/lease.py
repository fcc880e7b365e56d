"""A lease: the right to work on something until it runs out, unless it is renewed."""

from chimera.models.record import Record

# By the database's clock, and renewed every second. A task whose agent is gone is taken back at once.
LEASE_SECONDS = 15.0
# That of an agent of whom nobody has heard, when its lease was not renewed for so long: beats go through Redis,
# renewals do not.
QUIET_SECONDS = 1.6
# A planner's is taken back by its time alone.
PLANNING_LEASE_SECONDS = 8.0


class Renewal(Record):
    """What became of a lease when it was renewed."""

    held: bool  # False: it was taken back, or what it is for was stopped
    may_start: bool  # False: nothing more may be started under it, what runs may finish
