"""A project's celeryconfig.py, in a folder of its own, as a real worker reads it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_celery import CeleryWorkerCluster

from tests.integration.conftest import QUIET
from tests.integration.processes import ROOT, LocalProcess

Files = Callable[..., Path]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A project's folder with these modules."""

    def write(**modules: str) -> Path:
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def variables(servers: dict[str, str]) -> dict[str, str]:
    """The environment of a project's processes: a database of the broker's for themselves."""
    broker = servers["CHIMERA_REDIS_URL"].removesuffix("/0") + "/5"
    return servers | {"CHIMERA_REDIS_URL": broker, "CELERY_CONFIG_MODULE": "celeryconfig"}


TASKS = """
from celery import shared_task

@shared_task(name="mine.add")
def add(a, b):
    print("the sum is", a + b, flush=True)
"""
# Each names a queue in another of the forms that Celery takes.
ROUTES = {
    "mapping": '{"mine.*": {"queue": "mine"}}',
    "list": '[{"other": "elsewhere"}, {"mine.*": {"queue": "mine"}}]',
    "pairs": '([("mine.*", {"queue": "mine"})],)',
    "function": 'lambda name, *_, **__: {"queue": "mine"} if name.startswith("mine.") else None',
    "everything": '[[("*", {"queue": "mine"})]]',
}


@pytest.mark.parametrize("form", ROUTES)
def test_a_project_s_task_routes_work_in_every_form(
    files: Files, variables: dict[str, str], form: str, tmp_path: Path
) -> None:
    folder = files(celeryconfig=f"imports = ['jobs']\ntask_routes = {ROUTES[form]}\n", jobs=TASKS)
    worker = ["worker", "-Q", "mine", "-P", "solo", "-n", "mine@%h", *QUIET]
    script = (
        "from chimera.celery import app\n"
        "app.send_task('mine.add', (1, 2))\n"
        "names = ('chimera.plan', 'chimera.judge', 'chimera.sweep')\n"
        "print(*[app.amqp.router.route({}, name)['queue'].name for name in names])\n"
    )
    with LocalProcess("mine", worker, variables, tmp_path / "log", "ready.", folder) as process:
        sent = _python(folder, variables, script)
        assert sent.returncode == 0, sent.stderr
        assert sent.stdout.split() == ["plan", "judge", "judge"], "what Chimera needs stays"
        process.says("the sum is 3")


BROKEN = {
    "a module that imports names is not there": {"celeryconfig": "imports = ['jobs', 'no_such_module']\n"},
    "a module that imports names fails": {"celeryconfig": "imports = ['broken']\n", "broken": "1 / 0\n"},
    "a module that imports names misses another": {
        "celeryconfig": "imports = ['broken']\n",
        "broken": "import no_such_module\n",
    },
    "celeryconfig itself misses a module": {"celeryconfig": "import no_such_module\nimports = ['jobs']\n"},
    "celeryconfig itself fails": {"celeryconfig": "imports = ['jobs']\n1 / 0\n"},
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_worker_ends_where_the_project_s_code_cannot_be_imported(
    files: Files, variables: dict[str, str], case: str
) -> None:
    folder = files(**({"jobs": TASKS} | BROKEN[case]))

    ended = _run(folder, variables, "-m", "celery", "-A", "chimera", "worker", "-P", "solo", *QUIET)

    assert ended.returncode not in {0, None}
    assert "ready." not in ended.stdout + ended.stderr
    wanted = "division by zero" if "fails" in case else "No module named 'no_such_module'"
    assert wanted in ended.stderr.rstrip().splitlines()[-1], "the error is the last thing that it says"


SUBMIT = """
import sys
from chimera import Chimera
from chimera.errors import ChimeraError
try:
    plan = Chimera().submit(sys.argv[1], tenant=sys.argv[2], inputs={"count": 3})
except ChimeraError as exc:
    sys.exit(f"{type(exc).__name__}: {exc}")
print(plan.wait(timeout=60).counts.committed)
"""


def test_a_service_submits_by_name_what_celeryconfig_imports(
    celery_worker_cluster: CeleryWorkerCluster, project: dict[str, str], tenant: str
) -> None:
    done = _run(ROOT, project, "-c", SUBMIT, "test.numbers", tenant)
    assert (done.stdout, done.returncode) == ("3\n", 0), done.stderr


def test_a_service_is_told_of_a_planner_that_celeryconfig_does_not_import_either(
    project: dict[str, str], tenant: str
) -> None:
    done = _run(ROOT, project, "-c", SUBMIT, "test.nobody", tenant)
    assert done.stderr.startswith("UnknownPlanner: ")
    assert "test.numbers" in done.stderr, "it lists those that there are"


def test_a_service_is_told_why_its_planner_is_not_there(files: Files, project: dict[str, str], tenant: str) -> None:
    folder = files(celeryconfig="imports = ['broken']\n", broken="1 / 0\n")
    done = _run(folder, project | {"CELERY_CONFIG_MODULE": "celeryconfig"}, "-c", SUBMIT, "test.numbers", tenant)
    assert done.stderr.rstrip().endswith("ZeroDivisionError: division by zero")


def _python(folder: Path, variables: dict[str, str], script: str) -> subprocess.CompletedProcess[str]:
    return _run(folder, variables, "-c", script)


def _run(folder: Path, variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
