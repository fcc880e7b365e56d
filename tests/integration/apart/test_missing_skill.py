"""Workers and Judges one deploy apart: what one of them does not know is left to those that do."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import redis

from chimera import Chimera, PlanState
from chimera.adapters.celery.queue_names import tenant_queue
from chimera.bootstrap import Services
from chimera.registration import CATALOGUE
from tests.integration import next_skills
from tests.integration.conftest import CONFIG, QUIET, services_with
from tests.integration.processes import LocalProcess
from tests.integration.waiting import eventually

OLD = CONFIG
NEXT = CONFIG | {"CELERY_CONFIG_MODULE": "tests.integration.celeryconfig_next"}


@pytest.fixture(scope="module")
def services(servers: dict[str, str]) -> Services:
    assert "next.shouts" in CATALOGUE.planners, next_skills
    return services_with(servers | NEXT)


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


def told(variables: dict[str, str], folder: Path, *command: str) -> Any:
    """What a command says in JSON, run in a folder without the project's code."""
    line = [sys.executable, "-m", "chimera.cli.main", *command, "-o", "json"]
    ran = subprocess.run(line, cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=False)
    return json.loads(ran.stdout)


def test_workers_and_judges_that_lack_a_skill_leave_it_to_those_that_have_it(
    start: Start, services: Services, tenant: str
) -> None:
    start("old", OLD, "-Q", f"judge,{tenant_queue(tenant)}", "-c", "2")
    start("next", NEXT, "-Q", f"plan,judge,{tenant_queue(tenant)}", "-c", "2")
    handles = [
        Chimera(services).submit("next.shouts", tenant=tenant, inputs={"count": count, "seconds": 0.05})
        for count in (20, 3, 3, 3, 3)
    ]
    for handle in handles:
        plan = handle.wait(timeout=90)
        assert (plan.state, plan.counts.committed) == (PlanState.COMPLETED, plan.counts.tasks)
        assert {result.attempt for result in handle.results()} == {1}


@pytest.mark.exhaustive(keep=0)
def test_what_no_worker_has_waits_is_told_and_goes_on_when_one_comes(
    start: Start, services: Services, tenant: str, servers: dict[str, str], broker: "redis.Redis", tmp_path: Path
) -> None:
    start("old", OLD, "-Q", f"plan,judge,{tenant_queue(tenant)}", "-c", "1")
    handle = Chimera(services).submit("next.shouts", tenant=tenant, inputs={"count": 3})
    show = ("plan", "show", f"pl_{handle.plan_id.hex}", "--tenant", tenant)

    eventually(lambda: broker.llen("plan") == 0)
    planner_waits = [{"planner": "next.shouts", "waiting": "plan", "workers": [], "isolated": False}]
    eventually(lambda: told(servers, tmp_path, *show)["waiting"] == planner_waits)
    assert handle.status is PlanState.SUBMITTED

    # One that plans and judges, and runs nothing of the tenant's.
    start("planner", NEXT, "-Q", "plan,judge", "-c", "1")
    eventually(lambda: handle.counts.committed == 3, 90)  # the numbers
    [wait] = told(servers, tmp_path, *show)["waiting"]
    assert (wait["skill"], wait["waiting"], wait["count"], wait["workers"]) == ("next.shout", "tasks", 3, [])
    findings = {(each["check"], each["status"], each["detail"]) for each in told(servers, tmp_path, "doctor")}
    assert ("skills", "WARN", "old@test lacks the skill next.shout, which planner@test has") in findings
    assert ("skills", "WARN", "old@test lacks the planner next.shouts, which planner@test has") in findings
    [said] = [detail for check, status, detail in findings if (check, status) == ("waiting", "WARN")]
    assert said.startswith(f"{tenant}: 3 tasks wait for the skill next.shout since ")
    assert said.endswith("; no worker that takes them has it")

    start("next", NEXT, "-Q", tenant_queue(tenant), "-c", "1")
    plan = handle.wait(timeout=90)
    assert (plan.state, plan.counts.committed) == (PlanState.COMPLETED, 6)
    assert {result.attempt for result in handle.results()} == {1}

    # What it declared when it started.
    shout = told(servers, tmp_path, "skill", "show", "next.shout")
    assert (shout["description"], shout["max_batch"], shout["module"]) == ("Says it louder.", 1, next_skills.__name__)
    assert (shout["output_schema"], shout["workers"]) == ({"type": "string"}, ["next@test"])
    shouts = told(servers, tmp_path, "planner", "show", "next.shouts")
    assert set(shouts["input_schema"]["properties"]) == {"count", "seconds"}
