"""`chimera audit erase`: a person's data out of what is stored, with the record of it intact."""

from typing import TYPE_CHECKING, Annotated

import typer

from chimera.cli.context import Actor, Tenant, actor, find_id, services
from chimera.cli.output import Format, Output, document, facts, say
from chimera.errors import InvalidInput
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from chimera.models.audit.erasure import Erased


def erase(
    tenant: Tenant,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record; without the data itself.")],
    *,
    plan: Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="This plan and all its tasks.")] = None,
    task: Annotated[str | None, typer.Option("--task", metavar="TASK", help="This task only: tk_...")] = None,
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Erase what a plan or a task holds, and its copies in retries. It cannot be undone.

    Inputs, labels, results, notes and values of shared state are gone; hashes, decisions and the audit stay. What waits
    for people is denied with the reason, and its card closed. Plans of which something still runs are refused.
    """
    from pydantic import ValidationError

    from chimera.models.audit.erasure import Erasure

    if (plan is None) == (task is None):
        raise InvalidInput("say what to erase: --plan PLAN or --task TASK")
    try:
        erasure = Erasure(
            tenant_id=tenant,
            plan_id=find_id(tenant, IdKind.PLAN, plan) if plan else None,
            task_id=find_id(tenant, IdKind.TASK, task) if task else None,
            actor=actor(by),
            reason=reason.strip(),
        )
    except ValidationError:
        raise InvalidInput("--reason: 1 to 500 characters") from None
    erased = services().adapters.erasures.erase(erasure)
    if output is Format.JSON:
        document(_as_json(erased))
        return
    if erased.nothing:
        say(f"nothing was left to erase of {erasure.asked_for}")
        return
    facts(
        [
            ("erased", erasure.asked_for),
            ("plans", str(len(erased.plans))),
            ("tasks", str(len(erased.tasks))),
            ("results", str(len(erased.results))),
            ("cards", str(len(erased.cards))),
            ("closed", f"{len(erased.closed)} cards that waited for people" if erased.closed else ""),
            ("state", ", ".join(key for _, key in erased.state)),
        ]
    )


def _as_json(erased: "Erased") -> dict[str, object]:
    return {
        "erased": not erased.nothing,
        "plans": [format_id(IdKind.PLAN, plan) for plan in erased.plans],
        "tasks": [format_id(IdKind.TASK, task) for task in erased.tasks],
        "results": [{"task_id": format_id(IdKind.TASK, task), "attempt": attempt} for task, attempt in erased.results],
        "cards": [format_id(IdKind.CARD, card) for _, card in erased.cards],
        "closed_cards": [format_id(IdKind.CARD, card) for _, card in erased.closed],
        "state_keys": [key for _, key in erased.state],
    }
