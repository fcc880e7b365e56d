"""Injecting faults: one after the other with the time to recover from each, or many at once."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

# Each module registers its faults.
import chimera.chaos.link_faults
import chimera.chaos.message_faults
import chimera.chaos.process_faults
import chimera.chaos.server_faults  # noqa: F401
from chimera.chaos.environment import Environment
from chimera.chaos.faults import NotInjected, Registry
from chimera.chaos.kinds import Clock
from chimera.chaos.recovery import UnderWay, Watch
from chimera.chaos.schedule import Draw, Scheduled

# A fault that nothing has recovered from after this is given up on, and counts as this.
BOUND_SECONDS = 60.0
# A fault that strikes an idle swarm tells nothing: the injector waits up to 5 s until 10 tasks are under way.
_WORK_WITHIN_SECONDS = 5.0
_ENOUGH = 10
_AT_ONCE = 16


class Injector:
    """Strikes, and counts."""

    def __init__(self, world: Environment, watch: Watch | None, say: Callable[[str], None]) -> None:
        """`watch`: looks at what is under way; without one, nothing is measured. `say`: told of each recovery."""
        self._say = say
        self._world = world
        self._watch = watch
        self._lock = threading.Lock()
        self.injected: Counter[str] = Counter()
        # Seconds to recover, in the order of the faults.
        self.recovered: defaultdict[str, list[float]] = defaultdict(list)
        self.unrecovered: Counter[str] = Counter()

    def one_by_one(self, draws: Iterable[Draw], until: float, most: int | None = None) -> None:
        """Injects one fault after the other, the next when all has recovered from the last.

        Args:
            draws: in order.
            until: on the monotonic clock; no fault begins later.
            most: how many at most.
        """
        for draw in draws:
            if time.monotonic() + draw.seconds >= until or (most is not None and self.injected.total() >= most):
                return
            self._measure(draw)

    def storm(self, faults: Sequence[Scheduled]) -> None:
        """Injects faults at their times, whatever else is going on; returns when the last has ended."""
        began = time.monotonic()
        with ThreadPoolExecutor(_AT_ONCE, "storm") as executor:
            running: list[Future[bool]] = []
            for fault in faults:
                time.sleep(max(0.0, began + fault.at_seconds - time.monotonic()))
                running.append(executor.submit(self._strike, fault.draw))
            for strike in running:
                strike.result()

    def _measure(self, draw: Draw) -> None:
        before = self._before()
        began = time.monotonic()
        if not self._strike(draw) or before is None or self._watch is None:
            return
        since = began if draw.kind.clock is Clock.INJECTED else time.monotonic()
        moved = self._watch.await_moved(before, BOUND_SECONDS)
        seconds = round(max(0.0, time.monotonic() - since), 2)
        self.recovered[draw.kind.name].append(seconds)
        if not moved:
            self.unrecovered[draw.kind.name] += 1
        lasted = f" after {draw.seconds:.1f} s of it" if draw.seconds else ""
        limit = "" if draw.kind.limit_seconds is None else f" (limit {draw.kind.limit_seconds:g} s)"
        self._say(f"  {draw.kind.name:<20}{seconds:6.1f} s{limit}{lasted}, {before.size} under way")

    def _before(self) -> UnderWay | None:
        if self._watch is None:
            return None
        deadline = time.monotonic() + _WORK_WITHIN_SECONDS
        while True:
            found = self._watch.under_way()
            enough = found is not None and found.size >= _ENOUGH and "running" in found.states
            if enough or time.monotonic() > deadline:
                return found
            time.sleep(0.05)

    def _strike(self, draw: Draw) -> bool:
        fault = Registry.known[draw.kind.name](self._world, draw)
        try:
            fault.inject()
        except NotInjected:
            return False
        else:
            with self._lock:
                self.injected[draw.kind.name] += 1
            time.sleep(draw.seconds)
        finally:
            fault.heal()
        return True
