"""How policies, their cases and what one would have changed are shown."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from chimera.cli.context import services
from chimera.cli.output import Format, document, moment, say, table, tell
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from chimera.models.gate.policy import PolicyInForce
    from chimera.models.gate.policy_case import CaseOutcome
    from chimera.services.policy_service import Simulation


def origin(now: "PolicyInForce") -> str:
    """Whose it is."""
    if now.own:
        return "the tenant's own"
    return "the default of all tenants" if now.number else "the built-in default; nothing was applied"


def show_versions(whom: str | None, output: Format) -> None:
    """What was applied, newest first."""
    applied = services().governing.policies.versions(whom)
    if output is Format.JSON:
        document([version.model_dump(mode="json") for version in applied])
    elif applied:
        rows = [[version.version, moment(version.applied_at), version.applied_by] for version in applied]
        table(["VERSION", "APPLIED", "BY"], rows)
    else:
        say("nothing was applied: the default is in force")


def case_json(outcome: "CaseOutcome") -> dict[str, Any]:
    """A case, how it was ruled on, and whether that is what it expects."""
    case = outcome.case
    return {
        "name": case.name,
        "expect": case.expect,
        "ruled": outcome.ruled,
        "rules": list(outcome.rules),
        "passed": outcome.passed,
    }


def case_row(outcome: "CaseOutcome") -> list[str]:
    """The same, for a table."""
    case = outcome.case
    wanted = f" by {', '.join(case.rules)}" if case.rules else ""
    said = "ok" if outcome.passed else "FAILED"
    return [case.name, f"{case.expect}{wanted}", outcome.ruled, ", ".join(outcome.rules), said]


def simulation_json(found: "Simulation") -> dict[str, Any]:
    """What a policy would have made of earlier results; ids as the command line takes them."""
    values = found.model_dump(mode="json")
    for shown, change in zip(values["changes"], found.changes, strict=True):
        shown["plan_id"] = format_id(IdKind.PLAN, change.plan_id)
        shown["task_id"] = format_id(IdKind.TASK, change.task_id)
    return values


def show_simulation(found: "Simulation", since: datetime | None) -> None:
    """The same, for people."""
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
