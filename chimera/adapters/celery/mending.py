"""Keys of the broker that somebody made something else of, so that whoever uses them fails: they are removed.

What they held is gone already, and is written again by who needs it.
"""

from collections.abc import Mapping
from typing import Any

import structlog

from chimera.adapters.celery import broker_keys

log = structlog.get_logger(__name__)

KEYS: Mapping[str, str] = {
    "unacked": "hash",
    "unacked_index": "zset",
    "unacked_mutex": "string",
    broker_keys.TENANTS: "zset",
    broker_keys.BOUND: "set",
    broker_keys.EPOCH: "string",
    broker_keys.REFUSED: "hash",
    broker_keys.QUARANTINE: "list",
    broker_keys.WORKERS: "hash",
}


def mend(client: Any, keys: Mapping[str, str] = KEYS) -> None:
    """Removes those of these keys that are of another kind than they are to be."""
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.type(key)
    for (key, wanted), found in zip(keys.items(), pipe.execute(raise_on_error=False), strict=True):
        if isinstance(found, Exception):
            continue  # a tenant's own login does not reach it
        kind = found.decode() if isinstance(found, bytes) else found
        if kind not in {"none", wanted}:
            client.delete(key)
            log.warning("broker_key_removed", key=key, kind=kind)
