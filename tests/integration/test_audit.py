"""The record of a real swarm: what it covers, and that erasing leaves it whole."""

from collections import Counter
from uuid import UUID

import psycopg
import pytest

from chimera import Chimera, PlanState
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.tenant_store import TenantStore
from chimera.bootstrap import Services
from chimera.chaos.invariants import check
from chimera.errors import PlanNotFound
from chimera.models.audit.erasure import Erasure
from chimera.models.ids import IdKind, format_id
from tests.conftest import new_tenant_id
from tests.integration.conftest import Run

SECRET = "Ann Smith, 12 High Street"
STEPS = ({"do": "say", "text": SECRET}, {"do": "say", "text": SECRET, "confidence": 0.2}, {"do": "refuses"})


def erase(services: Services, tenant: str, plan_id: UUID) -> None:
    services.adapters.erasures.erase(
        Erasure(tenant_id=tenant, plan_id=plan_id, task_id=None, actor="ann", reason="asked to")
    )


def violations(servers: dict[str, str], tenant: str) -> list[object]:
    with psycopg.connect(servers["CHIMERA_OWNER_DATABASE_URL"], autocommit=True) as connection:
        return list(check(connection, [tenant]))


def stored(owner: Database, tenant: str) -> str:
    """Every row of the tenant's, as text."""
    tables = ("plan", "task", "result", "review_card", "state", "decision", "commit", "audit", "stale_result")
    with owner.transaction(tenant) as connection:
        return " ".join(
            str(row["line"])
            for table in tables
            for row in connection.execute(f"select row_to_json(t)::text as line from {table} t".encode())
        )


def test_a_person_is_erased_and_the_record_stays_whole(
    run: Run, services: Services, servers: dict[str, str], swarm_owner: Database, tenant: str
) -> None:
    handle = run(*STEPS)
    [card] = handle.reviews()
    services.reviewing.reviews.approve(card, "ann", f"this is {SECRET}")
    assert handle.status is PlanState.COMPLETED_WITH_FAILURES
    assert SECRET in stored(swarm_owner, tenant)

    erase(services, tenant, handle.plan_id)

    assert SECRET not in stored(swarm_owner, tenant)
    assert violations(servers, tenant) == []
    assert handle.counts.committed == 2
    assert [(result.erased, result.output) for result in handle.results()] == [(True, None)] * 3


def test_another_tenant_s_plan_is_refused_on_record(
    run: Run, chimera: Chimera, services: Services, servers: dict[str, str], swarm_owner: Database, tenant: str
) -> None:
    theirs = run({"do": "say"})
    mine = new_tenant_id()
    TenantStore(swarm_owner).add(mine, "tests")
    with pytest.raises(PlanNotFound):
        chimera.plan(mine, format_id(IdKind.PLAN, theirs.plan_id))
    kinds = Counter(entry.kind for entry in services.adapters.plans.entries(mine, None, 0, 100))
    assert kinds == {"tenant.added": 1, "access.refused": 1}
    assert violations(servers, mine) == violations(servers, tenant) == []


def test_the_sweep_makes_the_months_ahead(services: Services, servers: dict[str, str]) -> None:
    missing = "select 'audit_' || to_char(now() at time zone 'UTC' + interval '3 months', 'YYYY_MM')"
    with psycopg.connect(servers["CHIMERA_OWNER_DATABASE_URL"], autocommit=True) as connection:
        [name] = connection.execute(missing).fetchone() or ("",)
        connection.execute(f'drop table "{name}"'.encode())
        services.judging.sweep.run()
        assert connection.execute("select to_regclass(%s)::text", [name]).fetchone() == (name,)
