"""What those use who set limits, and let tenants' own processes in."""

from functools import cached_property

from chimera.adapters.celery.signer import Signer
from chimera.adapters.login_maker import LoginMaker
from chimera.bootstrap.group import Group
from chimera.bootstrap.working import Working
from chimera.services.budget_service import BudgetService
from chimera.services.output_schemas import OutputSchemas
from chimera.services.policy_service import PolicyService
from chimera.services.tenant_logins import TenantLogins


class Governing(Group):
    """Reads and tries policies and budgets, role app; gives tenants logins of their own, role owner."""

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

    @cached_property
    def logins(self) -> TenantLogins:
        """Tenants' own logins; role owner."""
        known = self._settings
        broker_url, database_url = known.require("redis_url"), known.require("owner_database_url")
        maker = LoginMaker(database_url, broker_url, Signer(known.message_keys))
        return TenantLogins(self._adapters.credentials, maker, self._adapters.queue, self._adapters.agents)
