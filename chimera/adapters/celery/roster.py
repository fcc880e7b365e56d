"""Which tenants have had work lately: short-lived notes in the broker.

Keys: `chimera:tenants`, a sorted set of tenant ids scored by the time of their last message, in seconds since
1970, by the broker's clock. `chimera:epoch`, a random text that is there until the broker loses its memory.
`chimera:refused`, a hash of how many messages were refused, by reason. `chimera:bound`, a set of the tenants that have
workers with logins of their own; each has a user that reaches the tenant's list and the keys below it, and no others.
If the notes are lost, the next message or the next sweep writes them again.
"""

from collections.abc import Collection
from typing import Any
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from chimera.adapters.celery.broker_keys import BOUND, EPOCH, REFUSED, TENANTS
from chimera.adapters.celery.quarantine import Quarantine
from chimera.adapters.celery.queue_names import tenant_queue
from chimera.models.record import TenantId
from chimera.models.work.bound import BoundTenant, broker_user

# Workers stop listening to a tenant that had no message for 15 minutes; its next message changes that at once.
TENANT_SECONDS = 900.0

_TENANT_ID: TypeAdapter[str] = TypeAdapter(TenantId)

# What kombu's consumer, its publisher and the scripts of the agents' registry use; nothing that names keys, clients or
# settings of others, and no script but those that are there (a script of one's own can stand still for ever).
_COMMANDS = (
    *("+ping", "+select", "+hello", "+auth", "+quit", "+reset", "+client|setinfo", "+client|setname", "+time"),
    *("+multi", "+exec", "+discard", "+watch", "+unwatch", "+evalsha"),
    *("+brpop", "+rpop", "+lpush", "+rpush", "+llen", "+get", "+set", "+del", "+exists", "+pexpire", "+expire"),
    *("+sadd", "+srem", "+smembers", "+hget", "+hset", "+hdel", "+hmget", "+hgetall", "+hlen"),
    *("+zadd", "+zrem", "+zscore", "+zrange", "+zrangebyscore", "+zrevrangebyscore", "+zcard"),
    *("+publish", "+subscribe", "+psubscribe", "+unsubscribe", "+punsubscribe"),
)


class Roster:
    """The notes, over a Redis client of the broker."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def note_tenant(self, tenant_id: str) -> None:
        """The tenant has work."""
        self._client.zadd(TENANTS, {tenant_id: broker_time(self._client)})

    def is_bound(self, tenant_id: str) -> bool:
        """Whether the tenant has workers with logins of their own."""
        return bool(self._client.sismember(BOUND, tenant_id))

    def bound(self) -> set[str]:
        """The tenants that have such workers."""
        return {_text(tenant) for tenant in self._client.smembers(BOUND)}

    def keep_bound(self, tenants: Collection[BoundTenant]) -> None:
        """Makes the users of these tenants, ends those of others, and notes which they are."""
        for tenant in tenants:
            user = broker_user(tenant.tenant_id)
            rules = ("reset", "on", f"#{tenant.broker_sha256}", f"~{user}", f"~{user}:*", f"&{user}:*", *_COMMANDS)
            self._client.execute_command("ACL", "SETUSER", user, *rules)
            self._client.sadd(BOUND, tenant.tenant_id)
        for gone in self.bound() - {tenant.tenant_id for tenant in tenants}:
            self._client.execute_command("ACL", "DELUSER", broker_user(gone))
            self._client.srem(BOUND, gone)

    def tenants(self) -> set[str]:
        """Tenants that had work lately, or whose queue still holds some; not those that have workers of their own."""
        old = self._client.zrangebyscore(TENANTS, "-inf", broker_time(self._client) - TENANT_SECONDS)
        for note in old:
            if not self._client.llen(tenant_queue(note.decode(errors="replace"))):
                self._client.zrem(TENANTS, note)
        notes = self._client.zrange(TENANTS, 0, -1)
        if strange := [note for note in notes if not _is_tenant(note)]:
            self._client.zrem(TENANTS, *strange)
        return {note.decode() for note in notes if note not in strange} - self.bound()

    def epoch(self) -> str:
        """The server's run and the key that its memory holds: a restart changes the one, a flush the other."""
        pipe = self._client.pipeline(transaction=False)
        pipe.set(EPOCH, uuid4().hex, nx=True)
        pipe.get(EPOCH)
        pipe.info("server")
        _, key, server = pipe.execute()
        return f"{server['run_id']}/{_text(key)}"

    def note_refused(self, reason: str) -> None:
        """Counts a message that asked for nothing that may be done."""
        self._client.hincrby(REFUSED, reason, 1)

    def refused(self) -> dict[str, int]:
        """How many messages were refused, by reason, since the broker's memory began."""
        return {_text(reason): int(times) for reason, times in self._client.hgetall(REFUSED).items()}

    def quarantine(self) -> Quarantine:
        """What was refused."""
        return Quarantine(self._client)

    def backlog(self, tenant_id: str) -> int:
        """Messages in the tenant's queue."""
        return int(self._client.llen(tenant_queue(tenant_id)))


def broker_time(client: Any) -> float:
    """The broker's clock, in seconds since 1970."""
    seconds, microseconds = client.time()
    return float(seconds) + float(microseconds) / 1e6


def _is_tenant(note: bytes) -> bool:
    """Whether a note is a tenant's id: workers listen to the queues that these name."""
    try:
        _TENANT_ID.validate_python(note.decode())
    except (UnicodeDecodeError, ValidationError):
        return False
    return True


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
