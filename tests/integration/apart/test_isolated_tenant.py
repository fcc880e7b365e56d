"""A tenant that the operator's floor isolates, between a worker with everybody's logins and those of level host."""

from contextlib import closing
from pathlib import Path

import pytest

from chimera import Chimera, PlanState
from chimera.adapters.celery.queue_names import tenant_queue
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.policy_store import PolicyStore
from chimera.bootstrap import Services
from chimera.models.gate.policy import Floor, Policy
from tests.integration.apart.test_missing_skill import OLD, Start, broker, services, start, told
from tests.integration.waiting import eventually

__all__ = ["broker", "services", "start"]

HOST = OLD | {"CHIMERA_ISOLATION": "host"}


@pytest.mark.exhaustive(keep=0)
def test_what_a_trusted_worker_leaves_is_told_and_done_by_one_of_level_host(
    start: Start, services: Services, tenant: str, servers: dict[str, str], tmp_path: Path
) -> None:
    with closing(Database(servers["CHIMERA_OWNER_DATABASE_URL"], 1)) as owner:
        PolicyStore(owner).apply(None, Policy(floor=Floor(isolated=(tenant,))), "tests")
    trusted = start("trusted", OLD, "-Q", f"plan,judge,{tenant_queue(tenant)}", "-c", "1")
    handle = Chimera(services).submit("test.numbers", tenant=tenant, inputs={"count": 3})
    show = ("plan", "show", f"pl_{handle.plan_id.hex}", "--tenant", tenant)

    planner_waits = [{"planner": "test.numbers", "waiting": "plan", "workers": [], "isolated": True}]
    eventually(lambda: told(servers, tmp_path, *show)["waiting"] == planner_waits)
    assert handle.status is PlanState.SUBMITTED

    # One that plans, and runs nothing of the tenant's.
    start("planner", HOST, "-Q", "plan", "-c", "1")
    eventually(lambda: '"level_lacking"' in trusted.logs(), 60)
    [wait] = told(servers, tmp_path, *show)["waiting"]
    assert (wait["skill"], wait["count"], wait["isolated"], wait["workers"]) == ("test.number", 3, True, [])
    said = [each["detail"] for each in told(servers, tmp_path, "doctor") if each["check"] == "waiting"]
    assert said[0].startswith(f"{tenant}: 3 tasks wait for a worker at level host with the skill test.number since ")
    assert handle.counts.committed == 0

    start("host", HOST, "-Q", tenant_queue(tenant), "-c", "1")
    plan = handle.wait(timeout=90)
    assert (plan.state, plan.counts.committed) == (PlanState.COMPLETED, 3)
    assert {result.attempt for result in handle.results()} == {1}

    def done() -> dict[str, int]:
        agents = services.adapters.agents.list_agents(limit=100)
        return {agent.node: agent.metrics.tasks_done for agent in agents if agent.metrics.tasks_done}

    eventually(lambda: done() == {"host@test": 3})
