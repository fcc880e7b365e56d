"""What those use who set limits."""

from functools import cached_property

from chimera.bootstrap.group import Group
from chimera.bootstrap.working import Working
from chimera.services.budget_service import BudgetService
from chimera.services.output_schemas import OutputSchemas
from chimera.services.policy_service import PolicyService


class Governing(Group):
    """Reads and tries policies and budgets; role app."""

    @cached_property
    def policies(self) -> PolicyService:
        """Policies to read and to try."""
        return PolicyService(self._adapters.policies, OutputSchemas(self._adapters.skills))

    @cached_property
    def budgets(self) -> BudgetService:
        """Budgets to read, and what a plan would need of one."""
        # A planner of its own: it previews plans here, and its leases are of no other group's work.
        planner = Working(self._adapters, self._settings, self._catalogue, self._clock).planner
        return BudgetService(self._adapters.budgets, planner)
