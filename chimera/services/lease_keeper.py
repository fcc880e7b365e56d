"""Keeping the leases of what this process runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from time import monotonic

import structlog

from chimera.errors import StoreUnavailable
from chimera.models.work.lease import Renewal
from chimera.models.work.timing import RENEW_SECONDS

log = structlog.get_logger(__name__)


class Lease:
    """A lease that is being kept, as those see it who work under it."""

    def __init__(self, renew: Callable[[], Renewal], keep_seconds: float) -> None:
        self._renew = renew
        self._began = monotonic()
        self._keep_until = self._began + keep_seconds
        self._state = Renewal(held=True, may_start=True)
        self._over = False
        self._ring: Callable[[], None] | None = None
        # Whose ids the log has to name.
        self._context = copy_context()
        self._ringing = threading.Lock()

    @property
    def held(self) -> bool:
        """Whether the lease was still held when last looked at; once lost it stays lost."""
        return self._state.held

    @property
    def may_start(self) -> bool:
        """Whether another task may be started under it."""
        return self._state.held and self._state.may_start

    @contextmanager
    def ending_with(self, ring: Callable[[], None]) -> Iterator[None]:
        """While inside, `ring` is called, from another thread, if the lease is lost."""
        with self._ringing:
            self._ring = ring
            if not self.held:
                ring()
        try:
            yield
        finally:
            with self._ringing:
                self._ring = None

    def say(self, method: Callable[[str], object], event: str) -> None:
        """Logs an event with the ids of what it is kept for."""
        self._context.run(method, event)

    def end(self) -> None:
        """Notes that what it was for has ended."""
        self._over = True

    def renew(self) -> None:
        """Renews it, unless it is too young to need that or has been kept for long enough.

        What overran all of its timeouts is not kept any longer: its lease then runs out.
        """
        now = monotonic()
        if self._over or not self.held or now - self._began < RENEW_SECONDS or now > self._keep_until:
            return
        state = self._renew()
        if self._over:
            return  # what it was for has ended meanwhile, so there was nothing left to renew
        self._state = state
        if not state.held:
            self.say(log.warning, "lease_lost")
            with self._ringing:
                if self._ring is not None:
                    self._ring()


class LeaseKeeper:
    """Renews all leases of its process from one thread, which is there while there are any."""

    def __init__(self) -> None:
        self._leases: set[Lease] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def keeping(self, renew: Callable[[], Renewal], keep_seconds: float) -> Iterator[Lease]:
        """Keeps a lease while inside, for at most `keep_seconds`.

        Args:
            renew: renews it once in the store; may raise StoreUnavailable, and is then asked again.
            keep_seconds: how long what it is for may take at the most.
        """
        lease = Lease(renew, keep_seconds)
        with self._lock:
            self._leases.add(lease)
            if self._thread is None:
                self._thread = threading.Thread(target=self._keep, name="chimera-leases", daemon=True)
                self._thread.start()
        try:
            yield lease
        finally:
            lease.end()
            with self._lock:
                self._leases.discard(lease)

    def _keep(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(RENEW_SECONDS)
            with self._lock:
                if not self._leases:
                    self._thread = None
                    return
                leases = list(self._leases)
            for lease in leases:
                try:
                    lease.renew()
                except StoreUnavailable:
                    lease.say(log.warning, "lease_not_renewed")
                except Exception:  # noqa: BLE001  one bad lease must not cost all others theirs
                    lease.say(log.exception, "lease_not_renewed")
