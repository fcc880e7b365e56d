"""Redis, and the messages that workers refused."""

from collections.abc import Iterator
from typing import Any

from chimera.cli.context import command
from chimera.cli.doctor.finding import Finding, Status

OLDEST_REDIS = (7, 0)


def broker(name: str) -> Iterator[Finding]:
    """Whether Redis answers, is new enough and keeps what it holds."""
    from chimera import bootstrap

    with bootstrap.celery_app().connection_for_read() as connection:
        connection.ensure_connection(max_retries=1, timeout=5)
        client: Any = connection.default_channel.client  # type: ignore[attr-defined]
        server = client.info("server")
        eviction = client.config_get("maxmemory-policy").get("maxmemory-policy", "unknown")
        address = connection.as_uri()
    version = str(server["redis_version"])
    detail = f"{server.get('server_name', 'redis')} (Redis {version}) at {address}"
    if tuple(map(int, version.split(".")[:2])) < OLDEST_REDIS:
        yield Finding(name, Status.FAIL, detail, "Chimera needs Redis 7.0 or later")
    elif eviction != "noeviction":
        fix = "CONFIG SET maxmemory-policy noeviction: else messages vanish when memory is short"
        yield Finding(name, Status.WARN, f"{detail}, maxmemory-policy {eviction}", fix)
    else:
        yield Finding(name, Status.OK, detail)


def messages(name: str) -> Iterator[Finding]:
    """How many messages were refused, by reason, and how many of them are kept."""
    from chimera import bootstrap

    refused = bootstrap.services().adapters.queue.refused()
    found = ", ".join(f"{reason} {times}" for reason, times in sorted(refused.items()))
    if kept := len(bootstrap.services().adapters.queue.quarantined()):
        fix = f"`{command('quarantine', 'list')}` shows them, `{command('quarantine', 'drop', '--all')}` forgets them"
        yield Finding(name, Status.WARN, f"{kept} of those refused are in quarantine", fix)
    if set(refused) <= {"nothing_to_claim"}:  # which also comes of messages that were sent twice
        yield Finding(name, Status.OK, f"refused: {found or 'none'}")
    else:
        fix = "the workers' logs say from which queues (message_refused); see who may write to the broker"
        yield Finding(name, Status.WARN, f"refused: {found}", fix)
