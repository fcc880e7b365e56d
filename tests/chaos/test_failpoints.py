"""Every place between two durable steps, and at each a process that ends, breaks or stands still.

All cases run at the same time in one swarm, each for a tenant of its own; a test looks at what became of one.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from chimera import Chimera, PlanHandle, PlanState
from chimera.adapters.celery.app import make_app
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.policy_store import PolicyStore
from chimera.adapters.postgres.stores.tenant_store import TenantStore
from chimera.adapters.system_clock import SystemClock
from chimera.bootstrap import Services
from chimera.chaos.invariants import check
from chimera.failpoints import Failpoint
from chimera.models.gate.policy import Amount, Bands, Budget, Policy, SkillPolicy
from chimera.models.work.catalogue import Catalogue
from chimera.settings import Settings
from tests.chaos import skills
from tests.chaos.case import ACTIONS, OF_CLIENT, Case, submit
from tests.conftest import running_servers
from tests.integration.processes import ROOT, LocalProcess

pytestmark = pytest.mark.timeout(400)

QUIET = ["--without-mingle", "--without-gossip", "--loglevel", "WARNING"]
SETTLE_SECONDS = 240.0
CASES = [Case(place, action) for place in Failpoint for action in ACTIONS]
KEPT = 16


@dataclass
class Swarm:
    """The swarm under test, and what its cases are looked at with."""

    env: dict[str, str]
    folder: Path
    chimera: Chimera
    # Those of all that this run has chosen.
    cases: list[Case]
    plans: dict[Case, PlanHandle] = field(default_factory=dict)
    hits: dict[Case, Path] = field(default_factory=dict)

    def client(self, action: str, case: Case) -> None:
        """Does it in a process of its own; again, where a failpoint ended that."""
        command = [sys.executable, "-m", "tests.chaos.client", action, case.tenant]
        for _ in range(2):
            done = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return
        pytest.fail(f"{action} for {case.tenant} failed twice: {done.stderr[-2000:]}")

    def ran(self, case: Case) -> Counter[str]:
        """How often each task of the case ran."""
        path = skills.journal_of(self.folder, case.tenant)
        return Counter(path.read_text(encoding="utf-8").split()) if path.exists() else Counter()


def until(holds: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def cases(request: pytest.FixtureRequest) -> list[Case]:
    test = test_the_plan_ends_and_everything_holds.__name__
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and item.originalname == test]
    params = [item.callspec.params["case"] for item in items]
    return [case for case in params if isinstance(case, Case)]


@pytest.fixture(scope="module")
def swarm(cases: list[Case], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    folder = tmp_path_factory.mktemp("failpoints")
    with running_servers() as servers, ExitStack() as stack:
        env = dict(servers) | {
            "PATH": os.environ["PATH"],
            "CELERY_CONFIG_MODULE": "tests.chaos.celeryconfig",
            "CHIMERA_FAILPOINTS": str(folder),
        }
        owner = stack.enter_context(closing(Database(servers["CHIMERA_OWNER_DATABASE_URL"], 2)))
        services = unarmed_services(servers)
        swarm = Swarm(env, folder, Chimera(services), cases)
        for case in cases:
            TenantStore(owner).add(case.tenant, "tests")
            PolicyStore(owner).apply(case.tenant, policy_of(case), "tests")
            swarm.hits[case] = arm(folder, case)
        for name, arguments in (
            ("worker", ["worker", "-X", "judge", "-c", "10", "-n", "worker@%h", *QUIET]),
            ("judge", ["worker", "-Q", "judge", "-c", "5", "-n", "judge@%h", *QUIET]),
            ("beat", ["beat", "--schedule", str(folder / "schedule")]),
        ):
            stack.enter_context(LocalProcess(name, arguments, env, folder / f"{name}.log"))
        drive(swarm)
        yield swarm


def unarmed_services(servers: dict[str, str]) -> Services:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in servers.items():
            patch.setenv(name, value)
        settings = Settings()
    catalogue = Catalogue()
    catalogue.add_planner(skills.everything)
    return Services(make_app(settings), settings, catalogue, SystemClock())


def policy_of(case: Case) -> Policy:
    bands = Bands(hitl=0.7, retry=0.0) if case.is_sent_back else Bands()
    enough = Amount(cost_usd=Decimal(1000))
    return Policy(
        name=case.tenant,
        defaults=SkillPolicy(confidence=bands, reserve=Amount(cost_usd=Decimal("0.05"))),
        budget=Budget(day=enough, plan=enough) if case.is_budgeted else None,
    )


def arm(folder: Path, case: Case) -> Path:
    """Has the failpoint act once; returns the file that is there when it has."""
    path = folder / case.file
    if not path.exists():  # the one of all tenants acts in one way only
        path.write_text(case.what_happens, encoding="utf-8")
    if case.is_lost_first:
        (folder / f"{Failpoint.SUBMIT_STORED}@{case.tenant}").write_text("kill", encoding="utf-8")
    return path.with_name(f"{path.name}.hit")


def drive(swarm: Swarm) -> None:
    """Does for each case what a user does, until all plans have ended or the time is over."""
    by_client = [case for case in swarm.cases if case.place in OF_CLIENT or case.is_lost_first]
    with ThreadPoolExecutor(3) as clients:
        list(clients.map(lambda case: swarm.client("submit", case), by_client))
    for case in swarm.cases:
        swarm.plans[case] = submit(swarm.chimera, case)
    with ThreadPoolExecutor(3) as clients:
        list(clients.map(lambda case: cancel(swarm, case), [case for case in swarm.cases if case.is_cancelled]))
    left = set(swarm.cases)

    def all_ended() -> bool:
        ended = {case for case in left if swarm.plans[case].status in {PlanState.COMPLETED, PlanState.CANCELLED}}
        left.difference_update(ended)
        for case in left:
            if swarm.plans[case].status is PlanState.IN_REVIEW:
                swarm.client("approve", case)
        return not left

    until(all_ended, SETTLE_SECONDS)


def cancel(swarm: Swarm, case: Case) -> None:
    assert until(lambda: swarm.plans[case].counts.tasks > 0, 60)
    swarm.client("cancel", case)


@pytest.mark.exhaustive(keep=KEPT)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.tenant)
def test_the_plan_ends_and_everything_holds(swarm: Swarm, case: Case) -> None:
    assert swarm.hits[case].exists(), "nobody came to the failpoint"
    plan = swarm.plans[case].plan
    assert plan.state is (PlanState.CANCELLED if case.is_cancelled else PlanState.COMPLETED)
    if not case.is_cancelled:
        assert plan.counts.committed == plan.counts.tasks
    with psycopg.connect(swarm.env["CHIMERA_OWNER_DATABASE_URL"], autocommit=True) as connection:
        assert check(connection, [case.tenant]) == []
        connection.execute("select set_config('chimera.tenant', %s, false)", [case.tenant])
        accounts = connection.execute("select count(*) from budget").fetchone()
        assert accounts == (2 if case.is_budgeted else 0,)  # the day's and the plan's
    ran = swarm.ran(case)
    again = {name: times for name, times in ran.items() if times > (2 if name in {"again", "guessed"} else 1)}
    assert not again or case.may_run_twice, "a result that was stored is never computed again"
