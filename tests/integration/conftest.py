"""A swarm of real workers for the integration tests: started once, shared, each test with its own tenant."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from importlib import import_module
from pathlib import Path

import pytest
from celery import Celery
from pytest_celery import CeleryTestWorker, CeleryWorkerCluster

from chimera import Chimera, PlanHandle, bootstrap
from chimera.adapters.celery.app import make_app
from chimera.adapters.celery.queue_names import tenant_queue
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.tenant_store import TenantStore
from chimera.adapters.system_clock import SystemClock
from chimera.bootstrap import Services
from chimera.registration import CATALOGUE
from chimera.settings import Settings, settings
from tests.conftest import new_tenant_id, running_servers
from tests.integration.processes import LocalProcess

CONFIG = {
    "CELERY_CONFIG_MODULE": "tests.integration.celeryconfig",
    # For each pool child; a test asks for more.
    "CHIMERA_MAX_CHILD_MEMORY_BYTES": str(768 * 1024 * 1024),
}
QUIET = ["--without-mingle", "--without-gossip"]
WORKER = ["worker", "-E", "-X", "judge", "-c", "2", "-n", "worker@%h", *QUIET]
JUDGE = ["worker", "-E", "-Q", "judge", "-c", "2", "-n", "judge@%h", *QUIET]


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, str]]:
    """Servers of the swarm's own: its sweep would finish what other tests leave half done on purpose."""
    with running_servers() as env:
        yield env


@pytest.fixture(scope="session")
def swarm_owner(servers: dict[str, str]) -> Iterator[Database]:
    with closing(Database(servers["CHIMERA_OWNER_DATABASE_URL"], 2)) as database:
        yield database


@pytest.fixture
def tenant(swarm_owner: Database) -> str:
    tenant_id = new_tenant_id()
    TenantStore(swarm_owner).add(tenant_id, "tests")
    return tenant_id


def services_with(variables: dict[str, str]) -> Services:
    """The services of a client whose environment has these variables besides what this process has."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        settings_ = Settings()
    return Services(make_app(settings_), settings_, CATALOGUE, SystemClock())


@pytest.fixture(scope="session")
def this_process(servers: dict[str, str]) -> Iterator[Celery]:
    """This process as a part of a project of its own: `start_worker` runs its workers here, in threads."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (servers | CONFIG).items():
            patch.setenv(name, value)
        for cached in (settings, bootstrap.celery_app, bootstrap.services):
            cached.cache_clear()
        bootstrap.load_user_code()
        yield import_module("chimera.celery").app


@pytest.fixture(scope="session")
def project(this_process: Celery, servers: dict[str, str]) -> dict[str, str]:
    """The variables of the processes under test: a broker database apart from that of this process."""
    return servers | CONFIG | {"CHIMERA_REDIS_URL": servers["CHIMERA_REDIS_URL"].removesuffix("/0") + "/1"}


@pytest.fixture(scope="session")
def services(project: dict[str, str]) -> Services:
    """The services of a client of those processes."""
    return services_with({"CHIMERA_REDIS_URL": project["CHIMERA_REDIS_URL"]})


@pytest.fixture(scope="session")
def celery_worker_cluster(
    project: dict[str, str], this_process: Celery, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CeleryWorkerCluster]:
    """pytest-celery's fixture: a worker for plans and tenants, a Judge, and beat for the sweep."""
    logs = tmp_path_factory.mktemp("logs")
    processes = {
        "worker": WORKER,
        "judge": JUDGE,
        "beat": ["beat", "--schedule", str(logs / "schedule")],
    }
    with ExitStack() as stack:
        nodes = []
        for name, arguments in processes.items():
            process = stack.enter_context(LocalProcess(name, arguments, project, logs / f"{name}.log", measured=True))
            nodes.append(CeleryTestWorker(process, this_process))
        yield CeleryWorkerCluster(*nodes)


@pytest.fixture
def chimera(celery_worker_cluster: CeleryWorkerCluster, services: Services) -> Chimera:
    """The Python API, with a swarm behind it."""
    return Chimera(services)


OwnWorker = Callable[..., LocalProcess]


@pytest.fixture
def own_worker(project: dict[str, str], tenant: str, tmp_path: Path) -> Iterator[OwnWorker]:
    """Starts workers for the test's tenant alone, that the test may end; the shared swarm judges."""
    started: list[LocalProcess] = []

    def start(name: str, *arguments: str) -> LocalProcess:
        queue = ["-Q", tenant_queue(tenant)]
        command = ["worker", *queue, "-n", f"{name}@{tenant}", *QUIET, *arguments]
        process = LocalProcess(name, command, project, tmp_path / f"{name}.log")
        process.start()
        started.append(process)
        process.ready()
        return process

    yield start
    for process in started:
        process.teardown()


Run = Callable[..., PlanHandle]


@pytest.fixture
def run(chimera: Chimera, tenant: str) -> Run:
    """Submits steps (or a planner's inputs) for the test's own tenant and waits until the plan is settled."""

    def submit(*steps: dict[str, object], planner: str = "test.steps", **inputs: object) -> PlanHandle:
        given = {"steps": list(steps)} if planner == "test.steps" else inputs
        handle = chimera.submit(planner, tenant=tenant, inputs=given)
        handle.wait(timeout=60)
        return handle

    return submit
