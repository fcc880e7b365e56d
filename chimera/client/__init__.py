"""The Python API: submit a plan, follow it, read what it brought."""

from chimera.client.client import Chimera, plan_request
from chimera.client.plan import SETTLED, PlanEvent, PlanHandle

__all__ = ["SETTLED", "Chimera", "PlanEvent", "PlanHandle", "plan_request"]
