"""Policies to read, and what one would have made of results that were judged before."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from chimera.models.gate.floor import raised_policy
from chimera.models.gate.gate import gate
from chimera.models.gate.policy import Expected, Policy, PolicyInForce
from chimera.models.gate.policy_case import expected, expected_of
from chimera.models.record import Record
from chimera.ports.policy_store import JudgedResult, PolicyStore, PolicyVersion
from chimera.services.output_schemas import OutputSchemas

_PAGE = 1000
_NO_TASK = UUID(int=0)


class RulingChange(Record):
    """A result that another policy would rule on otherwise."""

    plan_id: UUID
    task_id: UUID
    skill: str
    before: Expected
    after: Expected
    rules: tuple[str, ...]


class Simulation(Record):
    """What a policy would have made of what was judged before."""

    results: int
    before: dict[Expected, int]
    after: dict[Expected, int]
    changes: tuple[RulingChange, ...]  # the first ones, as many as asked for
    changed: int
    # Those by rule that the changed policy names for its verdict.
    by_rule: dict[str, int]
    # Results that were erased: they cannot be judged again.
    erased: int


class PolicyService:
    """Reads policies, and says what one would have done."""

    def __init__(self, store: PolicyStore, schemas: OutputSchemas) -> None:
        self._store = store
        self._schemas = schemas

    def in_force(self, tenant_id: str | None) -> PolicyInForce:
        """What applies to a tenant, or with None to all that have none of their own."""
        return self._store.default() if tenant_id is None else self._store.in_force(tenant_id)

    def versions(self, tenant_id: str | None) -> list[PolicyVersion]:
        """What was applied, newest first."""
        return self._store.versions(tenant_id)

    def simulate(
        self, tenant_id: str, policy: Policy, *, since: datetime | None, plan_id: UUID | None, show: int
    ) -> Simulation:
        """Judges again, by this policy, what the tenant's policies have judged; sampling and models are left out.

        Where it is below the floor of the default it is raised to it, as it would be in force.
        """
        policy = raised_policy(policy, self._store.default().policy, tenant_id)
        before: Counter[Expected] = Counter()
        after: Counter[Expected] = Counter()
        by_rule: Counter[str] = Counter()
        changes: list[RulingChange] = []
        erased = changed = 0
        for judged in self._judged(tenant_id, since, plan_id):
            if judged.staged is None:
                erased += 1
                continue
            ruling = gate(judged.staged, policy, self._schemas.fault(judged.staged))
            was, would = expected(judged.verdict, final=judged.final), expected_of(ruling)
            before[was] += 1
            after[would] += 1
            if was is would:
                continue
            changed += 1
            rules = tuple(reason.rule for reason in ruling.reasons)
            by_rule.update(rules or ("none",))
            if len(changes) < show:
                task_id, skill = judged.staged.task_id, judged.staged.skill
                changes.append(
                    RulingChange(
                        plan_id=judged.plan_id, task_id=task_id, skill=skill, before=was, after=would, rules=rules
                    )
                )
        return Simulation(
            results=sum(before.values()),
            before=dict(before),
            after=dict(after),
            changes=tuple(changes),
            changed=changed,
            by_rule=dict(by_rule.most_common()),
            erased=erased,
        )

    def _judged(self, tenant_id: str, since: datetime | None, plan_id: UUID | None) -> Iterator[JudgedResult]:
        after = (_NO_TASK, 0)
        while page := self._store.judged(tenant_id, since, plan_id, after, _PAGE):
            self._schemas.learn(judged.staged for judged in page if judged.staged is not None)
            yield from page
            after = (page[-1].task_id, page[-1].attempt)
