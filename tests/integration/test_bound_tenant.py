"""A tenant whose workers have its own logins: they alone plan and run its plans; everybody's Judges judge them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pytest_celery import CeleryWorkerCluster

from chimera import Chimera, PlanState
from chimera.adapters.celery.queue_names import tenant_queue
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.tenant_store import TenantStore
from chimera.bootstrap import Services
from chimera.models.work.agent import AgentStatus
from tests.conftest import new_tenant_id
from tests.integration.conftest import CONFIG, QUIET, services_with
from tests.integration.processes import ROOT, LocalProcess
from tests.integration.waiting import eventually

CHIMERA = Path(sys.executable).with_name("chimera")


def credentials(project: dict[str, str], *arguments: str) -> dict[str, str]:
    done = subprocess.run(
        [CHIMERA, "tenant", "credentials", *arguments, "-o", "json"],
        cwd=ROOT,
        env={**os.environ, **project},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def bound_tenant(swarm_owner: Database) -> str:
    tenant_id = new_tenant_id()
    TenantStore(swarm_owner).add(tenant_id, "tests")
    return tenant_id


@pytest.fixture(scope="module")
def own(project: dict[str, str], bound_tenant: str, celery_worker_cluster: CeleryWorkerCluster) -> dict[str, str]:
    """What the tenant's workers know: the project without its URLs, and what `tenant credentials` printed."""
    rest = {name: value for name, value in project.items() if not name.endswith("_URL")}
    return rest | CONFIG | credentials(project, bound_tenant)


@pytest.fixture(scope="module")
def own_workers(
    own: dict[str, str], bound_tenant: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[LocalProcess]]:
    logs = tmp_path_factory.mktemp("own")
    with ExitStack() as stack:
        workers = []
        for name in ("one", "two"):
            line = ["worker", "-Q", tenant_queue(bound_tenant), "-c", "2", "-n", f"{name}@{bound_tenant}", *QUIET]
            workers.append(stack.enter_context(LocalProcess(name, line, own, logs / f"{name}.log")))
        yield workers


def test_its_plans_are_planned_and_run_by_its_workers_and_judged(
    chimera: Chimera, services: Services, bound_tenant: str, own_workers: list[LocalProcess]
) -> None:
    handle = chimera.submit("test.numbers", tenant=bound_tenant, inputs={"count": 450})
    plan = handle.wait(timeout=60)
    assert (plan.state, plan.counts.committed) == (PlanState.COMPLETED, 450)
    nodes = {f"one@{bound_tenant}", f"two@{bound_tenant}"}

    def done_there() -> int:
        agents = services.adapters.agents.list_agents(limit=1000)
        return sum(agent.metrics.tasks_done for agent in agents if agent.node in nodes)

    eventually(lambda: done_there() == 450)
    assert any('"plan_planned"' in worker.logs() for worker in own_workers)


def test_doctor_names_its_level(project: dict[str, str], bound_tenant: str, own_workers: list[LocalProcess]) -> None:
    line = [str(CHIMERA), "doctor", "-o", "json"]
    env = {**os.environ, **project}
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    said = [finding["detail"] for finding in json.loads(done.stdout) if finding["check"] == "isolation"]
    assert any(each.startswith(f"one@{bound_tenant} runs skills at level pool, for {bound_tenant}:") for each in said)
    assert any(" runs skills at level trusted:" in each for each in said)
    # The swarm of these tests gives each process all logins.
    assert any(each.startswith("judge@") and "knows the logins app, owner," in each for each in said)


def test_its_own_service_submits_with_its_own_logins(
    own: dict[str, str], bound_tenant: str, own_workers: list[LocalProcess]
) -> None:
    handle = Chimera(services_with(own)).submit("test.numbers", tenant=bound_tenant, inputs={"count": 3})
    assert handle.wait(timeout=60).counts.committed == 3


def test_what_a_killed_worker_of_it_ran_is_run_again(
    chimera: Chimera, services: Services, bound_tenant: str, own_workers: list[LocalProcess]
) -> None:
    steps = [{"do": "slow", "seconds": 1.0} for _ in range(4)]
    handle = chimera.submit("test.steps", tenant=bound_tenant, inputs={"steps": steps})

    def busy() -> bool:
        agents = services.adapters.agents.list_agents(node=f"one@{bound_tenant}", limit=10)
        return any(agent.status is AgentStatus.BUSY for agent in agents)

    eventually(busy)
    [victim] = [worker for worker in own_workers if worker.name == "one"]
    os.killpg(victim.pid, signal.SIGKILL)
    victim._process.wait()  # type: ignore[union-attr]
    assert handle.wait(timeout=60).counts.committed == 4


def test_a_worker_with_its_logins_that_names_another_list_does_not_start(
    own: dict[str, str], bound_tenant: str, tmp_path: Path
) -> None:
    process = LocalProcess("lost", ["worker", "-P", "solo"], own, tmp_path / "log")
    with pytest.raises(RuntimeError, match=f"start it with -Q tenant.{bound_tenant}"):
        process.__enter__()


def test_after_revoking_them_everybodys_workers_do_its_work_again(
    chimera: Chimera, project: dict[str, str], bound_tenant: str, own_workers: list[LocalProcess]
) -> None:
    for worker in own_workers:
        worker.teardown()
    credentials(project, bound_tenant, "--revoke")
    handle = chimera.submit("test.numbers", tenant=bound_tenant, inputs={"count": 3})
    assert handle.wait(timeout=60).counts.committed == 3
