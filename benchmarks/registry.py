"""The registry of agents with N simulated agents, each a worker process of its own: the most beats for N agents.

First every operation, called by a few threads, while a process beside them beats for all N agents as often as it
can, up to once a second each. Then the reconnect storm: Redis loses everything it has, every connection is cut, and
each agent beats once over a connection of its own; it ends when all N are known again. Prints a table, or with --json
one JSON document, times in milliseconds.
"""

import argparse
import json
import multiprocessing
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from random import Random
from time import monotonic, perf_counter, sleep
from typing import Any
from uuid import UUID

from benchmarks import stack
from chimera.adapters.redis.agent_registry import PREFIX, AgentRegistry, beat_arguments, script
from chimera.adapters.redis.connection import connect
from chimera.adapters.system_clock import SystemClock
from chimera.models.work.agent import AgentSlot, AgentStatus, AgentWork, ProcessBeat, agent_id

CALLERS = 4
CALLS = 2000
RECONNECTING = 8
AT_ONCE = 20
# One in so many agents is busy, so that to look for busy ones is to look through many.
BUSY_EVERY = 10


def process(number: int) -> ProcessBeat:
    """A worker process with one agent."""
    process_id, now = SystemClock().new_id(), datetime.now(UTC)
    busy = number % BUSY_EVERY == 0
    work = AgentWork(tenant_id="acme", plan_id=SystemClock().new_id(), wave_no=1, tasks=50, since=now)
    slot = AgentSlot(
        agent_id=agent_id(process_id, 7, 0),
        pid=7,
        status=AgentStatus.BUSY if busy else AgentStatus.ACTIVE,
        running=work if busy else None,
        batches=number,
    )
    skills = tuple(f"skill.number_{place}" for place in range(10))
    return ProcessBeat(process_id=process_id, node=f"worker@{number}", skills=skills, started_at=now, slots=(slot,))


def beat_on(url: str, beats: list[ProcessBeat], ended: Any, sent: Any) -> None:
    """Beats for all of them, each once a second or as often as it can; runs in a process of its own.

    Many beats go out at once: to send 10,000 a second one by one would take more cores than the server's one.
    """
    arguments = [beat_arguments(beat, anew=False) for beat in beats]
    with connect(url, {}) as client:
        heartbeat = client.register_script(script("beat"))
        while not ended.is_set():
            began = monotonic()
            for start in range(0, len(arguments), AT_ONCE):
                with client.pipeline(transaction=False) as pipeline:
                    for each in arguments[start : start + AT_ONCE]:
                        heartbeat(keys=[PREFIX], args=each, client=pipeline)
                    sent.value += len(pipeline.execute())
                # Evenly over the second, as 10,000 processes would.
                sleep(max(0.0, (start + AT_ONCE) / len(arguments) - (monotonic() - began)))


@contextmanager
def beating(url: str, beats: list[ProcessBeat]) -> Iterator[Callable[[], float]]:
    """Such a process; yields how many beats it sent per second so far."""
    context = multiprocessing.get_context("spawn")
    ended, sent = context.Event(), context.Value("q", 0)
    beater = context.Process(target=beat_on, args=(url, beats, ended, sent))
    beater.start()
    while not sent.value:
        sleep(0.01)
    began, before = monotonic(), sent.value
    try:
        yield lambda: (sent.value - before) / (monotonic() - began)
    finally:
        ended.set()
        beater.join()


def operations(beats: list[ProcessBeat]) -> dict[str, Callable[[AgentRegistry, int, Random], object]]:
    """What is measured: each call gets a number of its own, and a source of randomness."""
    agents = [beat.slots[0].agent_id for beat in beats]

    def some(random: Random, most: int) -> list[UUID]:
        return random.sample(agents, min(most, len(agents)))

    return {
        "register": lambda registry, number, _: registry.register(beats[number % len(beats)]),
        "heartbeat": lambda registry, number, _: registry.heartbeat(beats[number % len(beats)]),
        "get": lambda registry, _, random: registry.get(random.choice(agents)),
        "list": lambda registry, _, random: registry.list_agents(after=random.choice(agents), limit=50),
        "list_busy": lambda registry, _, __: registry.list_agents(status=AgentStatus.BUSY, limit=50),
        "list_none": lambda registry, _, __: registry.list_agents(status=AgentStatus.IDLE, limit=50),
        "list_offline": lambda registry, _, __: registry.list_agents(status=AgentStatus.OFFLINE, limit=50),
        "workforce": lambda registry, _, __: registry.workforce(),
        "standing_100": lambda registry, _, random: registry.standing(some(random, 100)).alive,
        "drain": lambda registry, number, random: registry.drain(random.choice(agents), draining=number % 2 == 0),
    }


def milliseconds(url: str, call: Callable[[AgentRegistry, int, Random], object]) -> dict[str, float]:
    """The call's times, by CALLERS threads with a connection each."""
    numbers = count()

    def caller(seed: int) -> list[float]:
        random, times = Random(seed), []
        with connect(url, {}) as client:
            registry = AgentRegistry(client)
            registry.workforce()  # connects
            for _ in range(CALLS // CALLERS):
                number = next(numbers)
                began = perf_counter()
                call(registry, number, random)
                times.append(1000 * (perf_counter() - began))
        return times

    with ThreadPoolExecutor(CALLERS) as pool:
        times = [each for times in pool.map(caller, range(CALLERS)) for each in times]
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    figures = {"avg_ms": statistics.fmean(times), "p50_ms": cuts[49], "p95_ms": cuts[94], "p99_ms": cuts[98]}
    return {name: round(figure, 3) for name, figure in figures.items()}


def storm_seconds(url: str, beats: list[ProcessBeat]) -> float:
    """From the moment that Redis has lost everything until it knows all agents again."""

    clients = [connect(url, {}) for _ in beats]
    registries = [AgentRegistry(client) for client in clients]

    def back(number: int) -> None:
        registries[number].heartbeat(beats[number])
        clients[number].close()  # the simulation has fewer file descriptors than the swarm

    with connect(url, {}) as client:
        registry = AgentRegistry(client)
        client.flushall()
        client.client_kill_filter(_type="normal", skipme=True)
        began = perf_counter()
        with ThreadPoolExecutor(RECONNECTING) as pool:
            list(pool.map(back, range(len(beats))))
        known = len(registry.list_agents(limit=len(beats) + 1))
        took = perf_counter() - began
    if known != len(beats):
        raise RuntimeError(f"{known} of {len(beats)} agents are known")
    return took


def measure(agents: int) -> dict[str, Any]:
    """All of it, on servers of its own."""
    beats = [process(number) for number in range(agents)]
    with stack.servers() as variables:
        url = variables["CHIMERA_REDIS_URL"]
        registry = AgentRegistry(connect(url, {}))
        for beat in beats:
            registry.register(beat)
        with beating(url, beats) as beats_per_second:
            sleep(2.0)
            figures = {name: milliseconds(url, call) for name, call in operations(beats).items()}
            rate = beats_per_second()
            known = registry.list_agents(limit=agents)
            alive = sum(agent.status is not AgentStatus.OFFLINE for agent in known)
        storm = storm_seconds(url, beats)
    return {
        "agents": agents,
        "callers": CALLERS,
        "calls_each": CALLS,
        "alive": alive,
        "beats_per_second_meanwhile": round(rate),
        "operations": figures,
        "reconnect_storm_seconds": round(storm, 3),
    }


def report(measured: dict[str, Any]) -> None:
    """The same for people."""
    print(f"{measured['agents']} agents, {measured['alive']} of them alive at the end")
    print(f"{measured['beats_per_second_meanwhile']} beats/s meanwhile\n")
    print(f"{'ms':<13}{'avg':>9}{'p50':>9}{'p95':>9}{'p99':>9}")
    for name, figures in measured["operations"].items():
        print(f"{name:<13}" + "".join(f"{figure:>9.2f}" for figure in figures.values()))
    print(f"\nreconnect storm: {measured['reconnect_storm_seconds']} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=1000, help="simulated agents (default: 1000)")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    arguments = parser.parse_args()
    measured = measure(arguments.agents)
    if arguments.json:
        print(json.dumps(measured))
    else:
        report(measured)
