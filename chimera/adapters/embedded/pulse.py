"""Whether a server that is alive still answers: asked now and then, and never waited for."""

import socket
import time

from chimera.adapters.embedded.ports import LOOPBACK

ASK_EVERY_SECONDS = 2.0
# A look that comes later than this says nothing of the time before: the observer may have stood still itself.
_LOOKED_WITHIN_SECONDS = 1.0


class Pulse:
    """One server's answers to one question."""

    def __init__(self, port: int, question: bytes) -> None:
        """Set up a question that is not asked yet.

        Args:
            port: where the server listens on 127.0.0.1.
            question: bytes that a client may begin with, and that the server answers in whatever way.
        """
        self._address = (LOOPBACK, port)
        self._question = question
        self._asking: socket.socket | None = None
        self._is_asked = False
        self._ask_at = self._looked_at = time.monotonic()
        self._silent_seconds = 0.0

    def silent_seconds(self) -> float:
        """How long a question has waited for its answer; 0 where none waits. Asks when it is time; returns at once."""
        now = time.monotonic()
        passed, self._looked_at = min(now - self._looked_at, _LOOKED_WITHIN_SECONDS), now
        if self._asking is None and now < self._ask_at:
            return 0.0
        if self._is_answered():
            self.close()
            self._ask_at, self._silent_seconds = now + ASK_EVERY_SECONDS, 0.0
        else:
            self._silent_seconds += passed
        return self._silent_seconds

    def close(self) -> None:
        """Takes the question back."""
        if self._asking is not None:
            self._asking.close()
            self._asking, self._is_asked = None, False

    def _is_answered(self) -> bool:
        if self._asking is None:
            self._asking = socket.socket()
            self._asking.setblocking(False)
            self._asking.connect_ex(self._address)
        try:
            if not self._is_asked:
                self._asking.sendall(self._question)
                self._is_asked = True
            # A connection that the server closes is a sign of life too.
            self._asking.recv(1)
        except BlockingIOError:
            return False
        except OSError:  # nobody listens: the next look asks anew
            self.close()
            return False
        return True
