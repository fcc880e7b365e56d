"""One line of the log for each decision, whoever made it."""

from collections.abc import Mapping
from uuid import UUID

import structlog

from chimera.models.gate.deciding import Decided
from chimera.models.ids import IdKind, format_id

log = structlog.get_logger(__name__)


def log_decisions(
    tenant_id: str, plan_id: UUID, decided: Decided, confidences: Mapping[UUID, float | None] | None = None
) -> None:
    """Logs `task_decided` for each decision that is committed: who decided what, and by which rules; no content.

    Args:
        tenant_id: the tenant.
        plan_id: the plan whose tasks these are.
        decided: what the transaction wrote.
        confidences: by task, where its skill reported one.
    """
    known = confidences or {}
    plan = format_id(IdKind.PLAN, plan_id)
    for decision in decided.decisions:
        ruling = decision.ruling
        log.info(
            "task_decided",
            tenant_id=tenant_id,
            plan_id=plan,
            task_id=format_id(IdKind.TASK, decision.task_id),
            attempt=decision.attempt,
            verdict=ruling.verdict.value,
            state=ruling.next_state.value,
            rules=[reason.rule for reason in ruling.reasons],
            policy=decision.policy_version,
            confidence=known.get(decision.task_id),
            agent=decision.agent_id and format_id(IdKind.AGENT, decision.agent_id),
            decided_by=decision.decided_by,
            trace_id=decided.trace_id,
        )
