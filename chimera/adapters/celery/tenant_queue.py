"""The way to the workers for a process whose login at the broker is one tenant's: that tenant's list, and no other.

What it would ask of Judges and of the sweep they find by themselves, within two seconds.
"""

from collections.abc import Collection
from uuid import UUID

from chimera.adapters.celery.queue import Queue
from chimera.adapters.celery.roster import Roster
from chimera.models.work.bound import BoundTenant
from chimera.models.work.quarantined import Quarantined
from chimera.models.work.wave import WaveRef


class TenantQueue(Queue):
    """Publishes to the tenant's own workers."""

    def publish_judge(self, wave: WaveRef) -> None:
        """Nothing: the sweep has it judged."""

    def publish_dispatch(self, tenant_id: str) -> None:
        """Nothing: the sweep sends what may go out."""

    def publish_stop(self, tenant_id: str, plan_id: UUID) -> None:
        """Nothing: the sweep has it closed."""

    def epoch(self) -> str:
        """None that the sweep knows: it sends once more what was published from here."""
        return ""

    def note_refused(self, reason: str) -> None:
        """Nothing: the counts are everybody's."""

    def refused(self) -> dict[str, int]:  # noqa: D102
        return {}

    def quarantined(self) -> list[Quarantined]:
        """None: they are everybody's."""
        return []

    def drop_quarantined(self, entry_ids: frozenset[str] | None) -> int:  # noqa: ARG002
        """None: they are everybody's."""
        return 0

    def bound(self) -> set[str]:  # noqa: D102  see the port
        return set()

    def keep_bound(self, tenants: Collection[BoundTenant]) -> None:
        """Nothing: that is the sweep's."""

    def _is_bound(self, roster: Roster, tenant_id: str) -> bool:  # noqa: ARG002
        """It is; the note that says so is none that this login reaches."""
        return True
