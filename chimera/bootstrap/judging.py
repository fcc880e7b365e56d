"""What Judges use."""

from functools import cached_property

from chimera.bootstrap.group import Group
from chimera.services.dispatcher import Dispatcher
from chimera.services.judge import Judge
from chimera.services.opinions import Opinions
from chimera.services.output_schemas import OutputSchemas
from chimera.services.sweep import Sweep


class Judging(Group):
    """Gates waves and sends the next ones; role judge."""

    @cached_property
    def judge(self) -> Judge:
        """Gates waves."""
        opinions = Opinions(self._adapters.llm, self._clock)
        schemas = OutputSchemas(self._adapters.skills_of_judge)
        return Judge(
            self._adapters.decisions,
            self.dispatcher,
            schemas,
            self._clock,
            opinions,
            max_gate_bytes=self._settings.max_gate_bytes,
            max_gate_seconds=self._settings.max_gate_seconds,
        )

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """Sends a tenant's next waves."""
        given = (self._adapters.judged_waves, self._adapters.queue, self._adapters.agents, self._catalogue)
        return Dispatcher(*given, window=self._settings.wave_window)

    @cached_property
    def sweep(self) -> Sweep:
        """Does what lost messages left undone."""
        return Sweep(self._adapters.sweeps, self.dispatcher, self._adapters.queue, self._adapters.agents)
