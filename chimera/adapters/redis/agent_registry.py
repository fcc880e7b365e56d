"""The registry of agents in Redis: each method is one script, and all of it is back after the next beats."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any
from uuid import UUID

import redis
from redis.lock import Lock

from chimera.errors import AgentNotFound, QueueUnavailable
from chimera.models.work.agent import (
    FORGOTTEN_AFTER_SECONDS,
    OFFLINE_AFTER_SECONDS,
    Agent,
    AgentStatus,
    ProcessBeat,
    agents_of,
)
from chimera.models.work.workforce import Crew, Workforce
from chimera.ports import agent_registry as port
from chimera.ports.agent_registry import AgentLiveness

# See lua/beat.lua for the keys below it. The braces keep them in one slot of a cluster.
PREFIX = "chimera:{agents}:"
_OFFLINE_MS = int(OFFLINE_AFTER_SECONDS * 1000)
_FORGOTTEN_MS = int(FORGOTTEN_AFTER_SECONDS * 1000)
_LETTERS = {
    AgentStatus.BUSY: "B",
    AgentStatus.ACTIVE: "A",
    AgentStatus.IDLE: "I",
    AgentStatus.OFFLINE: "X",
}


class AgentRegistry(port.AgentRegistry):
    """Over a client with decode_responses and timeouts (see connection.py); its server's clock is the only one."""

    def __init__(self, client: redis.Redis, prefix: str = PREFIX) -> None:
        self._client = client
        self._prefix = prefix
        names = ("beat", "leave", "drain", "list", "get", "workforce", "standing")
        # A script that the server has lost is loaded again by redis-py.
        self._scripts: dict[str, Any] = {name: client.register_script(script(name)) for name in names}

    def register(self, beat: ProcessBeat) -> None:  # noqa: D102  see the port
        self._beat(beat, anew=True)

    def heartbeat(self, beat: ProcessBeat) -> bool:  # noqa: D102
        return self._beat(beat, anew=False)

    def leave(self, process_id: UUID) -> None:  # noqa: D102
        self._run("leave", process_id.hex)

    def list_agents(  # noqa: D102
        self,
        *,
        status: AgentStatus | None = None,
        node: str | None = None,
        gone_seconds: float = FORGOTTEN_AFTER_SECONDS,
        after: UUID | None = None,
        limit: int = 100,
    ) -> list[Agent]:
        agents: list[Agent] = []
        while len(agents) < limit:
            page, now = self._page(status, node, after, limit)
            gone = now - timedelta(seconds=gone_seconds)
            agents += [agent for agent in page if agent.status is not AgentStatus.OFFLINE or agent.last_seen >= gone]
            if len(page) < limit:
                break
            after = page[-1].agent_id
        return agents[:limit]

    def _page(
        self, status: AgentStatus | None, node: str | None, after: UUID | None, limit: int
    ) -> tuple[list[Agent], datetime]:
        """As `list_agents`, however long they have been gone; with the registry's time."""
        letter = _LETTERS[status] if status else ""
        last = after.hex if after else ""
        answer = self._run("list", letter, node or "", last, limit, _OFFLINE_MS)
        if answer is None:
            raise AgentNotFound
        now, *processes = answer
        agents = [
            agent
            for place in range(0, len(processes), 4)
            for agent in _agents(processes[place : place + 4])
            if agent.agent_id == after or status in {None, agent.status}
        ]
        if agents and after in {agent.agent_id for agent in agents}:
            agents = agents[[agent.agent_id for agent in agents].index(after) + 1 :]
        return agents[:limit], _time(now)

    def get(self, agent_id: UUID) -> Agent:  # noqa: D102
        process = self._run("get", agent_id.hex, _OFFLINE_MS)
        if process is None:
            raise AgentNotFound
        return next(agent for agent in _agents(process) if agent.agent_id == agent_id)

    def drain(self, target: UUID | str, *, draining: bool) -> int:  # noqa: D102
        agent, node = (target.hex, "") if isinstance(target, UUID) else ("", target)
        count = int(self._run("drain", agent, node, int(draining), _OFFLINE_MS))
        if count < 0:
            raise AgentNotFound(None if agent else f"There is no node {node}, and no agent of that name")
        return count

    def workforce(self) -> Workforce:  # noqa: D102
        found = iter(self._run("workforce", _OFFLINE_MS))
        return Workforce(
            crews=tuple((Crew.model_validate_json(crew), int(count)) for crew, count in zip(found, found, strict=True))
        )

    def let_in(self) -> None:
        """Loads the scripts that bound workers run: their login runs those that are there, and loads none."""
        with self._errors():
            for text in (script("beat"), script("leave"), Lock.LUA_RELEASE_SCRIPT):
                self._client.script_load(text)

    def standing(  # noqa: D102
        self,
        agent_ids: Collection[UUID],
        tenant_id: str | None = None,  # noqa: ARG002  all agents are here
    ) -> AgentLiveness:
        asked = list(agent_ids)
        answers = self._run("standing", _OFFLINE_MS, *(agent_id.hex for agent_id in asked)) if asked else []
        found: dict[str, set[UUID]] = {name: set() for name in AgentLiveness.model_fields}
        for agent_id, name in zip(asked, answers, strict=True):
            found[name].add(agent_id)
        return AgentLiveness(**{name: frozenset(ids) for name, ids in found.items()})

    def _beat(self, beat: ProcessBeat, *, anew: bool) -> bool:
        drains = self._run("beat", *beat_arguments(beat, anew=anew))
        return bool(drains)

    def _run(self, script: str, *arguments: str | int) -> Any:
        with self._errors():
            return self._scripts[script](keys=[self._prefix], args=arguments)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, OSError) as exc:
            known = self._client.connection_pool.connection_kwargs
            place = known.get("path") or f"{known.get('host', 'sentinel')}:{known.get('port', '')}".rstrip(":")
            raise QueueUnavailable(f"the broker at {place} does not answer ({type(exc).__name__})") from exc


def beat_arguments(beat: ProcessBeat, *, anew: bool) -> list[str | int]:
    """What lua/beat.lua takes; with `anew`, what the beat says of draining holds against what Redis knows."""
    return [
        beat.process_id.hex,
        beat.node,
        beat.model_dump_json(),
        "".join(_LETTERS[slot.status] for slot in beat.slots),
        "".join(slot.agent_id.hex for slot in beat.slots),
        int(beat.draining),
        int(anew),
        _OFFLINE_MS,
        _FORGOTTEN_MS,
        beat.crew.model_dump_json(),
    ]


def _agents(process: Sequence[Any]) -> Iterator[Agent]:
    text, seen_ms, online, draining = process
    beat = ProcessBeat.model_validate_json(text)
    return agents_of(beat, _time(seen_ms), online=bool(online), draining=bool(draining))


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


@cache
def script(name: str) -> str:
    """The text of lua/<name>.lua."""
    return resources.files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
