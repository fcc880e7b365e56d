"""The Python API: submit a plan, follow it, read what it brought."""

from chimera.client.plan import SETTLED, PlanEvent, PlanHandle
from chimera.client.way_in import Chimera, plan_request

__all__ = ["SETTLED", "Chimera", "PlanEvent", "PlanHandle", "plan_request"]
