"""A swarm of real workers for the integration tests: started once, shared, each test with its own tenant."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from pytest_celery import CeleryTestWorker, CeleryWorkerCluster

from chimera import Chimera, PlanHandle, bootstrap
from chimera import settings as settings_module
from chimera.bootstrap import Services
from tests.integration.processes import LocalProcess

QUIET = ["--without-mingle", "--without-gossip"]
WORKER = ["worker", "-X", "judge", "-c", "2", "-n", "worker@%h", *QUIET]
JUDGE = ["worker", "-Q", "judge", "-c", "2", "-n", "judge@%h", *QUIET]


@pytest.fixture(scope="session")
def project(servers: dict[str, str]) -> Iterator[dict[str, str]]:
    """This process, and with it its children, as part of the project under test."""
    variables = servers | {"CELERY_CONFIG_MODULE": "tests.integration.celeryconfig"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        for cached in (settings_module.settings, bootstrap.celery_app, bootstrap.services):
            cached.cache_clear()
        bootstrap.load_user_code()
        yield variables


@pytest.fixture(scope="session")
def services(project: dict[str, str]) -> Services:
    return bootstrap.services()


@pytest.fixture(scope="session")
def celery_worker_cluster(
    project: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CeleryWorkerCluster]:
    """pytest-celery's fixture: a worker for plans and tenants, a Judge, and beat for the sweep."""
    logs = tmp_path_factory.mktemp("logs")
    processes = {
        "worker": (WORKER, "ready."),
        "judge": (JUDGE, "ready."),
        "beat": (["beat", "--schedule", str(logs / "schedule")], "maxinterval"),
    }
    with ExitStack() as stack:
        nodes = []
        for name, (arguments, prompt) in processes.items():
            process = stack.enter_context(LocalProcess(name, arguments, project, logs / f"{name}.log", prompt))
            nodes.append(CeleryTestWorker(process, bootstrap.celery_app()))
        yield CeleryWorkerCluster(*nodes)


@pytest.fixture
def chimera(celery_worker_cluster: CeleryWorkerCluster, services: Services) -> Chimera:
    """The Python API, with a swarm behind it."""
    return Chimera(services)


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

