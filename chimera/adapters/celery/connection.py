"""Connections to the broker that come back soon after it does."""

from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection

# Celery waits 2, 4, 6 and up to 30 s between its attempts: after an outage of a minute it would rest for another 10 s.
INTERVAL_SECONDS = 1.0


class SteadyConnection(Connection):
    """Tries once a second, for as long as it takes."""

    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        """As kombu's, with steady intervals where the caller names none."""
        steady = {"interval_start": INTERVAL_SECONDS, "interval_step": 0.0, "interval_max": INTERVAL_SECONDS}
        return super().ensure_connection(*args, **(steady | options))


class SteadyAMQP(AMQP):
    """Celery's way to kombu, over such connections."""

    Connection = SteadyConnection
