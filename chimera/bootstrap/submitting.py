"""What submitters use."""

from functools import cached_property

from chimera.bootstrap.group import Group
from chimera.services.control import PlanControl
from chimera.services.orchestrator import Orchestrator
from chimera.services.session_control import SessionControl


class Submitting(Group):
    """Takes plans in and changes what they may do; role app."""

    @cached_property
    def orchestrator(self) -> Orchestrator:
        """Submits plans."""
        limit = self._settings.max_inputs_bytes
        given = (self._adapters.plans, self._adapters.queue, self._catalogue, self._clock)
        return Orchestrator(*given, max_inputs_bytes=limit)

    @cached_property
    def control(self) -> PlanControl:
        """Cancels, pauses and resumes plans, and tries them again."""
        size = self._settings.wave_size
        return PlanControl(self._adapters.controls, self._adapters.queue, self._clock, wave_size=size)

    @cached_property
    def sessions(self) -> SessionControl:
        """Pauses, resumes and stops sessions with their plans."""
        return SessionControl(self._adapters.sessions, self.control)
