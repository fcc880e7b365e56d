"""Connections to the broker that come back soon after it does, and know the signer of their deployment."""

from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from kombu import Connection

from chimera.adapters.celery.signer import Signer

# Celery waits 2, 4, 6 and up to 30 s between its attempts: after an outage of a minute it would rest for another 10 s.
INTERVAL_SECONDS = 1.0
# Among a connection's transport options.
SIGNER = "chimera_signer"


class SteadyConnection(Connection):
    """Tries once a second, for as long as it takes."""

    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        """As kombu's, with steady intervals where the caller names none."""
        steady = {"interval_start": INTERVAL_SECONDS, "interval_step": 0.0, "interval_max": INTERVAL_SECONDS}
        return super().ensure_connection(*args, **(steady | options))


class App(Celery):
    """Celery's app, of a deployment that has a key for its messages."""

    signer = Signer()
    # How a worker comes by the project's skills and planners where it does not import their modules itself.
    ask_for_project: Callable[[Celery], None] | None = None


class SteadyAMQP(AMQP):
    """Celery's way to kombu, over such connections."""

    def Connection(self, *args: Any, **options: Any) -> SteadyConnection:  # type: ignore[override]  # noqa: N802  Celery's name
        """A connection that has the signer among its transport's options, which kombu hands on to those of its pool."""
        own = {SIGNER: self.app.signer}  # type: ignore[attr-defined]  # it is an App
        return SteadyConnection(*args, **options | {"transport_options": options.get("transport_options", {}) | own})
