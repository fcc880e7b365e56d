"""Policies, in PostgreSQL."""

from datetime import datetime
from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.chain import append, lock_head
from chimera.adapters.postgres.steps.policy_in_force import in_force
from chimera.adapters.postgres.steps.staged import staged
from chimera.models.gate.floor import require_above
from chimera.models.gate.policy import Policy, PolicyInForce, version_name
from chimera.models.gate.weakening import applied_event
from chimera.models.work.decision import Verdict
from chimera.ports import policy_store as port
from chimera.ports.policy_store import JudgedResult, PolicyVersion

_SQL = statements("policy_store")
_EVERYBODY = "*"


class PolicyStore(port.PolicyStore):
    """In the role `owner` to apply, in `app` or `judge` to read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def apply(self, tenant_id: str | None, policy: Policy, actor: str) -> PolicyInForce:  # noqa: D102  see the port
        with self._database.transaction(tenant_id or _EVERYBODY) as connection:
            connection.execute(_SQL["lock_default"])
            if tenant_id:
                # The head first: a decision made meanwhile has its entry before this one's, or sees this policy.
                lock_head(connection, tenant_id)
            now = in_force(connection, tenant_id or _EVERYBODY)
            if now.own == (tenant_id is not None) and (now.applied or now.policy) == policy and now.number:
                return now
            require_above(policy, in_force(connection, _EVERYBODY).policy if tenant_id else policy, tenant_id)
            if tenant_id is None:
                return self._apply_default(connection, policy, actor)
            _append(connection, tenant_id, policy, actor)
            applied = in_force(connection, tenant_id)
            append(connection, tenant_id, [applied_event(now, applied, policy, actor)])
        return applied

    def _apply_default(self, connection: psycopg.Connection[DictRow], policy: Policy, actor: str) -> PolicyInForce:
        """Puts a default in force, and on the record of all for whom something changes: by its floor, all tenants."""
        tenants = [row["tenant_id"] for row in connection.execute(_SQL["tenants"])]
        before = {tenant: _spoken_for(connection, tenant) for tenant in tenants}
        _append(connection, _EVERYBODY, policy, actor)
        for tenant, was in before.items():
            now = _spoken_for(connection, tenant)
            if now.version != was.version:
                append(connection, tenant, [applied_event(was, now, policy, actor)])
        return _spoken_for(connection, _EVERYBODY)

    def in_force(self, tenant_id: str) -> PolicyInForce:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            return in_force(connection, tenant_id)

    def default(self) -> PolicyInForce:  # noqa: D102
        return self.in_force(_EVERYBODY)

    def versions(self, tenant_id: str | None) -> list[PolicyVersion]:  # noqa: D102
        with self._database.transaction(tenant_id or _EVERYBODY) as connection:
            rows = connection.execute(_SQL["versions"], {"tenant": tenant_id or _EVERYBODY}).fetchall()
        return [
            PolicyVersion(
                number=row["number"],
                name=row["name"],
                version=version_name(row["name"], row["number"], row["sha256"]),
                applied_at=row["applied_at"],
                applied_by=row["applied_by"],
            )
            for row in rows
        ]

    def judged(  # noqa: D102
        self, tenant_id: str, since: datetime | None, plan_id: UUID | None, after: tuple[UUID, int], limit: int
    ) -> list[JudgedResult]:
        values = {"tenant": tenant_id, "since": since, "plan": plan_id, "limit": limit}
        values |= {"task": after[0], "attempt": after[1]}
        with self._database.transaction(tenant_id) as connection:
            return [_judged(row) for row in connection.execute(_SQL["judged"], values)]


def _append(connection: psycopg.Connection[DictRow], tenant_id: str, policy: Policy, actor: str) -> None:
    connection.execute(_SQL["speak_for"], {"tenant": tenant_id})
    isolated = policy.floor.isolated if policy.floor else ()
    values = {"tenant": tenant_id, "name": policy.name, "actor": actor, "has_floor": policy.floor is not None}
    values |= {"body": policy.body, "sha256": policy.sha256, "isolated": list(isolated)}
    connection.execute(_SQL["append"], values)


def _spoken_for(connection: psycopg.Connection[DictRow], tenant_id: str) -> PolicyInForce:
    """What applies to a tenant, for which the transaction speaks from then on."""
    connection.execute(_SQL["speak_for"], {"tenant": tenant_id})
    return in_force(connection, tenant_id)


def _judged(row: DictRow) -> JudgedResult:
    ruling = {name: row.pop(name) for name in ("plan_id", "verdict", "final")}
    return JudgedResult(
        plan_id=ruling["plan_id"],
        task_id=row["task_id"],
        attempt=row["attempt"],
        verdict=Verdict(ruling["verdict"]),
        final=ruling["final"],
        staged=None if row["outcome"] is None else staged(row),
    )
