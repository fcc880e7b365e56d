"""`chimera policy`: what the gate asks of results."""

import difflib
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chimera.cli.context import Actor, actor, find_id, load_user_code, services, valid_tenant
from chimera.cli.output import Format, Output, document, moment, say, table, tell
from chimera.cli.since import Since, moment_of
from chimera.errors import BelowFloor, ChimeraError, InvalidInput, SettingsMissing
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from chimera.models.gate.policy import Policy, PolicyInForce
    from chimera.models.gate.policy_case import CaseOutcome
    from chimera.services.policy_service import Simulation

app = typer.Typer(help="Read, try and apply what the gate asks of results.", no_args_is_help=True)

PolicyFile = Annotated[Path, typer.Argument(metavar="FILE", help="A policy in YAML; - reads standard input.")]
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
    text, policy = load(file)
    _require_above(text, file, policy, read(floor) if floor else policy, tenant)
    notes = _notes(policy)
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
        _show_versions(whom, output)
        return
    now = services().governing.policies.in_force(whom)
    if output is Format.JSON:
        policy = now.policy.model_dump(mode="json")
        known = {"version": now.version, "own": now.own, "floor": now.floor, "isolated": now.isolated}
        document(known | {"policy": policy})
        return
    tell(f"# {now.version}: {_origin(now)}")
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
    from chimera.models.gate.floor import below
    from chimera.models.gate.policy_file import located, write_policy
    from chimera.models.gate.weakening import weakened

    (text, new), whom = load(file), _whom(tenant, default=default)
    policies = services().governing.policies
    now = policies.in_force(whom)
    faults = located(text, str(file), below(new, new if default else policies.in_force(None).policy, whom))
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

    outcomes = case_outcomes(read(file))
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if output is Format.JSON:
        document({"ok": not failed, "cases": [_case_json(outcome) for outcome in outcomes]})
    elif outcomes:
        table(["CASE", "EXPECTED", "RULED", "RULES", ""], map(_case_row, outcomes))
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

    (text, new), whom = load(file), _whom(tenant, default=default)
    failed = [outcome for outcome in case_outcomes(new) if not outcome.passed]
    if failed:
        names = ", ".join(outcome.case.name for outcome in failed)
        raise CasesFailed(f"not applied: these cases are not ruled as they expect: {names}; see `chimera policy test`")
    for note in _notes(new):
        say(f"note: {note}")
    policies = services().governing.policies
    _require_above(text, file, new, policies.in_force(None).policy if whom else new, whom)
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
    new = read(file)
    load_user_code()
    start = moment_of(since)
    found = services().governing.policies.simulate(
        tenant, new, since=start, plan_id=find_id(tenant, IdKind.PLAN, plan) if plan else None, show=limit
    )
    if output is Format.JSON:
        document(_simulation_json(found))
        return
    _show_simulation(found, start)


def read(file: Path) -> "Policy":
    """The policy in a file, as `load`."""
    return load(file)[1]


def load(file: Path) -> "tuple[str, Policy]":
    """The text of a file, and the policy in it.

    Raises:
        InvalidInput: it cannot be read, or is none; the message names each line.
    """
    from chimera.models.gate.policy_file import read_policy

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise InvalidInput(f"{file} cannot be read: {reason}") from exc
    return text, read_policy(text, str(file))


def _require_above(text: str, file: Path, policy: "Policy", operators: "Policy", tenant: str | None) -> None:
    """Sees that the policy in a file is not below the floor of the operator's.

    Raises:
        BelowFloor: it is; the message names each line.
    """
    from chimera.models.gate.floor import below
    from chimera.models.gate.policy_file import located

    if faults := below(policy, operators, tenant):
        raise BelowFloor("\n".join(located(text, str(file), faults)))


def _whom(tenant: str | None, *, default: bool) -> str | None:
    if default == (tenant is not None):
        raise InvalidInput("say whose policy: --tenant ID, or --default")
    return tenant


def _notes(policy: "Policy") -> list[str]:
    """What is allowed, and perhaps not meant."""
    try:
        known = load_user_code().skills
    except SettingsMissing:
        notes = ["the names of skills were not looked at: CHIMERA_REDIS_URL is not set, so that no project is loaded"]
    else:
        notes = [
            f"no skill named {skill!r} is registered here: what the policy says of it has no effect"
            for skill in sorted(policy.skills_named - set(known))
        ]
    if policy.budget is not None and (bare := _without_reserve(policy)):
        notes.append(f"budget: nothing is set aside for {bare}: say `reserve` there, or in defaults")
    if not policy.rules:
        notes.append("rules: none, so that no text is looked at; leave the key out for the default rules")
    return notes


def _without_reserve(policy: "Policy") -> str:
    """The skills for which the policy sets nothing aside; empty where `defaults` does."""
    if policy.defaults.reserve is not None:
        return ""
    bare = sorted(name for name in policy.skills if policy.of_skill(name).reserve is None)
    return ", ".join([*bare, "skills that it does not name"])


def _origin(now: "PolicyInForce") -> str:
    if now.own:
        return "the tenant's own"
    return "the default of all tenants" if now.number else "the built-in default; nothing was applied"


def _show_versions(whom: str | None, output: Format) -> None:
    applied = services().governing.policies.versions(whom)
    if output is Format.JSON:
        document([version.model_dump(mode="json") for version in applied])
    elif applied:
        rows = [[version.version, moment(version.applied_at), version.applied_by] for version in applied]
        table(["VERSION", "APPLIED", "BY"], rows)
    else:
        say("nothing was applied: the default is in force")


def _case_json(outcome: "CaseOutcome") -> dict[str, Any]:
    case = outcome.case
    return {
        "name": case.name,
        "expect": case.expect,
        "ruled": outcome.ruled,
        "rules": list(outcome.rules),
        "passed": outcome.passed,
    }


def _case_row(outcome: "CaseOutcome") -> list[str]:
    case = outcome.case
    wanted = f" by {', '.join(case.rules)}" if case.rules else ""
    said = "ok" if outcome.passed else "FAILED"
    return [case.name, f"{case.expect}{wanted}", outcome.ruled, ", ".join(outcome.rules), said]


def _simulation_json(found: "Simulation") -> dict[str, Any]:
    values = found.model_dump(mode="json")
    for shown, change in zip(values["changes"], found.changes, strict=True):
        shown["plan_id"] = format_id(IdKind.PLAN, change.plan_id)
        shown["task_id"] = format_id(IdKind.TASK, change.task_id)
    return values


def _show_simulation(found: "Simulation", since: datetime | None) -> None:
    from chimera.models.gate.policy import Expected

    when = f" since {moment(since)}" if since else ""
    if not found.results:
        say(f"no results were judged{when}")
        return
    rows = [[verdict, str(found.before.get(verdict, 0)), str(found.after.get(verdict, 0))] for verdict in Expected]
    table(["VERDICT", "WAS", "WOULD BE"], rows)
    tell(f"{found.changed} of {found.results} results would be ruled on otherwise")
    if found.by_rule:
        tell("")
        table(["RULE", "RESULTS"], [[rule, str(count)] for rule, count in found.by_rule.items()])
    if found.changes:
        tell("")
        table(
            ["TASK", "SKILL", "WAS", "WOULD BE", "RULES"],
            [
                [
                    format_id(IdKind.TASK, change.task_id),
                    change.skill,
                    change.before,
                    change.after,
                    ", ".join(change.rules),
                ]
                for change in found.changes
            ],
        )
    if found.changed > len(found.changes):
        say(f"{found.changed - len(found.changes)} more; --limit shows them")
    if found.erased:
        say(f"{found.erased} results were erased and cannot be judged again")
    say("samples and the opinions of models are left out")
