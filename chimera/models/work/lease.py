"""A lease: the right to work on something until it runs out, unless it is renewed."""

from chimera.models.record import Record


class Renewal(Record):
    """What became of a lease when it was renewed."""

    held: bool  # False: it was taken back, or what it is for was stopped
    may_start: bool  # False: nothing more may be started under it, what runs may finish
