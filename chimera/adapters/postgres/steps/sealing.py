"""Whether checkpoints seal a tenant's audit."""

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import statements
from chimera.errors import AuditUnavailable

_SQL = statements("sealing")


def first_unsealed(
    connection: psycopg.Connection[DictRow], tenant_id: str, *, older_than_seconds: float
) -> DictRow | None:
    """The `seq` and time (`at`) of the first entry that no kept checkpoint covers, if it is older than that."""
    return connection.execute(_SQL["unsealed"], {"tenant": tenant_id, "seconds": older_than_seconds}).fetchone()


class Sealing:
    """What a deciding transaction asks: whether checkpoints seal the audit, so that nothing is decided unaudited."""

    def __init__(self, limit_seconds: float) -> None:
        """How long an entry may wait to be sealed."""
        self._limit_seconds = limit_seconds

    def refuse_unsealed(self, connection: psycopg.Connection[DictRow], tenant_id: str) -> None:
        """Returns where the tenant's entries are sealed, or not late.

        Raises:
            AuditUnavailable: one is; the message says since when, and what to do.
        """
        row = first_unsealed(connection, tenant_id, older_than_seconds=self._limit_seconds)
        if row is not None:
            raise AuditUnavailable(
                f"nothing is decided for tenant {tenant_id!r}: its audit is not sealed since {row['at'].isoformat()} "
                f"(entry {row['seq']}; {self._limit_seconds:g} s at most), because `chimera seal` makes no checkpoint "
                "that its places keep. `chimera doctor` says why; once that is mended, what waits is decided by itself"
            )
