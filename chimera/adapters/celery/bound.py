"""A worker whose logins are one tenant's: it takes that tenant's list, and keeps its books under keys of its own."""

import os
from collections.abc import Mapping
from typing import Any

from celery import bootsteps

from chimera.adapters.celery.queue_names import named_queues, tenant_queue
from chimera.models.work.bound import broker_user

# Celery's settings that such a login needs, whatever the project's own say. Who counts a chord's parts and sends its
# body reaches the Judges' list; here nobody does. Remote control has lists named by node.
SETTINGS: Mapping[str, Any] = {"result_backend": "disabled://", "worker_enable_remote_control": False}


def transport_of(tenant_id: str) -> Mapping[str, Any]:
    """kombu's options by which nothing but the tenant's list has a name that others use."""
    own = f"{broker_user(tenant_id)}:"
    return {
        # What is taken and not yet done, which is in keys of all queues together by default.
        "unacked_key": f"{own}unacked",
        "unacked_index_key": f"{own}unacked_index",
        "unacked_mutex_key": f"{own}unacked_mutex",
        # Events.
        "fanout_prefix": f"{own}/{{db}}.",
        "keyprefix_queue": f"{own}_kombu.binding.%s",
        "keyprefix_binding_permanent": f"{own}_kombu.binding-permanent.%s",
        "keyprefix_binding_deadlines": f"{own}_kombu.binding-deadlines",
    }


def own_queue_step(tenant_id: str) -> type[bootsteps.Step]:
    """The bootstep of such a worker: it ends one that is told to take what its login does not reach."""

    class OwnQueue(bootsteps.Step):
        """Says which -Q it must be started with."""

        def __init__(self, worker: Any, **options: Any) -> None:
            super().__init__(worker, **options)
            # What skills write, in /tmp and elsewhere, is for the user of this worker alone.
            os.umask(0o077)
            if named_queues(worker.app) != {tenant_queue(tenant_id)}:
                raise SystemExit(
                    f"chimera: the logins of this worker are the tenant {tenant_id}'s (CHIMERA_BOUND_TENANT), and "
                    f"reach no other list: start it with -Q {tenant_queue(tenant_id)}"
                )

    return OwnQueue
