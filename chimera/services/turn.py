"""A Judge's turn at a wave: what one process at a time may do with it, and how much of it in a go."""

from time import monotonic
from uuid import UUID

from chimera.models.work.wave import WaveRef
from chimera.ports.decision_store import DecisionStore, OpenWave

# After so long a turn ends, and what is left is another message's: meanwhile other waves have theirs.
TURN_SECONDS = 0.05
# What a turn is reserved for: where its process dies, the wave is another's after this.
RESERVED_SECONDS = 5.0
# Of inputs and outcomes what is read in the first go, gated in 35 ms at the most (docs/performance.md); each go that
# was quick is followed by one of so many times as much.
FIRST_BYTES, _MORE = 256 * 1024, 4


class Turn:
    """How much is read at a time, and whether the wave is reserved for this process.

    Gating more than a first go's bytes, and asking a model, needs a reservation; no other Judge has one meanwhile.
    """

    def __init__(self, store: DecisionStore, wave: WaveRef, token: UUID) -> None:
        self._store = store
        self._wave = wave
        self._token = token
        self._began = self._go_began = monotonic()
        self.bytes = FIRST_BYTES
        # Whether the wave is reserved, so that others leave it.
        self.is_reserved = False

    def may_gate(self, waiting: OpenWave) -> bool:
        """Whether what was read is this process's to gate: where much waits, only after a reservation."""
        if waiting.bytes > FIRST_BYTES and not self.is_reserved:
            self.is_reserved = self.reserve(RESERVED_SECONDS)
            return self.is_reserved
        return True

    def reserve(self, seconds: float) -> bool:
        """Reserves the wave for so long from now on; False where it is another process's."""
        return self._store.reserve_wave(self._wave, self._token, seconds)

    def goes_on(self) -> bool:
        """Whether there is time for another go, which then is larger where this one was quick."""
        now = monotonic()
        if now - self._go_began < TURN_SECONDS / 4:
            self.bytes *= _MORE
        self._go_began = now
        return now - self._began < TURN_SECONDS

    def end(self) -> None:
        """Lets others have the wave."""
        if self.is_reserved:
            self.reserve(0.0)
