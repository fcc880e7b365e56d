"""A swarm under attack: one worker that runs the skills of two tenants, of whom one looks for the other's canary."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
import redis

from chimera import Chimera
from chimera.adapters.celery.app import make_app
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.tenant_store import TenantStore
from chimera.adapters.system_clock import SystemClock
from chimera.bootstrap import Services
from chimera.registration import CATALOGUE
from chimera.settings import Settings
from tests.attacks.skill_code import attacks_on_canary
from tests.attacks.skill_code.attacks_on_canary import DONE
from tests.conftest import new_tenant_id
from tests.integration.processes import LocalProcess
from tests.integration.waiting import eventually

WORKER = ["worker", "-X", "judge", "-c", "1", "-n", "attacked@%h", "--without-mingle", "--without-gossip"]
_OF_A_WORKER = ("CHIMERA_APP_DATABASE_URL", "CHIMERA_WORKER_DATABASE_URL", "CHIMERA_MESSAGE_KEY")
MOST_SECONDS = 60.0
_RESULTS = """
select t.label ->> 'attack', r.outcome from task as t join result as r using (tenant_id, task_id) where t.plan_id = %s
"""


class Swarm:
    """A project of its own with a worker, over servers that are there."""

    def __init__(self, servers: Mapping[str, str], folder: Path, number: int) -> None:
        self.servers = servers
        self.folder = folder
        self.canary = f"CANARY-{uuid4().hex[:16]}"
        self.broker = f"{servers['CHIMERA_REDIS_URL'].removesuffix('/0')}/{number}"
        with closing(Database(servers["CHIMERA_OWNER_DATABASE_URL"], 1)) as database:
            self.attacker, self.victim = new_tenant_id(), new_tenant_id()
            for tenant_id in (self.attacker, self.victim):
                TenantStore(database).add(tenant_id, "tests")
        redis.Redis.from_url(self.broker).set("canary", self.canary)
        self._write_project()

    @property
    def variables(self) -> dict[str, str]:
        """What the worker's environment holds of Chimera's."""
        roles = {f"CHIMERA_{role}_DATABASE_URL": "" for role in ("OWNER", "JUDGE", "SEAL", "REVIEW")}
        own = {name: self.servers[name] for name in _OF_A_WORKER if name in self.servers}
        return {
            **roles,
            **own,
            "CHIMERA_REDIS_URL": self.broker,
            "CHIMERA_MESSAGE_KEY": self.servers.get("CHIMERA_MESSAGE_KEY", ""),
            "CHIMERA_DATA": str(self.folder / "data"),
            "CELERY_CONFIG_MODULE": "celeryconfig",
        }

    @property
    def secrets(self) -> set[str]:
        """What nobody's skill may get hold of: the other tenant's canary, and every password."""
        passwords = {urlsplit(url).password or self.canary for url in self.servers.values() if "://" in url}
        return {self.canary, self.servers.get("CHIMERA_MESSAGE_KEY", self.canary)} | passwords

    def worker(self, level: str, **variables: str) -> LocalProcess:
        """The worker at this level of isolation, not started yet."""
        env = self.variables | {"CHIMERA_ISOLATION": level} | variables
        return LocalProcess("attacked", WORKER, env, self.folder / "worker.log", "ready.", self.folder)

    def scene(self, worker: int) -> dict[str, Any]:
        """What an attacker may know of the swarm whose worker has this process id."""
        urls = [self.servers["CHIMERA_OWNER_DATABASE_URL"], self.broker]
        arguments = {int(path.parent.name): path.read_text() for path in Path("/proc").glob("[0-9]*/cmdline")}
        folder = next(word for text in arguments.values() for word in text.split("\x00") if self._is_of_servers(word))
        home = next(each for each in Path(folder).parents if (each / "passwords.json").exists())
        servers = [pid for pid, text in arguments.items() if str(home) in text]
        return {
            "other": self.victim,
            "pids": [os.getpid(), worker, *_descendants(worker), *servers],
            "ports": [urlsplit(url).port for url in urls],
            "servers": str(home),
        }

    def _is_of_servers(self, word: str) -> bool:
        """Whether an argument of PostgreSQL's is the folder of the server that this swarm uses."""
        port = str(urlsplit(self.servers["CHIMERA_OWNER_DATABASE_URL"]).port)
        try:
            return word.startswith("/") and Path(word, "postmaster.pid").read_text().splitlines()[3] == port
        except OSError:
            return False

    def run(self, tenant: str, planner: str, **inputs: Any) -> dict[str, str]:
        """What each task of a plan answered, by its label."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.variables.items():
                patch.setenv(name, value)
            settings = Settings()
        services = Services(make_app(settings), settings, CATALOGUE, SystemClock())
        plan = Chimera(services).submit(planner, tenant=tenant, inputs=inputs)
        answers: dict[str, str] = {}

        def answered() -> bool:
            plan_row = plan.plan
            if plan_row.state.value == "failed":
                raise RuntimeError(f"{planner}: {plan_row}")
            with psycopg.connect(self.servers["SUPERUSER_DATABASE_URL"]) as connection:
                rows = connection.execute(_RESULTS, [plan.plan_id]).fetchall()
            answers.update({name: json.dumps(outcome) for name, outcome in rows})
            return bool(plan_row.counts.tasks) and len(answers) == plan_row.counts.tasks

        try:
            eventually(answered, MOST_SECONDS)
        except AssertionError as exc:
            log = (self.folder / "worker.log").read_text(errors="replace")
            raise AssertionError(f"{planner}: {exc}; answered: {sorted(answers)}\n{log[-3000:]}") from exc
        return answers

    def got(self, answer: str) -> str:
        """What of an answer is a secret, or the deed that it tells of; empty where it got nothing."""
        if f'"{DONE}' in answer:
            return answer.partition(DONE)[2]
        return ", ".join(sorted(secret for secret in self.secrets if secret in answer))

    def _write_project(self) -> None:
        (self.folder / "data").mkdir()
        shutil.copy(attacks_on_canary.__file__, self.folder / "attacks_on_canary.py")
        (self.folder / "celeryconfig.py").write_text("imports = ['attacks_on_canary']\n")
        (self.folder / "keys").mkdir(mode=0o700)
        for secret in (self.folder / ".env", self.folder / "keys" / "audit.key"):
            secret.touch(mode=0o600)
            secret.write_text(self.canary)


S = TypeVar("S", bound=Swarm)


@contextmanager
def a_swarm(servers: Mapping[str, str], number: int) -> Iterator[Swarm]:
    """A project in a folder that every user can enter; `number` is its database of the broker's."""
    with a_swarm_of(Swarm, servers, number) as swarm:
        yield swarm


@contextmanager
def a_swarm_of(kind: type[S], servers: Mapping[str, str], number: int) -> Iterator[S]:
    """The same, of another kind."""
    folder = Path(tempfile.mkdtemp(prefix="chimera-attacked-")).resolve()
    folder.chmod(0o755)
    try:
        yield kind(servers, folder, number)
    finally:
        shutil.rmtree(folder)


def attack(swarm: Swarm, level: str, **variables: str) -> dict[str, str]:
    """What the attacker got hold of, by attack; those that got nothing are left out."""
    with swarm.worker(level, **variables) as worker, _killed_if_it_fails(worker):
        swarm.run(swarm.victim, "attack.victims", secret=swarm.canary)
        answers = swarm.run(swarm.attacker, "attack.attacks", scene=swarm.scene(worker.pid))
        answers |= swarm.run(swarm.attacker, "attack.plants")
        swarm.run(swarm.victim, "attack.victims", secret=swarm.canary)
        stayed = {name: _stays(json.loads(answers[name])) for name in ("child", "daemon")}
        plants = {name: str(json.loads(answers[name])["output"]) for name in stayed}
        answers |= swarm.run(swarm.attacker, "attack.harvests")
    answers["exit_hook"] += _left_in_files("exit_hook")
    _clean_up(plants.values())
    got = {name: swarm.got(answer) or stayed.get(name, "") for name, answer in answers.items()}
    return {name: what for name, what in got.items() if what}


@contextmanager
def _killed_if_it_fails(worker: LocalProcess) -> Iterator[None]:
    """What a worker was made by attacks may not hear that it is to end."""
    try:
        yield
    except BaseException:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.kill()
        raise


def _descendants(pid: int) -> list[int]:
    children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    return [*children, *(each for child in children for each in _descendants(child))]


def _stays(answer: dict[str, Any]) -> str:
    """The process that a plant started, if it still lives while another tenant's tasks run."""
    pid = str(answer["output"])
    return f"process {pid} lives" if pid.isdecimal() and Path(f"/proc/{pid}/stat").exists() else ""


def _clean_up(pids: Iterable[str]) -> None:
    """Ends and removes what the attacks left on this machine."""
    for pid in pids:
        if pid.isdecimal() and "attacked@" in _arguments_of(pid):
            os.kill(int(pid), signal.SIGKILL)
    for place in ("/tmp", "/var/tmp", "/dev/shm"):
        for path in (*Path(place).glob("stash-*"), Path(place, "note-of-a-victim")):
            path.unlink(missing_ok=True)


def _arguments_of(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def _left_in_files(name: str) -> str:
    """What was kept in files by somebody, which are removed."""
    found = ""
    for place in ("/tmp", "/var/tmp", "/dev/shm"):
        for path in Path(place).glob(f"stash-{name}-*"):
            found += path.read_text()
    return found
