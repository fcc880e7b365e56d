"""Workers and Judges one deploy apart: what one of them does not know is left to those that do."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import redis

from chimera import Chimera, PlanState
from chimera.adapters.celery.app import make_app
from chimera.adapters.celery.queue_names import tenant_queue
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.tenant_store import TenantStore
from chimera.adapters.system_clock import SystemClock
from chimera.bootstrap import Services
from chimera.registration import CATALOGUE
from chimera.settings import Settings
from tests.conftest import new_tenant_id, running_servers
from tests.integration import next_skills
from tests.integration.conftest import CONFIG, QUIET
from tests.integration.processes import LocalProcess

OLD = CONFIG
NEXT = CONFIG | {"CELERY_CONFIG_MODULE": "tests.integration.celeryconfig_next"}


def eventually(happened: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"did not happen within {seconds:g} s"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """Servers of these tests' own: no other swarm's worker takes part."""
    with running_servers() as env:
        yield env


@pytest.fixture
def tenant(servers: dict[str, str]) -> Iterator[str]:
    with closing(Database(servers["CHIMERA_OWNER_DATABASE_URL"], 1)) as owner:
        tenant_id = new_tenant_id()
        TenantStore(owner).add(tenant_id, "tests")
        yield tenant_id


@pytest.fixture(scope="module")
def services(servers: dict[str, str]) -> Services:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (servers | NEXT).items():
            patch.setenv(name, value)
        settings = Settings()
    assert "next.shouts" in CATALOGUE.planners, next_skills
    return Services(make_app(settings), settings, CATALOGUE, SystemClock())


@pytest.fixture
def broker(servers: dict[str, str]) -> Iterator["redis.Redis"]:
    with closing(redis.Redis.from_url(servers["CHIMERA_REDIS_URL"])) as client:
        client.flushdb()
        yield client


Start = Callable[..., LocalProcess]


@pytest.fixture
def start(servers: dict[str, str], broker: "redis.Redis", tmp_path: Path) -> Iterator[Start]:
    """Starts processes by name, beat the first of them."""
    with ExitStack() as stack:

        def begin(name: str, config: dict[str, str], *arguments: str) -> LocalProcess:
            command = ["worker", "-n", f"{name}@test", *QUIET, *arguments]
            process = LocalProcess(name, command, servers | config, tmp_path / f"{name}.log", "ready.")
            return stack.enter_context(process)

        beat = ["beat", "--schedule", str(tmp_path / "schedule")]
        stack.enter_context(LocalProcess("beat", beat, servers | OLD, tmp_path / "beat.log", "maxinterval"))
        yield begin


def test_a_worker_that_lacks_a_skill_leaves_its_tasks_to_one_that_has_it(
    start: Start, services: Services, tenant: str
) -> None:
    start("old", OLD, "-Q", tenant_queue(tenant), "-c", "2")
    start("judge", NEXT, "-Q", "plan,judge", "-c", "2")
    start("next", NEXT, "-Q", tenant_queue(tenant), "-c", "2")
    handle = Chimera(services).submit("next.shouts", tenant=tenant, inputs={"count": 40, "seconds": 0.1})
    plan = handle.wait(timeout=60)
    assert (plan.state, plan.counts.committed) == (PlanState.COMPLETED, 80)
    assert {result.attempt for result in handle.results()} == {1}


def test_what_waits_for_a_skill_that_no_worker_has_is_said_and_goes_on_when_one_comes(
    start: Start, services: Services, tenant: str, servers: dict[str, str], tmp_path: Path
) -> None:
    start("old", OLD, "-Q", tenant_queue(tenant), "-c", "1")
    start("judge", NEXT, "-Q", "plan,judge", "-c", "1")
    handle = Chimera(services).submit("next.shouts", tenant=tenant, inputs={"count": 3})
    eventually(lambda: handle.counts.committed == 3, 60)  # the numbers

    def told(*command: str) -> Any:
        line = [sys.executable, "-m", "chimera.cli.main", *command, "-o", "json"]
        ran = subprocess.run(line, cwd=tmp_path, env=os.environ | servers, capture_output=True, text=True, check=False)
        return json.loads(ran.stdout)

    [wait] = told("plan", "show", f"pl_{handle.plan_id.hex}", "--tenant", tenant)["waiting"]
    assert (wait["skill"], wait["waiting"], wait["count"], wait["workers"]) == ("next.shout", "tasks", 3, [])
    findings = {(each["check"], each["status"]): each["detail"] for each in told("doctor")}
    assert findings["skills", "WARN"] == "old@test lacks the skill next.shout, which judge@test has"
    assert findings["waiting", "WARN"].startswith(f"{tenant}: 3 tasks wait for the skill next.shout since ")
    assert findings["waiting", "WARN"].endswith("; no worker has it")

    start("next", NEXT, "-Q", tenant_queue(tenant), "-c", "1")
    plan = handle.wait(timeout=60)
    assert (plan.state, plan.counts.committed) == (PlanState.COMPLETED, 6)
    assert {result.attempt for result in handle.results()} == {1}


def test_a_plan_whose_planner_a_worker_lacks_waits_for_one_that_has_it(
    start: Start, services: Services, tenant: str, servers: dict[str, str], broker: "redis.Redis", tmp_path: Path
) -> None:
    start("old", OLD, "-Q", f"plan,judge,{tenant_queue(tenant)}", "-c", "1")
    handle = Chimera(services).submit("next.shouts", tenant=tenant, inputs={"count": 1})
    eventually(lambda: broker.llen("plan") == 0)

    def waiting() -> Any:
        line = [sys.executable, "-m", "chimera.cli.main", "plan", "show", f"pl_{handle.plan_id.hex}"]
        line += ["--tenant", tenant, "-o", "json"]
        ran = subprocess.run(line, cwd=tmp_path, env=os.environ | servers, capture_output=True, text=True, check=True)
        return json.loads(ran.stdout)["waiting"]

    eventually(lambda: waiting() == [{"planner": "next.shouts", "waiting": "plan", "workers": []}])
    assert handle.status is PlanState.SUBMITTED
    start("next", NEXT, "-Q", f"plan,judge,{tenant_queue(tenant)}", "-c", "1")
    assert handle.wait(timeout=90).counts.committed == 2


def test_a_judge_that_lacks_a_skill_leaves_its_results_to_one_that_has_it(
    start: Start, services: Services, tenant: str
) -> None:
    start("old", OLD, "-Q", "judge", "-c", "1")
    start("judge", NEXT, "-Q", "judge", "-c", "1")
    start("next", NEXT, "-Q", f"plan,{tenant_queue(tenant)}", "-c", "2")
    handles = [Chimera(services).submit("next.shouts", tenant=tenant, inputs={"count": 3}) for _ in range(6)]
    for handle in handles:
        plan = handle.wait(timeout=60)
        assert (plan.state, plan.counts.committed) == (PlanState.COMPLETED, 6)


def test_a_worker_declares_what_it_has_when_it_starts(
    start: Start, services: Services, tenant: str, servers: dict[str, str], tmp_path: Path
) -> None:
    start("next", NEXT, "-Q", tenant_queue(tenant), "-c", "1")
    [shout] = services.adapters.skills.skills("next.shout")
    assert (shout.description, shout.max_batch, shout.module) == ("Says it louder.", 1, next_skills.__name__)
    assert shout.output_schema == {"type": "string"}
    [shouts] = services.adapters.skills.planners("next.shouts")
    assert set(shouts.input_schema["properties"]) == {"count", "seconds"}

    # In a folder without the project's code.
    shown = [sys.executable, "-m", "chimera.cli.main", "skill", "show", "next.shout", "-o", "json"]
    ran = subprocess.run(shown, cwd=tmp_path, env=os.environ | servers, capture_output=True, text=True, check=True)
    said = json.loads(ran.stdout)
    assert (said["description"], said["workers"]) == ("Says it louder.", ["next@test"])
