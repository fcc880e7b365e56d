"""A whole swarm of its own for one run: servers, links between them and the processes, the processes."""

import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from chimera.adapters.celery.app import make_app
from chimera.adapters.postgres.migrate import Migrations
from chimera.adapters.system_clock import SystemClock
from chimera.bootstrap import Services
from chimera.chaos.fleet import Fleet, Member
from chimera.chaos.load import TENANTS
from chimera.chaos.proxy import LOOPBACK, Link
from chimera.chaos.servers import Servers
from chimera.chaos.skills import RUNS
from chimera.registration import CATALOGUE
from chimera.settings import Settings

WORKER, JUDGE, BEATS = "worker", "judge", ("beat-1", "beat-2")
AGENTS, JUDGES = 4, 2
_QUIET = ("--without-mingle", "--without-gossip")
_CONFIG = "chimera.chaos.celeryconfig"
_ROLES = ("APP", "WORKER", "JUDGE", "SEAL", "REVIEW")


class Environment:
    """What a run strikes. The processes reach each server through a link of their own, the harness directly."""

    def __init__(self, folder: Path, *, baseline: bool = False, without: str | None = None) -> None:
        self.folder = folder
        self.baseline = baseline
        self.runs_file = folder / "runs.jsonl"
        self.told_file = folder / "told.jsonl"
        self.servers = Servers(folder, with_postgres=not baseline)
        self.links: dict[str, Link] = {}
        self.fleet: Fleet
        self._without = without
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._undo.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def services(self) -> Services:
        """The services of a client whose way to the servers is never disturbed."""
        # A project's own celeryconfig in the working folder is not for this swarm.
        os.environ["CELERY_CONFIG_MODULE"] = _CONFIG
        variables = {name.removeprefix("CHIMERA_").lower(): value for name, value in self.servers.variables.items()}
        settings = Settings.model_validate(variables)
        return Services(make_app(settings), settings, CATALOGUE, SystemClock())

    def heal_all(self) -> None:
        """Lets everything pass again."""
        for link in self.links.values():
            link.heal()

    def _start(self) -> None:
        self._undo.callback(self.servers.stop)
        self.servers.start()
        if not self.baseline:
            self._prepare_database()
        for process in (WORKER, JUDGE):
            for server, port in self.servers.ports.items():
                link = Link(port).start()
                self._undo.callback(link.stop)
                self.links[f"{process}-{server}"] = link
        self.fleet = Fleet(self._members(), self.folder)
        self._undo.callback(self.fleet.stop)
        self.fleet.start()

    def _prepare_database(self) -> None:
        urls = self.servers.urls
        Migrations(urls["CHIMERA_OWNER_DATABASE_URL"]).upgrade(
            [urls[f"CHIMERA_{role}_DATABASE_URL"] for role in _ROLES]
        )
        tenants = self.services().adapters.tenants
        for tenant in TENANTS:
            tenants.add(tenant, "chaos")

    def _members(self) -> list[Member]:
        app = "chimera.chaos.baseline" if self.baseline else "chimera"
        worker = ("-Q", "headers") if self.baseline else ("-X", "judge")
        judge = ("-Q", "bodies") if self.baseline else ("-Q", "judge")
        members = [
            self._worker(app, WORKER, AGENTS, worker),
            self._worker(app, JUDGE, JUDGES, judge),
        ]
        if not self.baseline:
            members += [
                Member(name=name, argv=_celery(app, "beat", "--schedule", name), env=self._variables(None))
                for name in BEATS
            ]
        return members

    def _worker(self, app: str, name: str, agents: int, queues: tuple[str, ...]) -> Member:
        argv = _celery(app, "worker", "-c", str(agents), "-n", f"{name}@chaos", *queues, *_QUIET)
        return Member(name=name, argv=argv, env=self._variables(name))

    def _variables(self, process: str | None) -> Mapping[str, str]:
        """The environment of a process; None for one that goes to the servers directly."""
        urls = self.servers.urls
        if process is not None:
            for name, url in urls.items():
                server = "redis" if name == "CHIMERA_REDIS_URL" else "postgres"
                urls[name] = _through(self.links[f"{process}-{server}"], url)
        own = {
            "CHIMERA_DATA": str(self.folder),
            "CELERY_CONFIG_MODULE": _CONFIG,
            RUNS: str(self.runs_file),
            "PYTHONUNBUFFERED": "1",
        }
        if self._without:
            own["CHIMERA_CHAOS_WITHOUT"] = self._without
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CHIMERA_")}
        return kept | self.servers.variables | urls | own


def _celery(app: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "celery", "-A", app, *arguments)


def _through(link: Link, url: str) -> str:
    """The same server, by way of a link."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{user}@{LOOPBACK}:{link.port}"))
