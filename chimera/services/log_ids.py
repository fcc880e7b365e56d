"""The fields by which a line of the log names a plan or a wave: ids as the command line takes them, and the trace."""

from typing import Any
from uuid import UUID

from chimera.models.ids import IdKind, format_id
from chimera.models.work.wave import WaveRef


def plan_ids(tenant_id: str, plan_id: UUID, trace_id: str | None) -> dict[str, Any]:
    """A plan's; they stand in place of those that are bound, where the line is about another plan."""
    return {"tenant_id": tenant_id, "plan_id": format_id(IdKind.PLAN, plan_id), "trace_id": trace_id}


def wave_ids(wave: WaveRef, trace_id: str | None) -> dict[str, Any]:
    """A wave's, likewise."""
    return plan_ids(wave.tenant_id, wave.plan_id, trace_id) | {"wave_no": wave.wave_no}
