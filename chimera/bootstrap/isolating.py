"""Having users' code run in hosts: what they are to be, and what a worker knows of the code that it does not import."""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import structlog
from celery import Celery

from chimera.adapters.host import limits
from chimera.adapters.host.answers import Broken
from chimera.adapters.host.hosts import Hosts, declared
from chimera.adapters.host.plan import HostPlan, enforceable
from chimera.errors import IsolationImpossible
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.hosted import HostedPlanner, HostedSkill
from chimera.settings import Settings, data_dir

log = structlog.get_logger(__name__)

# What every host gets of the worker's environment, where it is there.
_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")


@cache
def _plans() -> list[HostPlan]:
    """The one that this process's hosts are made by, where it is a worker of level host."""
    return []


def host_plan() -> HostPlan | None:
    """How hosts are made; None where users' code runs in the worker's own processes."""
    return next(iter(_plans()), None)


def ask_for_project(app: Celery, settings: Settings, catalogue: Catalogue) -> None:
    """Has a host import the project's modules and say what they have; nobody reads this worker's memory from now on.

    Raises:
        SystemExit: the modules cannot be imported, or this machine cannot keep hosts apart.
    """
    limits.hide()
    try:
        enforced = enforceable()
    except IsolationImpossible as exc:
        raise SystemExit(f"chimera: {exc}") from exc
    plan = _made(app, settings, own_user=enforced.own_user, landlock=enforced.landlock)
    answer = declared(Hosts(plan))
    if isinstance(answer, Broken):
        raise SystemExit(f"chimera: what celeryconfig imports cannot be imported:\n{answer.trace}")
    for skill in answer.skills:
        catalogue.add_skill(HostedSkill(skill))
    for planner in answer.planners:
        catalogue.add_planner(HostedPlanner(planner))
    _plans()[:] = [plan]
    kept = {"own_user": enforced.own_user, "landlock": enforced.landlock, "signals": enforced.signals}
    log.info("isolation", isolation="host", network=False, **kept)


def _made(app: Celery, settings: Settings, *, own_user: bool, landlock: int) -> HostPlan:
    first, _, last = settings.host_users.partition("-")
    named = [name.strip() for name in settings.host_variables.split(",") if name.strip()]
    variables = {name: os.environ[name] for name in (*_VARIABLES, *named) if name in os.environ}
    places = [Path(place) for place in settings.checkpoint_places if "://" not in place]
    secret = [data_dir(), *places, *([settings.audit_keys] if settings.audit_keys else [])]
    modules = dict.fromkeys([*_listed(app.conf.imports), *_listed(app.conf.include)])
    return HostPlan(
        # Celery names its own app's tasks there, too.
        modules=tuple(name for name in modules if not name.startswith("chimera.tasks")),
        folder=str(Path.cwd()),
        path=tuple(path for path in sys.path if path),
        variables=variables,
        readable=tuple(path.strip() for path in settings.host_paths.split(",") if path.strip()),
        secret=tuple(str(path.expanduser().resolve()) for path in secret),
        users=(int(first), int(last)) if own_user else None,
        landlock=landlock,
        max_memory_bytes=settings.max_child_memory_bytes,
        max_output_bytes=settings.max_output_bytes,
        max_input_bytes=settings.max_inputs_bytes,
        max_tasks=settings.max_tasks_per_plan,
    )


def _listed(names: Any) -> list[str]:
    """As Celery takes them: one, several or none."""
    return [names] if isinstance(names, str) else list(names or ())
