"""Celery's Redis result store, without listening for what nobody waits for."""

from typing import Any

import structlog
from celery.backends.redis import RedisBackend
from redis.exceptions import ResponseError

from chimera.failpoints import Failpoint, failpoint

log = structlog.get_logger(__name__)

NAME = "chimera.adapters.celery.backend:QuietRedisBackend"


class QuietRedisBackend(RedisBackend):
    """Publishing a group makes Celery 5.7 subscribe to each member's result, weakly, in case somebody asks.

    Nobody does: chords are counted by their members, and the Judge reads PostgreSQL. Each subscription costs a
    round trip, and with one open a publisher that loses Redis stands still for 20 s, reconnecting to it.
    """

    def add_pending_result(self, result: Any, weak: bool = False, start_drainer: bool = True) -> Any:
        """As Celery's for a caller that waits (`AsyncResult.get`); nothing for a group that is only sent."""
        if weak:
            return result
        return super().add_pending_result(result, weak=weak, start_drainer=start_drainer)  # type: ignore[call-arg]

    def on_chord_part_return(self, request: Any, state: str, result: Any, *args: Any, **options: Any) -> None:
        """As Celery's: counts a header; who counts the last one sends the body."""
        tenant_id = request.args[0] if request.group and request.args else ""
        failpoint(Failpoint.CHORD_COUNTING, tenant_id)
        try:
            super().on_chord_part_return(request, state, result, *args, **options)
        except (ResponseError, ValueError, TypeError, KeyError) as exc:
            # Somebody has written among the counts. The header has run, and the sweep has its wave judged.
            log.warning("chord_not_counted", error=type(exc).__name__)
        failpoint(Failpoint.CHORD_COUNTED, tenant_id)

    def _chord_publish_claim_expires(self, claim_expires: int, callback: Any) -> Any:
        # Called between claiming the body and sending it, which is where Celery 5.7 loses it for good.
        failpoint(Failpoint.CHORD_CLAIMED, callback.args[0] if callback.args else "")
        return super()._chord_publish_claim_expires(claim_expires, callback)  # type: ignore[misc]
