"""What runs: ended when nobody wants it any more, handed over when its worker ends, run again when its worker dies."""

import os
import signal
import time
from pathlib import Path

import pytest

from chimera import Chimera, PlanHandle, PlanState, TaskState
from chimera.adapters.postgres.database import Database
from chimera.bootstrap import Services
from chimera.models.work.agent import AgentStatus
from tests.integration.announced import CHILD_ENDS, CHILD_STARTS
from tests.integration.conftest import OwnWorker
from tests.integration.waiting import eventually


def running(database: Database, handle: PlanHandle) -> list[int]:
    """The numbers of the plan's tasks that run."""
    query = "select ordinal from task where plan_id = %s and state = 'running' order by ordinal"
    with database.transaction(handle.tenant_id) as connection:
        return [row["ordinal"] for row in connection.execute(query, [handle.plan_id])]


def attempts(handle: PlanHandle) -> set[int]:
    return {result.attempt for result in handle.results()}


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_that_is_told_to_end_hands_over_what_it_has_not_started(
    chimera: Chimera, tenant: str, own_worker: OwnWorker, services: Services, pool: str
) -> None:
    worker = own_worker("ending", "-P", pool, "-c", "1")
    steps = [{"do": "say", "seconds": 0.5} for _ in range(40)]
    handle = chimera.submit("test.steps", tenant=tenant, inputs={"steps": steps})
    eventually(lambda: services.adapters.agents.list_agents(node=f"ending@{tenant}", status=AgentStatus.BUSY))
    began = time.monotonic()
    worker.kill(signal.SIGTERM)

    assert time.monotonic() - began < 10, "it does not work off a batch of ten seconds"
    plan = handle.wait(timeout=90)
    assert plan.counts.committed == 40
    assert attempts(handle) == {1}, "what was handed over had not been started"


def test_the_children_of_a_worker_that_ends_do_first_what_user_code_asks_for(own_worker: OwnWorker) -> None:
    worker = own_worker("leaving", "-P", "prefork", "-c", "2")
    eventually(lambda: worker.logs().count(CHILD_STARTS) == 2)
    worker.kill(signal.SIGTERM)
    assert worker.logs().count(CHILD_ENDS) == 2


def test_a_task_of_a_cancelled_plan_is_ended_while_it_runs(
    chimera: Chimera, tenant: str, swarm_owner: Database
) -> None:
    handle = chimera.submit("test.steps", tenant=tenant, inputs={"steps": [{"do": "slow", "seconds": 50.0}] * 2})
    eventually(lambda: running(swarm_owner, handle) == [0, 1])
    handle.cancel()
    assert handle.wait(timeout=10).state is PlanState.CANCELLED
    # Both agents of the shared worker are free again, long before the 50 seconds are over.
    after = chimera.submit("test.steps", tenant=tenant, inputs={"steps": [{"do": "slow", "seconds": 0.0}] * 2})
    assert after.wait(timeout=15).counts.committed == 2
    assert {result.state for result in handle.results()} == {TaskState.CANCELLED}


def test_what_a_batch_has_not_started_when_its_plan_is_paused_starts_after_it_was_resumed(
    chimera: Chimera, tenant: str, swarm_owner: Database
) -> None:
    steps = [{"do": "say", "seconds": 0.4} for _ in range(40)]
    handle = chimera.submit("test.steps", tenant=tenant, inputs={"steps": steps})
    eventually(lambda: running(swarm_owner, handle))
    handle.pause()
    eventually(lambda: not running(swarm_owner, handle), seconds=5)
    assert handle.counts.committed < 40
    handle.resume()
    assert handle.wait(timeout=60).counts.committed == 40
    assert attempts(handle) == {1}


def test_what_ran_in_a_killed_child_runs_again_soon_and_what_was_staged_does_not(
    chimera: Chimera, tenant: str, own_worker: OwnWorker, services: Services
) -> None:
    worker = own_worker("killed", "-c", "1")
    steps = [{"do": "say", "seconds": 0.3} for _ in range(40)]
    handle = chimera.submit("test.steps", tenant=tenant, inputs={"steps": steps})
    eventually(lambda: services.adapters.agents.list_agents(node=f"killed@{tenant}", status=AgentStatus.BUSY))
    eventually(lambda: TaskState.STAGED in {result.state for result in handle.results()} or handle.counts.committed)
    [child, *_] = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text(encoding="ascii").split()
    os.kill(int(child), signal.SIGKILL)

    plan = handle.wait(timeout=60)
    assert plan.counts.committed == 40
    assert worker.status == "running"
    assert attempts(handle) <= {1, 2}
