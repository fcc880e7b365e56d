"""A run: load, faults, everything healed, time to settle, and the check."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

import redis
from pydantic import Field

from chimera.chaos import report
from chimera.chaos.customers import Customers
from chimera.chaos.environment import Environment
from chimera.chaos.evidence import Evidence
from chimera.chaos.injector import Injector
from chimera.chaos.invariants import Harm, Violation, check
from chimera.chaos.journal import Journal
from chimera.chaos.kinds import BY_NAME, KINDS, Kind
from chimera.chaos.load import TENANTS
from chimera.chaos.message_faults import queues
from chimera.chaos.mutations import IN_DATABASE, Guard
from chimera.chaos.recovery import Watch
from chimera.chaos.report import Report
from chimera.chaos.schedule import one_by_one, storm
from chimera.chaos.server_faults import await_servers
from chimera.errors import ChimeraError, InvalidInput
from chimera.models.record import Record

_READY_SECONDS = 90.0
_LOOK_SECONDS = 0.2
Say = Callable[[str], None]


class RunFailed(ChimeraError):
    """The run could not be carried out."""


class Options(Record):
    """What to run."""

    seed: int
    # How long faults are injected; starting and settling come on top.
    seconds: float = Field(default=120.0, gt=0)
    # The share of that in which faults come at their own times, overlap, and are not measured.
    storm: float = Field(default=0.4, ge=0, le=1)
    faults_per_minute: float = Field(default=40.0, gt=0)
    settle_seconds: float = Field(default=60.0, gt=0)
    plans_per_second: float = Field(default=2.0, gt=0)
    open_plans: int = Field(default=24, ge=1)
    # Only these kinds of faults; all where there is none.
    only: tuple[str, ...] = ()
    without: Guard | None = None

    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of faults of this run.

        Raises:
            InvalidInput: there is no such kind.
        """
        if unknown := [name for name in self.only if name not in BY_NAME]:
            raise InvalidInput(f"no kind of fault is named {unknown[0]!r}; there are {', '.join(BY_NAME)}")
        return tuple(kind for kind in KINDS if not self.only or kind.name in self.only)


def run(options: Options, say: Say) -> Report:
    """Carries out a run on servers and processes of its own.

    Raises:
        RunFailed: the swarm did not start to work.
        InvalidInput: the options name what there is not.
        EmbeddedServerError: a server did not start, or not again.
    """
    kinds = options.kinds()
    with run_folder(say) as folder, Environment(folder, without=options.without) as world:
        _weaken(world, options.without)
        journal = Journal(world.told_file)
        watch = Watch(world.servers.superuser)
        customers = Customers(
            world.services(),
            journal,
            Watch(world.servers.superuser),
            options.seed,
            plans_per_second=options.plans_per_second,
            open_plans=options.open_plans,
        )
        try:
            customers.start()
            _await_work(watch)
            say("the swarm works: injecting faults")
            injector = inject(world, watch, options, kinds, say)
            heal(world)
            customers.no_more()
            say("everything is healed: waiting for the plans that are open")
            _settle(watch, customers, options.settle_seconds)
        finally:
            customers.stop()
        say("checking")
        return _report(world, options, customers, injector)


def inject(world: Environment, watch: Watch | None, options: Options, kinds: tuple[Kind, ...], say: Say) -> Injector:
    """The faults of a run: at first one by one, then a storm."""
    injector = Injector(world, watch, say)
    stormy = options.seconds * options.storm
    injector.one_by_one(one_by_one(options.seed, kinds), time.monotonic() + options.seconds - stormy)
    say("a storm of faults")
    injector.storm(storm(options.seed, stormy, options.faults_per_minute, kinds))
    return injector


def heal(world: Environment) -> None:
    """Ends whatever is left of the faults."""
    world.heal_all()
    await_servers(world)


@contextmanager
def run_folder(say: Say) -> Iterator[Path]:
    """A folder for one run; kept, and named, where the run ends with an error."""
    folder = Path(tempfile.mkdtemp(prefix="chimera-chaos-")).resolve()
    folder.chmod(0o755 if os.geteuid() == 0 else 0o700)
    try:
        yield folder
    except BaseException:
        say(f"its logs and journals are in {folder}")
        raise
    if not (folder / "keep").exists():
        shutil.rmtree(folder, ignore_errors=True)
    else:
        say(f"its logs and journals are in {folder}")


def _weaken(world: Environment, without: Guard | None) -> None:
    if without is not None:
        with closing(world.servers.superuser()) as connection:
            for statement in IN_DATABASE[without]:
                connection.execute(statement)


def _await_work(watch: Watch) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        rows = watch.rows("committed")
        if rows and rows[0]["committed"]:
            return
        time.sleep(_LOOK_SECONDS)
    raise RunFailed(f"nothing was committed within {_READY_SECONDS:g} s of the start, without any fault")


def _settle(watch: Watch, customers: Customers, seconds: float) -> None:
    """Returns when every plan has ended and every customer has an answer, or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and (watch.open_plans() != 0 or customers.waiting):
        time.sleep(_LOOK_SECONDS)


def _report(world: Environment, options: Options, customers: Customers, injector: Injector) -> Report:
    with closing(world.servers.superuser()) as connection:
        evidence = Evidence(connection, world.told_file, world.runs_file)
        violations = check(connection, TENANTS) + evidence.check(TENANTS)
    violations += _trivial(evidence, options)
    made = Report(
        seed=options.seed,
        seconds=options.seconds,
        faults=dict(sorted(injector.injected.items())),
        plans=customers.plans,
        tasks=customers.tasks,
        ends=dict(sorted(evidence.ends.items())),
        runs=evidence.runs,
        unexpected=tuple(customers.unexpected),
        leftovers=leftovers(world),
        starts=world.fleet.starts,
        without=options.without,
        environment=report.environment(world.servers.versions()),
        **report.summed(violations),
        **report.recoveries(injector.recovered, injector.injected),
    )
    if not made.holds:
        (world.folder / "keep").touch()
    return made


def leftovers(world: Environment) -> dict[str, int]:
    """Messages that are still in Redis: harmless, and of interest."""
    try:
        with world.servers.redis() as client:
            found = {queue.decode(): cast("int", client.llen(queue)) for queue in queues(client)}
            return found | {"unacked": cast("int", client.hlen("unacked"))}
    except redis.RedisError:
        return {}


def _trivial(evidence: Evidence, options: Options) -> list[Violation]:
    """A swarm that does nothing loses nothing."""
    approved, known = evidence.ends["approved"], evidence.ends.total()
    if approved * 2 >= known and approved:
        return []
    sentence = "At least half of all tasks are approved."
    return [
        Violation(
            invariant="too_little_done",
            sentence=sentence,
            harm=Harm.BROKEN,
            tenant_id="all",
            id=str(options.seed),
            what=f"{approved} of {known}",
        )
    ]
