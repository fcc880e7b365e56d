"""The same faults and the same load on bare Celery chords, and what those lose."""

import os
import threading
import time
from collections import Counter
from itertools import count
from pathlib import Path

from chimera.chaos import report
from chimera.chaos.environment import Environment
from chimera.chaos.journal import Journal, read
from chimera.chaos.kinds import Kind
from chimera.chaos.load import draw_plan
from chimera.chaos.run import Options, RunFailed, Say, heal, inject, leftovers, run_folder
from chimera.models.record import Record

_READY_SECONDS = 60.0
# Longer than a message of a dead worker takes to come back, with a margin for whom it goes to.
_QUIET_SECONDS = 75.0


class BaselineReport(Record):
    """The figures of a run over bare Celery."""

    seed: int
    seconds: float
    faults: dict[str, int]
    # Kinds that strike what bare Celery does not have.
    skipped: tuple[str, ...]
    # Chords that Redis has taken, and their headers.
    plans: int
    tasks: int
    # Of these chords: whose body ran, whose never did, whose ran more than once.
    bodies: int
    lost: int
    duplicated: int
    # Headers that ran more than once, and those that never did.
    tasks_run_again: int
    tasks_never_run: int
    leftovers: dict[str, int]
    environment: dict[str, str]


class Sender:
    """A thread that sends chords as the customers of a swarm submit plans."""

    def __init__(self, journal: Journal, options: Options, runs: Path) -> None:
        self._journal = journal
        self._options = options
        self._runs = runs
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send, name="sender", daemon=True)
        self.plans: dict[str, int] = {}

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends."""
        self._over.set()
        self._thread.join()

    def _send(self) -> None:
        from chimera.chaos.baseline import send

        for number in count():
            draw = draw_plan(self._options.seed, number, self._options.plans_per_second)
            try:
                send(draw.key, draw.steps)
            except Exception:  # noqa: BLE001  not acknowledged: bare Celery has no way to send it once more, once
                self._over.wait(1.0)
            else:
                self._journal.note("plan", key=draw.key, tasks=len(draw.steps))
                self.plans[draw.key] = len(draw.steps)
            # As there, plans wait while too many are open; those that have been lost do not count for ever.
            while self._open() >= self._options.open_plans and not self._over.wait(0.3):
                pass
            if self._over.wait(draw.pause_seconds):
                return

    def _open(self) -> int:
        ended = {str(entry["key"]) for entry in read(self._runs, "body")}
        return sum(key not in ended for key in list(self.plans)[-2 * self._options.open_plans :])


def run_baseline(options: Options, say: Say) -> BaselineReport:
    """Carries out a run on bare Celery.

    Raises:
        RunFailed: the workers did not start to work.
        EmbeddedServerError: Redis did not start, or not again.
    """
    kinds = options.kinds()
    fitting = tuple(kind for kind in kinds if not (kind.of_postgres or kind.of_beat))
    with run_folder(say) as folder, Environment(folder, baseline=True) as world:
        os.environ["CHIMERA_REDIS_URL"] = world.servers.variables["CHIMERA_REDIS_URL"]
        sender = Sender(Journal(world.told_file), options, world.runs_file)
        try:
            sender.start()
            _await_bodies(world.runs_file)
            say("the chords run: injecting faults")
            injector = inject(world, None, options, fitting, say)
            heal(world)
        finally:
            sender.stop()
        say("everything is healed: waiting for the chords that are open")
        _await_quiet(world.runs_file, set(sender.plans))
        return _report(world, options, sender, injector.injected, [kind for kind in kinds if kind not in fitting])


def _report(
    world: Environment, options: Options, sender: Sender, faults: Counter[str], skipped: list[Kind]
) -> BaselineReport:
    bodies = Counter(str(entry["key"]) for entry in read(world.runs_file, "body"))
    runs = Counter(str(entry["nonce"]) for entry in read(world.runs_file, "run"))
    nonces = [f"{key}/{place}" for key, tasks in sender.plans.items() for place in range(tasks)]
    return BaselineReport(
        seed=options.seed,
        seconds=options.seconds,
        faults=dict(sorted(faults.items())),
        skipped=tuple(kind.name for kind in skipped),
        plans=len(sender.plans),
        tasks=len(nonces),
        bodies=sum(bodies[key] > 0 for key in sender.plans),
        lost=sum(bodies[key] == 0 for key in sender.plans),
        duplicated=sum(bodies[key] > 1 for key in sender.plans),
        tasks_run_again=sum(runs[nonce] > 1 for nonce in nonces),
        tasks_never_run=sum(runs[nonce] == 0 for nonce in nonces),
        leftovers=leftovers(world),
        environment=report.environment(world.servers.versions()),
    )


def _await_bodies(runs: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not any(read(runs, "body")):
        if time.monotonic() > deadline:
            raise RunFailed(f"no chord was done within {_READY_SECONDS:g} s of the start, without any fault")
        time.sleep(0.2)


def _await_quiet(runs: Path, keys: set[str]) -> None:
    """Returns when every body has run, or when nothing ran for a time after which nothing more will."""
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < _QUIET_SECONDS:
        if keys <= {str(entry["key"]) for entry in read(runs, "body")}:
            return
        size = runs.stat().st_size
        if size != seen:
            seen, since = size, time.monotonic()
        time.sleep(0.5)
