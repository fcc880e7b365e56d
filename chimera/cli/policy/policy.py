"""`chimera policy`: what the gate asks of results."""

import difflib
from pathlib import Path
from typing import Annotated

import typer

from chimera.cli.context import Actor, actor, find_id, load_user_code, services, valid_tenant
from chimera.cli.output import Format, Output, document, say, table, tell
from chimera.cli.policy.view import (
    case_json,
    case_row,
    origin,
    show_simulation,
    show_versions,
    simulation_json,
)
from chimera.cli.policy.written import PolicyFile, notes_on, read
from chimera.cli.since import Since, moment_of
from chimera.errors import ChimeraError, InvalidInput
from chimera.models.ids import IdKind

app = typer.Typer(help="Read, try and apply what the gate asks of results.", no_args_is_help=True)

Whom = Annotated[
    str | None,
    typer.Option("--tenant", "-t", envvar="CHIMERA_TENANT", callback=valid_tenant, help="Whose policy."),
]
Default = Annotated[bool, typer.Option("--default", help="The policy of all tenants that have none of their own.")]


class CasesFailed(ChimeraError):
    """Cases of the policy are not ruled as they expect."""


@app.command()
def check(
    file: PolicyFile,
    floor: Annotated[
        Path | None, typer.Option("--floor", metavar="FILE", help="The operator's policy, whose floor it has to keep.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", "-t", callback=valid_tenant, help="Whose policy it is, for the floor.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Check a policy's form; each fault is named by file and line."""
    written = read(file)
    policy = written.policy
    written.require_above(read(floor).policy if floor else policy, tenant)
    notes = notes_on(policy)
    if output is Format.JSON:
        document({"ok": True, "name": policy.name, "sha256": policy.sha256.hex(), "notes": notes})
        return
    tell(f"{file}: policy {policy.name}, {len(policy.rules)} rules, {len(policy.cases)} cases: it can be applied")
    for note in notes:
        say(f"note: {note}")


@app.command()
def schema(output: Output = Format.JSON) -> None:  # noqa: ARG001  a schema is a JSON document either way
    """Print the JSON Schema of policies, for editors: `# yaml-language-server: $schema=policy.schema.json`."""
    from chimera.models.gate.policy import Policy

    document({"$schema": "https://json-schema.org/draft/2020-12/schema"} | Policy.model_json_schema())


@app.command()
def show(
    tenant: Whom = None,
    default: Default = False,
    versions: Annotated[bool, typer.Option("--versions", help="What was applied, newest first.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Print the policy that is in force, as YAML that can be edited and applied."""
    from chimera.models.gate.policy_file import write_policy

    whom = _whom(tenant, default=default)
    if versions:
        show_versions(whom, output)
        return
    now = services().governing.policies.in_force(whom)
    if output is Format.JSON:
        policy = now.policy.model_dump(mode="json")
        known = {"version": now.version, "own": now.own, "floor": now.floor, "isolated": now.isolated}
        document(known | {"policy": policy})
        return
    tell(f"# {now.version}: {origin(now)}")
    if now.applied is not None:
        tell(f"# raised to the floor of {now.floor or 'the default itself'}")
    if now.isolated:
        whose = f"of {whom}" if whom else "of all tenants"
        tell(
            f"# skills and planners {whose} run at level host or with the tenant's own logins: the floor isolates them"
        )
    tell(write_policy(now.policy).rstrip())


@app.command()
def diff(file: PolicyFile, tenant: Whom = None, default: Default = False, output: Output = Format.TABLE) -> None:
    """Show what a file would change of the policy in force, what it asks less of, and where it is below the floor."""
    from chimera.models.gate.policy_file import write_policy
    from chimera.models.gate.weakening import weakened

    written, whom = read(file), _whom(tenant, default=default)
    new = written.policy
    policies = services().governing.policies
    now = policies.in_force(whom)
    faults = written.below(new if default else policies.in_force(None).policy, whom)
    given_up = weakened(now.policy, new)
    lines = [
        line.rstrip("\n")
        for line in difflib.unified_diff(
            write_policy(now.policy).splitlines(), write_policy(new).splitlines(), now.version, str(file), lineterm=""
        )
    ]
    if output is Format.JSON:
        found = {"weakened": given_up, "below_floor": faults}
        document({"before": now.version, "changes": bool(lines), "diff": lines} | found)
        return
    if lines:
        tell("\n".join(lines))
    else:
        say(f"no difference to {now.version}")
    for line in given_up:
        say(f"asks less: {line}")
    for fault in faults:
        say(f"below the floor: {fault}")


@app.command("test")
def rule_on_cases(file: PolicyFile, output: Output = Format.TABLE) -> None:
    """Rule on the policy's own cases; fails where one is not ruled as it expects."""
    from chimera.models.gate.policy_case import case_outcomes

    outcomes = case_outcomes(read(file).policy)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if output is Format.JSON:
        document({"ok": not failed, "cases": [case_json(outcome) for outcome in outcomes]})
    elif outcomes:
        table(["CASE", "EXPECTED", "RULED", "RULES", ""], map(case_row, outcomes))
    else:
        say("the policy has no cases: add some under `cases`")
    if failed:
        raise CasesFailed(f"{len(failed)} of {len(outcomes)} cases are not ruled as they expect")


@app.command()
def apply(
    file: PolicyFile,
    tenant: Whom = None,
    default: Default = False,
    by: Actor = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and test it, and change nothing.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Put a policy in force from the next decision on; one that fails its own cases, or is below the floor, is not."""
    from chimera.models.gate.policy_case import case_outcomes
    from chimera.models.gate.weakening import weakened

    written, whom = read(file), _whom(tenant, default=default)
    new = written.policy
    failed = [outcome for outcome in case_outcomes(new) if not outcome.passed]
    if failed:
        names = ", ".join(outcome.case.name for outcome in failed)
        raise CasesFailed(f"not applied: these cases are not ruled as they expect: {names}; see `chimera policy test`")
    for note in notes_on(new):
        say(f"note: {note}")
    policies = services().governing.policies
    written.require_above(policies.in_force(None).policy if whom else new, whom)
    before = policies.in_force(whom)
    given_up = weakened(before.policy, new)
    for line in given_up:
        say(f"asks less: {line}")
    if dry_run:
        say("it could be applied; nothing was changed")
        return
    now = services().adapters.policy_changes.apply(whom, new, actor(by))
    changed = now.version != before.version or now.own != before.own
    if output is Format.JSON:
        document({"version": now.version, "before": before.version, "changed": changed, "weakened": given_up})
    elif changed:
        follows = whom or "all tenants without a policy of their own"
        tell(f"{now.version} is in force for {follows}; before: {before.version}")
    else:
        tell(f"{now.version} is in force already")


@app.command()
def simulate(
    file: PolicyFile,
    tenant: Annotated[
        str, typer.Option("--tenant", "-t", envvar="CHIMERA_TENANT", callback=valid_tenant, help="Whose results.")
    ],
    plan: Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="Only results of this plan.")] = None,
    since: Since = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Show at most this many of the changes.")] = 20,
    output: Output = Format.TABLE,
) -> None:
    """Judge stored results again by this policy, and show what would change; nothing is written."""
    new = read(file).policy
    load_user_code()
    start = moment_of(since)
    found = services().governing.policies.simulate(
        tenant, new, since=start, plan_id=find_id(tenant, IdKind.PLAN, plan) if plan else None, show=limit
    )
    if output is Format.JSON:
        document(simulation_json(found))
        return
    show_simulation(found, start)


def _whom(tenant: str | None, *, default: bool) -> str | None:
    if default == (tenant is not None):
        raise InvalidInput("say whose policy: --tenant ID, or --default")
    return tenant
