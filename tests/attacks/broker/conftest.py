"""A swarm for those who reach its broker and nothing else: one worker and one Judge, started once for all attacks."""

import json
from base64 import b64encode
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import Celery

from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.tenant_store import TenantStore
from tests.conftest import new_tenant_id, running_servers
from tests.integration.conftest import CONFIG, JUDGE, WORKER, services_with
from tests.integration.processes import LocalProcess

ANSWERS_WITHIN_SECONDS = 15.0


class Swarm:
    """What an attack has, the broker, and what the attacked have: processes, and a client that sends as they do."""

    def __init__(self, variables: dict[str, str], tenant: str, processes: dict[str, LocalProcess]) -> None:
        self.variables = variables
        self.tenant = tenant
        self.processes = processes
        self.broker: redis.Redis = redis.Redis.from_url(variables["CHIMERA_REDIS_URL"])
        self.services = services_with(variables)
        self.app: Celery = self.services._app
        # Until it was seen at work after an attack.
        self.is_ill = False

    def make_well(self) -> None:
        """Starts again what an attack has ended or keeps from its work, on a broker that has forgotten it."""
        if not self.is_ill:
            return
        for process in self.processes.values():
            if process.status == "running":
                process.kill()
        self.broker.flushall()
        for process in self.processes.values():
            process.start()
        for process in self.processes.values():
            process.ready()


def forged(queue: str, task: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """A message of somebody who knows how Celery's look, and has no key."""
    task_id = str(uuid4())
    followers = dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))
    return {
        "body": b64encode(json.dumps([[], options or {}, followers]).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": task,
            "id": task_id,
            "shadow": None,
            "eta": None,
            "expires": "2026-11-29T00:00:00+00:00",
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": task_id,
            "parent_id": None,
            "argsrepr": "()",
            "kwargsrepr": "{}",
            "origin": "gen1@host",
            "ignore_result": True,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        },
        "properties": {
            "correlation_id": task_id,
            "reply_to": str(uuid4()),
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
        },
    }


@pytest.fixture(scope="session")
def one_swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    logs: Path = tmp_path_factory.mktemp("attacked")
    with running_servers() as servers:
        variables = servers | CONFIG
        import_module("tests.integration.skills")
        tenant = new_tenant_id()
        owner = Database(variables["CHIMERA_OWNER_DATABASE_URL"], 1)
        TenantStore(owner).add(tenant, "tests")
        owner.close()
        processes = {
            name: LocalProcess(name, arguments, variables, logs / f"{name}.log")
            for name, arguments in {"worker": [*WORKER, "-E"], "judge": [*JUDGE, "-E"]}.items()
        }
        swarm = Swarm(variables, tenant, processes)
        for process in processes.values():
            process.start()
        try:
            for process in processes.values():
                process.ready()
            yield swarm
        finally:
            for process in processes.values():
                if process.status == "running":
                    process.kill()


@pytest.fixture
def swarm(one_swarm: Swarm) -> Swarm:
    """The swarm, well."""
    one_swarm.make_well()
    one_swarm.is_ill = True
    return one_swarm
