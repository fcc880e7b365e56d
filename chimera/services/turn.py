"""A Judge's turn at a wave: how long it takes, and what needs the wave for itself."""

from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from chimera.models.gate.gate import Staged
from chimera.models.work.wave import WaveRef
from chimera.ports.decision_store import DecisionStore, OpenWave

# For so long a go gates, and a turn that took half of it has no other: what is left is another message's, and other
# waves have their turn. The first result is gated whatever it takes, which has limits of its own.
TURN_SECONDS = 0.05
# What a turn is reserved for: where its process dies, the wave is another's after this.
RESERVED_SECONDS = 5.0
# Of inputs and outcomes what is read in a go.
READ_BYTES = 1024 * 1024
# What no more than this waits of needs no reservation: it is gated in 35 ms at the most (docs/performance.md).
UNRESERVED_BYTES = 256 * 1024


class Turn:
    """One process's turn.

    To gate where much waits needs a reservation, as to ask a model does; no other process has one meanwhile.
    """

    def __init__(self, store: DecisionStore, wave: WaveRef, token: UUID, seconds: Callable[[], float]) -> None:
        self._store = store
        self._wave = wave
        self._token = token
        self._seconds = seconds
        self._began = seconds()
        # Whether the wave is reserved, so that others leave it.
        self.is_reserved = False
        # Whether the last go had no time for some of what was read for it.
        self.is_cut = False

    def may_gate(self, waiting: OpenWave) -> bool:
        """Whether what was read is this process's to gate: where much waits, only after a reservation."""
        return waiting.bytes <= UNRESERVED_BYTES or self.is_reserved or self.reserve(RESERVED_SECONDS)

    def reserve(self, seconds: float) -> bool:
        """Reserves the wave for so long from now on; False where it is another process's."""
        self.is_reserved = self._store.reserve_wave(self._wave, self._token, seconds)
        return self.is_reserved

    def in_time(self, results: Sequence[Staged]) -> Iterator[Staged]:
        """Those that there is time for, one at least; the rest is left. To ask a model takes none of it."""
        began = self._seconds()
        self.is_cut = False
        for place, staged in enumerate(results):
            if place and self._seconds() - began > TURN_SECONDS:
                self.is_cut = True
                return
            yield staged

    def goes_on(self) -> bool:
        """Whether there is time for another go: to read for less than half of a turn's gating is not worth it."""
        return self._seconds() - self._began < TURN_SECONDS / 2

    def end(self) -> bool:
        """Lets others have the wave; whether some may have been sent away."""
        return self.is_reserved and self._store.reserve_wave(self._wave, self._token, 0.0)
