"""At which level of isolation each worker runs skills, and what it knows beyond what it uses."""

from collections.abc import Iterator

from chimera.cli.doctor.finding import Finding, Status
from chimera.cli.doctor.workers import JUDGE, Asked

# What skills reach at each level (docs/architecture.md, "Levels of isolation").
_LEVELS = {
    "trusted": "they can do all that the worker can, for every tenant: right where they are all your own",
    "host": "they run in processes that have nothing of the worker's",
    "pool": "its logins are that tenant's alone",
}
_OWN_ONLY = "start it with the variables that it uses (README.md), and CHIMERA_ENV_FILE= beside `chimera up`"
_MOST_AGENTS = 1000


def isolation(name: str, asked: Asked) -> Iterator[Finding]:
    """Names the level of each worker that runs skills, and workers that know logins of others."""
    heard = asked.workers
    for node, worker in sorted(heard.items()):
        runs_skills, judges = bool(worker.queues - {JUDGE}), JUDGE in worker.queues
        if runs_skills and (level := worker.isolation) in _LEVELS:
            yield Finding(name, Status.OK, f"{node} runs skills at level {level}: {_LEVELS[level]}")
        own = {*(("app", "worker") if runs_skills else ()), *((JUDGE,) if judges else ())}
        if foreign := sorted(worker.logins - own):
            logins, them = ("logins", "them") if len(foreign) > 1 else ("login", "it")
            said = f"{node} knows the {logins} {', '.join(foreign)}, and has no use for {them}"
            yield Finding(name, Status.WARN, said, _OWN_ONLY)
    for tenant_id, nodes in sorted(_own_workers().items()):
        for node in sorted(nodes - heard.keys()):
            yield Finding(name, Status.OK, f"{node} runs skills at level pool, for {tenant_id}: {_LEVELS['pool']}")


def _own_workers() -> dict[str, set[str]]:
    """The workers with one tenant's logins, by tenant, of whom only their agents beat."""
    from chimera.bootstrap import services
    from chimera.models.work.agent import AgentStatus

    adapters = services().adapters
    found: dict[str, set[str]] = {tenant_id: set() for tenant_id in adapters.queue.bound()}
    if found:
        for agent in adapters.agents.list_agents(limit=_MOST_AGENTS):
            if agent.status is not AgentStatus.OFFLINE and agent.tenants and len(agent.tenants) == 1:
                found.get(agent.tenants[0], set()).add(agent.node)
    return found
