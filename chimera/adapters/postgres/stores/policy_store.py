"""Policies, in PostgreSQL."""

from datetime import datetime
from uuid import UUID

from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.chain import ChainAppender
from chimera.adapters.postgres.steps.policy_in_force import in_force
from chimera.adapters.postgres.steps.staged import staged
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.gate.policy import Policy, PolicyInForce, version_name
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
            # The heads first: a decision made meanwhile has its entry before this one's, or sees this policy.
            heads = [ChainAppender(connection, tenant_id)] if tenant_id else []
            now = in_force(connection, tenant_id or _EVERYBODY)
            if now.own == (tenant_id is not None) and now.policy == policy and now.number:
                return now
            values = {"tenant": tenant_id or _EVERYBODY, "name": policy.name, "actor": actor}
            row = connection.execute(_SQL["append"], values | {"body": policy.body, "sha256": policy.sha256}).fetchone()
            assert row is not None
            applied = PolicyInForce(policy=policy, number=row["number"], own=tenant_id is not None)
            event = AuditEvent(
                kind=AuditKind.POLICY_APPLIED,
                actor=actor,
                facts={
                    "before": now.version,
                    "version": applied.version,
                    "own": applied.own,
                    "sha256": policy.sha256.hex(),
                },
            )
            for head in heads:
                head.append([event])
            if tenant_id is None:
                for tenant in [row["tenant_id"] for row in connection.execute(_SQL["tenants"])]:
                    connection.execute(_SQL["speak_for"], {"tenant": tenant})
                    follows = connection.execute(_SQL["follows_default"], {"tenant": tenant}).fetchone()
                    if follows and follows["follows"]:
                        ChainAppender(connection, tenant).append([event])
        return applied

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
