"""How skills and planners that workers have declared are shown, and which workers have them now."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from chimera.cli.context import services
from chimera.cli.output import facts, moment, tell
from chimera.errors import NotFound, QueueUnavailable

if TYPE_CHECKING:
    from chimera.models.work.declaration import StoredPlanner, StoredSkill

_ALL_AGENTS = 1_000_000

Declared = TypeVar("Declared", "StoredSkill", "StoredPlanner")
# The names of the workers that have what is asked about now; None where the broker does not answer.
Workers = list[str] | None


class Holders:
    """Which workers have which skills and planners now, by what their heartbeats say."""

    def __init__(self) -> None:
        try:
            agents = services().adapters.agents.list_agents(limit=_ALL_AGENTS)
        except QueueUnavailable:
            self._agents = None
        else:
            self._agents = [agent for agent in agents if agent.status != "offline"]

    def of_skill(self, name: str, tenant_id: str | None = None) -> Workers:
        """The names of the workers that have a skill; of those that take a tenant's tasks, if one is given."""
        if self._agents is None:
            return None
        return sorted(
            {
                agent.node
                for agent in self._agents
                if name in agent.skills and (tenant_id is None or agent.tenants is None or tenant_id in agent.tenants)
            }
        )

    def of_planner(self, name: str) -> Workers:
        """The names of the workers that have a planner."""
        if self._agents is None:
            return None
        return sorted({agent.node for agent in self._agents if name in agent.planners})


def latest(declared: Sequence[Declared]) -> list[Declared]:
    """Of each name the version that was declared last."""
    first = {each.name: each for each in reversed(declared)}
    return [each for each in declared if each is first[each.name]]


def the_one(kind: str, name: str, found: Sequence[Declared], known: Sequence[Declared]) -> Declared:
    """The version that was declared last.

    Raises:
        NotFound: no worker has declared one of this name; the message lists those that there are.
    """
    if not found:
        there = ", ".join(each.name for each in latest(known)) or "none"
        raise NotFound(f"no worker has declared a {kind} named {name!r}; declared: {there}")
    return found[0]


def declared_json(what: "StoredSkill | StoredPlanner", workers: Workers) -> dict[str, Any]:
    """All that is stored of it, and the workers that have it; null where the broker does not answer."""
    return what.model_dump(mode="json") | {"fingerprint": what.fingerprint.hex(), "workers": workers}


def workers_told(workers: Workers) -> str:
    """`none`, `2: worker@a, worker@b`."""
    if workers is None:
        return "unknown: the broker does not answer"
    return f"{len(workers)}: {', '.join(workers)}" if workers else "none"


def workers_counted(workers: Workers) -> str:
    """Their number, for a table."""
    return "?" if workers is None else str(len(workers))


def show_declared(
    kind: str,
    what: "StoredSkill | StoredPlanner",
    own: Sequence[tuple[str, str]],
    versions: int,
    workers: Workers,
) -> None:
    """What skills and planners have in common, with what is its own between it."""
    facts(
        [
            (kind, what.name),
            ("does", what.description),
            ("module", what.module),
            *own,
            ("workers", workers_told(workers)),
            ("declared", f"first {moment(what.first_seen)}, last {moment(what.last_seen)}"),
            ("fingerprint", what.fingerprint.hex()[:12]),
            ("versions", f"{versions}, of which this was declared last" if versions > 1 else ""),
        ]
    )


def show_json(title: str, value: Any) -> None:
    """A JSON value under its title."""
    tell()
    tell(title)
    for line in json.dumps(value, indent=2, ensure_ascii=False).splitlines():
        tell(f"  {line}")
