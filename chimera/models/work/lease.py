"""A lease: the right to work on something until it runs out, unless it is renewed."""

from uuid import UUID

from pydantic import Field

from chimera.models.record import Record


class Renewal(Record):
    """What became of a lease when it was renewed."""

    held: bool  # False: it was taken back, or what it is for was stopped
    may_start: bool  # False: nothing more may be started under it, what runs may finish


class LostLease(Record):
    """A lease on a task that ran out without a result."""

    task_id: UUID
    attempt: int = Field(ge=1)
    agent_id: UUID  # who held it
