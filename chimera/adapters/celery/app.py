"""The Celery app: settings that Chimera's promises need, and over them the project's own celeryconfig."""

import os
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from celery.utils.imports import cwd_in_path
from kombu import Exchange
from kombu import Queue as KombuQueue

from chimera.adapters.celery import backend, bound, transport
from chimera.adapters.celery.connection import App, SteadyAMQP
from chimera.adapters.celery.messages import MESSAGES, SWEEP
from chimera.adapters.celery.queue_names import JUDGE_QUEUE, PLAN_QUEUE, tenant_queue
from chimera.adapters.celery.signer import Signer
from chimera.adapters.celery.user_code import Loader
from chimera.errors import SettingsMissing
from chimera.settings import Settings

# A chord's claim lives 21 s, so no less than 30 s; and a batch's time limit, MAX_TIMEOUT_SECONDS of models/work/task.py
# and 15 s, stays below it, or a second worker would get its message while the first still runs it.
VISIBILITY_TIMEOUT_SECONDS = 3600

# The reasons are in docs/architecture.md, "What is asked of Celery".
_NEEDED: Mapping[str, Any] = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_ignore_result": True,
    "worker_prefetch_multiplier": 1,
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],
    "task_default_queue": PLAN_QUEUE,
    "task_queues": [KombuQueue(name, Exchange(name), routing_key=name) for name in (PLAN_QUEUE, JUDGE_QUEUE)],
    "task_create_missing_queues": True,
    "worker_hijack_root_logger": False,
    # What runs goes on without its broker: its result is staged in PostgreSQL, and its message finds nothing to do.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_soft_shutdown_timeout": 5.0,
    "result_expires": 3600,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "redis_socket_timeout": 10.0,
    "redis_socket_connect_timeout": 5.0,
    # Publishing is tried again by the sweep, from the store: here only for a dropped connection.
    "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0.2},
    # Beat wakes at least this often, in seconds, to send the sweep on time.
    "beat_max_loop_interval": 1,
}
# For tasks that beat or others call by name: a message that queue.py sends names its queue itself.
_ROUTES = {message.task: message.queue for message in MESSAGES.values() if message.queue is not None}
_NEEDED_TRANSPORT: Mapping[str, Any] = {
    "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
    # Looks for the messages of killed workers every 5 s, not every 100 s.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    # One Redis list per queue instead of four, which all would be keys of each BRPOP.
    "priority_steps": [0],
    "queue_order_strategy": "round_robin",
    # A server that hangs must not hang the publisher.
    "socket_timeout": 10.0,
    "socket_connect_timeout": 5.0,
    # Publishing to a server that is not there fails soon: the store keeps what is to be sent. Times in seconds.
    "retry_on_timeout": False,
    "max_retries": 1,
    "interval_start": 0.0,
    "interval_step": 0.2,
    "interval_max": 0.2,
}
_SWEEP = {"chimera-sweep": {"task": SWEEP.task, "schedule": 1.0, "options": {"expires": 5.0}}}


def make_app(settings: Settings) -> App:
    """The app, with `celeryconfig.py` of the working folder (or the module CELERY_CONFIG_MODULE names) read.

    Raises:
        SettingsMissing: neither CHIMERA_REDIS_URL nor celeryconfig names a broker.
    """
    transport.install()
    app = App("chimera", amqp=_name_of(SteadyAMQP), loader=_name_of(Loader))
    app.signer = Signer(settings.message_keys, only=settings.bound_tenant and tenant_queue(settings.bound_tenant))
    own = _project_config()
    merged = {**_NEEDED, **own}
    if not merged.get("broker_url"):
        merged["broker_url"] = settings.require("redis_url")
    if not str(merged["broker_url"]).startswith(("redis", "sentinel", "unix")):
        raise SettingsMissing("the broker must be a Redis-compatible server: set CHIMERA_REDIS_URL to its redis:// URL")
    merged.setdefault("result_backend", merged["broker_url"])
    if str(merged["result_backend"]).startswith(("redis://", "rediss://")):
        merged["result_backend"] = f"{backend.NAME}+{merged['result_backend']}"
    merged["broker_transport_options"] = {**_NEEDED_TRANSPORT, **own.get("broker_transport_options", {})}
    if tenant := settings.bound_tenant:
        merged |= bound.SETTINGS
        merged["broker_transport_options"] |= bound.transport_of(tenant)
    merged["task_routes"] = [_ROUTES, *_routers(own.get("task_routes"))]
    merged["beat_schedule"] = {**_SWEEP, **own.get("beat_schedule", {})}
    app.config_from_object(merged)
    return app


def _name_of(part: type) -> str:
    """As Celery takes it."""
    return f"{part.__module__}:{part.__name__}"


def _routers(routes: Any) -> list[Any]:
    """The project's routers: each is a mapping, a list of pairs, a function, or the name of one."""
    if not routes:
        return []
    return list(routes) if isinstance(routes, list | tuple) else [routes]


def _project_config() -> dict[str, Any]:
    """The settings in the project's celeryconfig, or none where it has no such module."""
    name = os.environ.get("CELERY_CONFIG_MODULE") or "celeryconfig"
    with cwd_in_path():
        try:
            module: ModuleType = import_module(name)
        except ModuleNotFoundError as exc:
            if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
                raise  # it is there, and imports what is not
            return {}
    return {
        key: value
        for key, value in vars(module).items()
        if not key.startswith("_") and not isinstance(value, ModuleType)
    }
