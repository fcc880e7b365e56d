"""Policies, in memory."""

from datetime import datetime
from uuid import UUID

from chimera.errors import UnknownTenant
from chimera.models.gate.floor import require_above
from chimera.models.gate.policy import Policy, PolicyInForce
from chimera.models.gate.weakening import applied_event
from chimera.ports import policy_store as port
from chimera.ports.policy_store import JudgedResult, PolicyVersion
from tests.fakes.database import AppliedPolicy, FakeDatabase
from tests.fakes.deciding import staged


class FakePolicyStore(port.PolicyStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def apply(self, tenant_id: str | None, policy: Policy, actor: str) -> PolicyInForce:
        database = self._database.opened()
        if tenant_id is not None and tenant_id not in database.tenants:
            raise UnknownTenant
        key = tenant_id or "*"
        now = database.policy(key)
        if now.own == (tenant_id is not None) and (now.applied or now.policy) == policy and now.number:
            return now
        require_above(policy, database.policy("*").policy if tenant_id else policy, tenant_id)
        number = len(database.policies[key]) + 1
        applied = PolicyInForce(policy=policy, number=number, own=tenant_id is not None)
        before = {whom: database.policy(whom) for whom in ([tenant_id] if tenant_id else database.tenants)}
        database.policies[key].append(AppliedPolicy(applied, database.now(), actor))
        for whom, was in before.items():
            after = database.policy(whom)
            if tenant_id or after.version != was.version:
                database.record(whom, [applied_event(was, after, policy, actor)])
        return database.policy(key)

    def in_force(self, tenant_id: str) -> PolicyInForce:
        return self._database.opened().policy(tenant_id)

    def default(self) -> PolicyInForce:
        return self._database.opened().policy("*")

    def versions(self, tenant_id: str | None) -> list[PolicyVersion]:
        return [
            PolicyVersion(
                number=applied.policy.number,
                name=applied.policy.policy.name,
                version=applied.policy.version,
                applied_at=applied.at,
                applied_by=applied.by,
            )
            for applied in reversed(self._database.opened().policies[tenant_id or "*"])
        ]

    def judged(
        self, tenant_id: str, since: datetime | None, plan_id: UUID | None, after: tuple[UUID, int], limit: int
    ) -> list[JudgedResult]:
        database = self._database.opened()
        found = []
        for wave, decision in database.decided:
            result = database.results.get((wave.tenant_id, decision.task_id, decision.attempt))
            if result is None or wave.tenant_id != tenant_id or plan_id not in {None, wave.plan_id}:
                continue
            if not decision.result_sha256 or decision.decided_by.split(" and ")[0] != "policy":
                continue
            if (decision.task_id, decision.attempt) <= after or (since is not None and result.finished_at < since):
                continue
            row = database.tasks[tenant_id, decision.task_id]
            found.append(
                JudgedResult(
                    plan_id=wave.plan_id,
                    task_id=decision.task_id,
                    attempt=decision.attempt,
                    verdict=decision.ruling.verdict,
                    final=decision.ruling.final,
                    staged=staged(row, decision.attempt, result),
                )
            )
        return sorted(found, key=lambda judged: (judged.task_id, judged.attempt))[:limit]
