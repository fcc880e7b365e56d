"""Hosts against skills that attack what lies between them and their worker: their task fails, the worker lives."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from chimera.adapters.host.hosts import MOST_LOGGED, Hosts
from chimera.adapters.host.plan import HostPlan, enforceable
from chimera.adapters.host.runners import SkillRunner
from chimera.models.work.task import ClaimedTask
from chimera.models.work.wave import WaveRef
from chimera.services.calls import never
from tests.attacks.skill_code.hostile import DEEDS
from tests.integration.processes import ROOT
from tests.integration.waiting import eventually

MAX_OUTPUT_BYTES = 100_000
# These do no harm by themselves, or answer in their own name; those end as an ordinary failure.
HARMLESS = {"flood", "threads", "some_forks", "twice"}
FAILS = {"huge_answer": "output_too_large", "huge_failure": "skill_raised", "system_exit": "skill_raised"}
OVERRUNS = {"stop", "deaf"}


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    running = Hosts(a_plan())
    yield running
    running.close()


def a_plan() -> HostPlan:
    enforced = enforceable()
    return HostPlan(
        modules=("tests.attacks.skill_code.hostile",),
        folder=str(ROOT),
        path=(),
        variables={"LANG": "C.UTF-8"},
        readable=(),
        secret=(),
        users=(64200, 64455) if enforced.own_user else None,
        landlock=enforced.landlock,
        max_memory_bytes=None,
        max_output_bytes=MAX_OUTPUT_BYTES,
        max_input_bytes=MAX_OUTPUT_BYTES,
        max_tasks=10,
    )


@pytest.fixture
def runner(hosts: Hosts) -> SkillRunner:
    return SkillRunner(hosts, MAX_OUTPUT_BYTES)


def a_task(skill: str, limit: float = 5.0, **arguments: object) -> ClaimedTask:
    return ClaimedTask(
        task_id=uuid4(),
        skill=f"hostile.{skill}",
        input=json.dumps(arguments),
        attempt=1,
        max_attempts=3,
        timeout_seconds=limit,
        trace_id="trace",
    )


def wave(tenant_id: str = "acme") -> WaveRef:
    return WaveRef(tenant_id=tenant_id, plan_id=uuid4(), wave_no=0)


@pytest.mark.parametrize("deed", DEEDS)
def test_the_worker_outlives(runner: SkillRunner, deed: str) -> None:
    task = a_task("does", 0.3 if deed in OVERRUNS else 5.0, what=deed)
    with capture_logs() as lines:
        outcome = json.loads(runner.run(wave(), task, never).text)
    if deed in HARMLESS:
        assert outcome["kind"] == "success"
    else:
        assert outcome["kind"] == "failure", "what was forged is no result"
        codes = {"host_broke", "host_lost"} | ({"timeout"} if deed in OVERRUNS else set())
        assert outcome["code"] in ({FAILS[deed]} if deed in FAILS else codes)
    assert sum(len(str(line)) for line in lines) < 3 * MOST_LOGGED, "no flood reaches the log"
    assert _memory_mb() < 600, "nothing large was kept"
    well = json.loads(runner.run(wave(), a_task("well", text="fine"), never).text)
    assert well["output"] == "fine", "the next task of the same tenant is none the worse"


def test_another_tenant_s_task_runs_in_another_process_and_nothing_of_the_first_is_left(runner: SkillRunner) -> None:
    runner.run(wave("acme"), a_task("does", what="threads"), never)
    runner.run(wave("acme"), a_task("does", what="some_forks"), never)
    first = json.loads(runner.run(wave("acme"), a_task("told"), never).text)["output"]
    again = json.loads(runner.run(wave("acme"), a_task("told"), never).text)["output"]
    other = json.loads(runner.run(wave("globex"), a_task("told"), never).text)["output"]
    assert first["pid"] == again["pid"] != other["pid"]
    assert not Path(f"/proc/{first['pid']}").exists()
    assert not Path(first["environ"]["HOME"]).exists()
    assert other["environ"].keys() <= {"LANG", "LC_CTYPE", "HOME", "TMPDIR"}


def test_nothing_stays_when_the_worker_s_process_ends() -> None:
    script = (
        "import json, os, signal, sys\n"
        "from chimera.services.calls import never\n"
        "from tests.attacks.skill_code.test_hosts import MAX_OUTPUT_BYTES, Hosts, SkillRunner, a_plan, a_task, wave\n"
        "runner = SkillRunner(Hosts(a_plan()), MAX_OUTPUT_BYTES)\n"
        "outcome = json.loads(runner.run(wave(), a_task('daemon'), never).text)\n"
        "print(outcome['output'], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    daemon, home = ended.stdout.split()
    eventually(lambda: not Path(f"/proc/{daemon}").exists() and not Path(home).parent.exists(), 10)


def test_what_is_ended_from_outside_ends_within_a_second(runner: SkillRunner) -> None:
    ended = threading.Event()

    @contextmanager
    def soon(ring: object) -> Iterator[None]:
        assert callable(ring)

        def end() -> None:
            ended.set()
            ring()

        timer = threading.Timer(0.3, end)
        timer.start()
        yield
        timer.cancel()

    pid = json.loads(runner.run(wave(), a_task("told"), never).text)["output"]["pid"]
    began = time.monotonic()
    outcome = json.loads(runner.run(wave(), a_task("waits", 60.0, seconds=60.0), soon).text)
    assert ended.is_set()
    assert time.monotonic() - began < 1.3
    assert outcome["code"] == "timeout"
    assert not Path(f"/proc/{pid}").exists()


def test_async_tasks_run_at_the_same_time(
    runner: SkillRunner,
) -> None:
    tasks = [a_task("waits_async", seconds=0.2) for _ in range(10)]
    began = time.monotonic()
    outcomes = dict(runner.run_together(wave(), tasks, never))
    assert time.monotonic() - began < 1.5
    assert {json.loads(each.text)["output"] for each in outcomes.values()} == {"waited"}
    assert outcomes.keys() == set(range(10))


def test_a_host_with_a_user_of_its_own_forks_no_further_than_it_may(runner: SkillRunner, hosts: Hosts) -> None:
    if not enforceable().own_user:
        pytest.skip("this process may not give its hosts a user, or Python lies where other users may not look")
    assert hosts is not None
    outcome = json.loads(runner.run(wave("forks"), a_task("forks", 60.0), never).text)
    assert outcome["output"].startswith("refused after ")


def _memory_mb() -> float:
    return int(Path(f"/proc/{os.getpid()}/statm").read_text(encoding="ascii").split()[1]) * 4096 / (1 << 20)
