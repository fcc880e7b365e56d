"""`chimera agents`: who executes, what each runs, and who shall take no new work."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from chimera.cli.context import choice, command, find_agent, services
from chimera.cli.output import Format, Limit, Output, age, document, facts, moment, say, table
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from uuid import UUID

    from chimera.models.work.agent import Agent, AgentWork

app = typer.Typer(
    help="See the agents (each is a slot of a worker that executes), and take workers out of service.",
    no_args_is_help=True,
)

AgentId = Annotated[str, typer.Argument(metavar="AGENT", help="An agent's id, whole or short: ag_...")]


@app.command("list")
def list_agents(
    status: Annotated[
        str | None, typer.Option("--status", help="busy, active (ran within a minute), idle, or offline.")
    ] = None,
    node: Annotated[str | None, typer.Option("--node", metavar="NODE", help="Only of this worker.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Those too that are gone for up to an hour.")] = False,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """The agents, in the order in which their workers started; those offline for less than a minute too."""
    from chimera.models.work.agent import FORGOTTEN_AFTER_SECONDS, LISTED_SECONDS, AgentStatus

    wanted = choice(AgentStatus, status, "--status")
    gone = FORGOTTEN_AFTER_SECONDS if everyone else LISTED_SECONDS
    agents = services().adapters.agents.list_agents(status=wanted, node=node, gone_seconds=gone, limit=limit)
    if output is Format.JSON:
        document([agent_json(agent) for agent in agents])
        return
    if not agents:
        say(f"no {f'{wanted} ' if wanted else ''}agents{f' of {node}' if node else ''}")
        return
    table(["AGENT", "NODE", "STATE", "RUNNING", "BATCHES", "SEEN"], map(_row, agents))
    if len(agents) == limit:
        say(f"the first {limit}; --limit shows more")


@app.command()
def show(agent: AgentId, output: Output = Format.TABLE) -> None:
    """An agent: where it is, what it may run, and what it runs now."""
    found = services().adapters.agents.get(find_agent(agent))
    if output is Format.JSON:
        document(agent_json(found))
        return
    metrics, memory = found.metrics, found.metrics.memory_bytes
    facts(
        [
            ("agent", f"{format_id(IdKind.AGENT, found.agent_id)}  {_state(found)}"),
            ("node", f"{found.node}, process {found.pid}"),
            ("tenants", "all" if found.tenants is None else ", ".join(found.tenants)),
            ("skills", ", ".join(found.skills)),
            ("running", _running(found.running)),
            ("batches", f"{found.batches} begun"),
            ("calls", f"{metrics.tasks_done} done, {metrics.tasks_failed} failed"),
            ("busy", f"{metrics.busy_seconds:.0f} s"),
            ("memory", "" if memory is None else f"{memory / 2**20:.0f} MiB, of its process"),
            ("started", moment(found.started_at)),
            ("seen", moment(found.last_seen)),
        ]
    )
    if not found.draining and found.status != "offline":
        say(f"next: {command('agents', 'drain', found.node)}")


@app.command()
def drain(
    target: Annotated[
        str, typer.Argument(metavar="AGENT|NODE", help="An agent id (ag_...), or a worker: worker@host.")
    ],
    undo: Annotated[bool, typer.Option("--undo", help="Let it take work again.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Let a worker finish what it runs and take nothing new, within two seconds.

    An agent drains with its whole worker: its id stands for all agents of that worker process. It lasts until --undo
    or until the process ends: a worker that is started anew takes work.
    """
    count = services().adapters.agents.drain(_target(target), draining=not undo)
    if output is Format.JSON:
        document({"target": target, "draining": not undo, "agents": count})
        return
    if not count:
        say(f"{target} is offline: there is nothing to {'take back' if undo else 'drain'}")
        return
    table(["TARGET", "", "AGENTS"], [[target, "takes work again" if undo else "drains", str(count)]])
    if not undo:
        say("an agent drains with the worker process that it belongs to: these are all of its agents")
        say(f"next: {command('agents', 'list', '--status', 'busy')}")


def agent_json(agent: "Agent") -> dict[str, Any]:
    """The agent; ids as the command line takes them."""
    values = agent.model_dump(mode="json", exclude={"agent_id", "running"})
    return {
        "agent_id": format_id(IdKind.AGENT, agent.agent_id),
        **values,
        "running": agent.running and _work_json(agent.running),
    }


def _work_json(work: "AgentWork") -> dict[str, Any]:
    return work.model_dump(mode="json") | {"plan_id": format_id(IdKind.PLAN, work.plan_id)}


def _target(text: str) -> "UUID | str":
    # A node's name has an @, and no agent's id has.
    return text if "@" in text else find_agent(text)


def _row(agent: "Agent") -> list[str]:
    return [
        format_id(IdKind.AGENT, agent.agent_id),
        agent.node,
        _state(agent),
        _running(agent.running),
        str(agent.batches),
        age(agent.last_seen),
    ]


def _state(agent: "Agent") -> str:
    return f"{agent.status}, drains" if agent.draining and agent.status != "offline" else str(agent.status)


def _running(work: "AgentWork | None") -> str:
    if work is None:
        return ""
    plan = format_id(IdKind.PLAN, work.plan_id)
    return f"{work.tasks} tasks of {work.tenant_id} {plan} wave {work.wave_no}, {age(work.since)}"
