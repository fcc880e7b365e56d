"""Celery's Redis result store, without listening for what nobody waits for."""

from typing import Any

from celery.backends.redis import RedisBackend

NAME = "chimera.adapters.celery.backend:QuietRedisBackend"


class QuietRedisBackend(RedisBackend):
    """Publishing a group makes Celery 5.7 subscribe to each member's result, weakly, in case somebody asks.

    Nobody does: chords are counted by their members, and the Judge reads PostgreSQL. Each subscription costs a
    round trip, and with one open a publisher that loses Redis stands still for 20 s, reconnecting to it.
    """

    def add_pending_result(self, result: Any, weak: bool = False, start_drainer: bool = True) -> Any:
        """As Celery's for whoever waits (`AsyncResult.get`); nothing for a group that is only sent."""
        if weak:
            return result
        return super().add_pending_result(result, weak=weak, start_drainer=start_drainer)  # type: ignore[call-arg]
