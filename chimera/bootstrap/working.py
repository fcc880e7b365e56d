"""What workers use: planners and skills run here."""

import os
from functools import cache, cached_property
from typing import TYPE_CHECKING
from uuid import UUID

from chimera.adapters.celery.board import Board
from chimera.adapters.celery.children import end_worker
from chimera.adapters.system_clock import SystemClock
from chimera.bootstrap.group import Group
from chimera.ports import planner_runner, skill_runner
from chimera.services.agent_slots import AgentSlots
from chimera.services.calls import Calls, LeftBehind
from chimera.services.dispatcher import Dispatcher, SweepDispatches
from chimera.services.lease_keeper import LeaseKeeper
from chimera.services.planner import PlannerService
from chimera.services.planners_here import PlannerRunner
from chimera.services.replanner import ReplannerService
from chimera.services.skills_here import SkillRunner
from chimera.services.worker import WorkerService

if TYPE_CHECKING:
    from chimera.adapters.host.hosts import Hosts


class Working(Group):
    """Plans plans and runs their batches; roles app and worker."""

    @cached_property
    def planner(self) -> PlannerService:
        """Plans plans; role app."""
        return PlannerService(
            self._adapters.plans,
            self._dispatcher,
            self._keeper,
            self._catalogue,
            self._clock,
            self._planner_runner,
            timeout_seconds=self._settings.planner_timeout_seconds,
            wave_size=self._settings.wave_size,
        )

    @cached_property
    def replanner(self) -> ReplannerService:
        """Asks planners about what the gate sent back; role app."""
        return ReplannerService(
            self._adapters.replans,
            self._dispatcher,
            self._keeper,
            self._catalogue,
            self._clock,
            self._planner_runner,
            timeout_seconds=self._settings.planner_timeout_seconds,
        )

    @cached_property
    def worker(self) -> WorkerService:
        """Runs batches; role worker."""
        return WorkerService(
            self._adapters.work,
            self._adapters.queue,
            self._keeper,
            self._catalogue,
            self._clock,
            self.agent_slots,
            self._skill_runner,
            self._adapters.skills_of_worker,
        )

    @cached_property
    def agent_slots(self) -> AgentSlots:
        """The agents of this operating-system process."""
        return AgentSlots(process_id(), os.getpid(), board().tell)

    def drain(self) -> None:
        """Has the batches of this process end after the tasks that run; the rest of them is handed over."""
        if "worker" in vars(self):
            self.worker.drain()

    @cached_property
    def _skill_runner(self) -> skill_runner.SkillRunner:
        if self._hosts is not None:
            from chimera.adapters.host import runners

            return runners.SkillRunner(self._hosts, self._settings.max_output_bytes)
        calls = Calls(LeftBehind(self._settings.max_calls_left_behind, end_worker))
        return SkillRunner(self._catalogue, calls, self._settings.max_output_bytes)

    @cached_property
    def _planner_runner(self) -> planner_runner.PlannerRunner:
        if self._hosts is not None:
            from chimera.adapters.host import runners

            limits = (self._settings.planner_timeout_seconds, self._settings.max_tasks_per_plan)
            return runners.PlannerRunner(self._hosts, *limits)
        return PlannerRunner(
            self._catalogue,
            timeout_seconds=self._settings.planner_timeout_seconds,
            max_tasks=self._settings.max_tasks_per_plan,
            max_input_bytes=self._settings.max_inputs_bytes,
        )

    @cached_property
    def _hosts(self) -> "Hosts | None":
        """Those of this slot, in a worker that runs users' code in hosts."""
        if self._settings.isolation != "host":
            return None
        from chimera.adapters.host.hosts import Hosts
        from chimera.bootstrap.isolating import host_plan

        plan = host_plan()
        return None if plan is None else Hosts(plan)

    @cached_property
    def _keeper(self) -> LeaseKeeper:
        """One for all that this process runs."""
        return LeaseKeeper()

    @cached_property
    def _dispatcher(self) -> Dispatcher:
        if self._settings.bound_tenant:
            return SweepDispatches()
        given = (self._adapters.waves, self._adapters.queue, self._adapters.agents, self._catalogue)
        return Dispatcher(*given, window=self._settings.wave_window)


@cache
def board() -> Board:
    """Where pool children write what they have done; made before they are."""
    return Board()


@cache
def process_id() -> UUID:
    """The id of this process as a worker's main process; pool children inherit it, and name their agents by it."""
    return SystemClock().new_id()
