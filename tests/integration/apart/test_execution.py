"""Skills in real workers, in each pool: at the same time, ended in time, and what they print in the log."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import redis

from chimera import Chimera, PlanState, TaskState
from chimera.models.ids import IdKind, format_id
from tests.integration.conftest import CONFIG, QUIET, services_with
from tests.integration.processes import ROOT, LocalProcess
from tests.integration.skills import CANARY
from tests.integration.waiting import eventually

StartWorker = Callable[..., LocalProcess]


@pytest.fixture(scope="module")
def variables(servers: dict[str, str]) -> dict[str, str]:
    return servers | CONFIG


@pytest.fixture
def here(variables: dict[str, str]) -> Chimera:
    """A client, whose broker holds nothing of the tests before."""
    with redis.Redis.from_url(variables["CHIMERA_REDIS_URL"]) as client:
        client.flushdb()
    return Chimera(services_with(variables))


@pytest.fixture
def start(variables: dict[str, str], tmp_path: Path) -> Iterator[StartWorker]:
    """Starts a worker that does everything."""
    with ExitStack() as stack:

        def started(pool: str, **environment: str) -> LocalProcess:
            arguments = ["worker", "-P", pool, "-c", "2", "-n", f"{pool}@test", *QUIET]
            log = tmp_path / f"{pool}.log"
            return stack.enter_context(LocalProcess(pool, arguments, variables | environment, log, "ready."))

        yield started


def lines(worker: LocalProcess, event: str) -> list[dict[str, Any]]:
    written = worker.logs().splitlines(keepends=True)
    # The last one may be half written.
    whole = [json.loads(line) for line in written if line.startswith("{") and line.endswith("\n")]
    return [line for line in whole if line["event"] == event]


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_what_skills_print_and_where_they_fail_is_in_the_log_with_their_ids(
    here: Chimera, tenant: str, start: StartWorker, pool: str
) -> None:
    worker = start(pool)
    handle = here.submit("test.talks", tenant=tenant, inputs={"texts": ["a", "fails"]}, trace_id="trace-1")
    handle.wait(timeout=60)

    one, two = (format_id(IdKind.TASK, result.task_id) for result in handle.results())
    eventually(lambda: lines(worker, "skill_failed") and lines(worker, "slow answer to a"))
    said = [(line["task_id"], line["stream"], line["line"]) for line in lines(worker, "skill_printed")]
    assert (one, "stdout", "working on a") in said
    assert (two, "stdout", "working on fails") in said
    assert (one, "stderr", "KeyError: 'unknown'") in said
    [library] = lines(worker, "slow answer to a")
    [failed] = lines(worker, "skill_failed")
    assert (failed["task_id"], failed["code"], failed["trace"][0]["type"]) == (two, "skill_raised", "RuntimeError")
    assert "skills.py:" in failed["trace"][0]["frames"][0]
    assert "planning 2" in worker.logs()
    for line in (library, failed, *lines(worker, "skill_printed")):
        assert (line["tenant_id"], line["plan_id"], line["attempt"]) == (tenant, handle.id, 1)
        assert (line["agent_id"][:3], line["trace_id"]) == ("ag_", "trace-1")
    assert CANARY not in worker.logs()


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_async_skills_of_a_batch_run_at_the_same_time(
    here: Chimera, tenant: str, start: StartWorker, tmp_path: Path, pool: str
) -> None:
    start(pool)
    folder = tmp_path / "here"
    folder.mkdir()
    # Each of 2 slots gets 2 batches of 2: 4 calls meet only where both of each batch run at once.
    eventually(lambda: here._services.adapters.agents.workforce().slots(tenant) == 2)
    handle = here.submit("test.meets", tenant=tenant, inputs={"folder": str(folder), "count": 8})
    assert handle.wait(timeout=60).counts.committed == 8


def test_calls_that_overrun_in_threads_end_or_have_their_worker_replaced(
    here: Chimera, tenant: str, start: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python 3.11 spins while it is traced and an exception waits to be raised in a thread.
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    worker = start("threads", CHIMERA_MAX_CALLS_LEFT_BEHIND="1")
    handle = here.submit("test.hangs", tenant=tenant, inputs={"hows": ["computes"] * 4})
    handle.wait(timeout=60)
    assert {result.state for result in handle.results()} == {TaskState.EXHAUSTED}
    assert not lines(worker, "call_left_behind"), "what computes is ended"

    handle = here.submit("test.hangs", tenant=tenant, inputs={"hows": ["waits"] * 2 + ["fine"] * 6})
    eventually(lambda: worker.status != "running")
    assert len(lines(worker, "too_many_calls_left_behind")) == 1
    worker.start()  # as its supervisor does

    def ended() -> bool:
        here._services.judging.sweep.run()  # as beat has it
        return handle.status is PlanState.COMPLETED_WITH_FAILURES

    eventually(ended, seconds=60)
    states = [result.state for result in handle.results()]
    assert states == [TaskState.EXHAUSTED] * 2 + [TaskState.APPROVED] * 6
    assert {result.attempt for result in handle.results()} == {1}, "what was handed over had not been started"


def refusal(variables: dict[str, str], log: Path, *arguments: str) -> tuple[int, str]:
    """How a worker ends that does not start, and what it says."""
    with log.open("wb") as said:
        ended = subprocess.run(
            [sys.executable, "-m", "celery", "-A", "chimera", "worker", "-c", "2", *QUIET, *arguments],
            cwd=ROOT,
            env=os.environ | variables,
            stdout=said,
            stderr=said,
            timeout=60,
            check=False,
        )
    return ended.returncode, log.read_text(encoding="utf-8")


def test_a_pool_of_greenlets_is_refused_with_the_reason(variables: dict[str, str], tmp_path: Path) -> None:
    # Named by celeryconfig.py, so that Celery does not want gevent itself to be there.
    code, said = refusal(variables | {"TEST_WORKER_POOL": "gevent"}, tmp_path / "log")
    assert code == 1
    assert said.splitlines()[-1].startswith("chimera: the pool gevent is not supported: it runs the threads that keep")


@pytest.mark.parametrize("pool", ["gevent", "eventlet"])
def test_a_pool_of_greenlets_that_is_installed_is_refused_too(
    variables: dict[str, str], tmp_path: Path, pool: str
) -> None:
    if find_spec(pool) is None:
        pytest.skip(f"{pool} is not installed")
    code, said = refusal(variables, tmp_path / "log", "-P", pool)
    assert code == 1
    assert said.splitlines()[-1].startswith(f"chimera: the pool {pool} is not supported: ")
