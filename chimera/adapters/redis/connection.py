"""A client of the server that a Celery broker URL names."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from chimera.errors import SettingsMissing

# A server that hangs must not hang its client.
TIMEOUT_SECONDS = 2.0


def connect(broker_url: str, transport_options: Mapping[str, Any]) -> redis.Redis:
    """A client that connects when it is first used, and anew when the server went away and came back.

    Args:
        broker_url: redis://, rediss://, unix://, redis+socket:// or sentinel://; of several (separated by `;`)
            the first, but all sentinels.
        transport_options: as Celery's broker_transport_options: master_name and sentinel_kwargs are read.

    Raises:
        SettingsMissing: a sentinel URL without a master_name.
    """
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
        # A connection that was cut while nobody used it fails once; a server that hangs shall not be asked twice.
        "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    }
    urls = broker_url.split(";")
    if urls[0].startswith("sentinel"):
        return _master(urls, transport_options, options)
    address = urls[0]
    if address.startswith("redis+socket://"):
        address = address.replace("redis+socket://", "unix://", 1).replace("virtual_host=", "db=")
    return redis.Redis.from_url(address, **options)


def _master(urls: list[str], transport_options: Mapping[str, Any], options: dict[str, Any]) -> redis.Redis:
    name = transport_options.get("master_name")
    if not name:
        raise SettingsMissing("a sentinel:// broker needs master_name in broker_transport_options")
    parts = [urlsplit(url) for url in urls]
    first = parts[0]
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        [(part.hostname, part.port or 26379) for part in parts],
        sentinel_kwargs=transport_options.get("sentinel_kwargs"),
        **options,
    )
    client: redis.Redis = sentinel.master_for(  # type: ignore[no-untyped-call]
        name, username=first.username, password=first.password, db=int(first.path.strip("/") or 0)
    )
    return client
