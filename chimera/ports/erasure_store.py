"""Erasing a person's data: the store in the role `owner`."""

from typing import Protocol

from chimera.models.audit.erasure import Erased, Erasure


class ErasureStore(Protocol):
    """What it erases cannot be brought back; the hashes of it stay, and the audit stays whole."""

    def erase(self, erasure: Erasure) -> Erased:
        """Erases inputs, labels, outcomes, notes and shared values, and names what on the record, in one transaction.

        Copies go with it: what tries a task or a plan again, and what it tries again. Of a plan also its goal, its
        inputs and the message of its failure. The same again erases nothing and records nothing.

        What waits for people is denied first, by whoever erases and with the reason: its card is closed, and a plan of
        which nothing else waits ends.

        Raises:
            PlanNotFound: the tenant has no such plan.
            TaskNotFound: the tenant has no such task.
            Conflict: a plan that holds some of it has not ended, and waits for more than people; or changes meanwhile.
            AuditUnavailable: something is to be denied, and the audit should have been sealed long ago.
            StoreUnavailable: PostgreSQL does not answer; nothing is erased.
        """
        ...
