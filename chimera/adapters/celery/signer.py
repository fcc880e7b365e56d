"""The signer of a deployment's messages: who has no key makes none, and changes none."""

import hmac
from collections.abc import Sequence

from chimera.errors import SettingsMissing

MISSING = (
    "CHIMERA_MESSAGE_KEY is not set: it signs the messages between processes, and every process that sends or runs "
    "tasks needs the same. `openssl rand -hex 32` makes one; `chimera up` keeps one of its own"
)

# Of more queues the keys are made each time.
_QUEUES_KEPT = 10_000


class Signer:
    """HMAC-SHA256 for each queue by a key of its own, made of the first of some keys; made of any of them it counts, so
    that keys can be changed.
    """

    def __init__(self, keys: Sequence[bytes] = (), *, only: str | None = None) -> None:
        """Set up a signer.

        Args:
            keys: of the deployment, 32 bytes or more each.
            only: they are the keys of this queue, and of no other is anything signed or taken.
        """
        self._keys = tuple(keys)
        self._only = only
        self._of_queue: dict[str, tuple[bytes, ...]] = {}

    def sign(self, content: bytes, queue: str) -> str:
        """The signature of what goes into this queue, 64 hex digits.

        Raises:
            SettingsMissing: there is no key, or not of this queue.
        """
        self.require()
        keys = self.keys_of(queue)
        if not keys:
            raise SettingsMissing(f"the key of this process signs nothing but what goes into {self._only}")
        return _digest(keys[0], content)

    def is_of(self, content: bytes, signature: str, queue: str) -> bool:
        """Whether the signature was made of this content, for this queue, with one of the keys."""
        given = signature.encode()
        return any(hmac.compare_digest(_digest(key, content).encode(), given) for key in self.keys_of(queue))

    def keys_of(self, queue: str) -> tuple[bytes, ...]:
        """What signs what goes into this queue: who has these alone sends to no other."""
        if self._only is not None:
            return self._keys if queue == self._only else ()
        if (known := self._of_queue.get(queue)) is None:
            known = tuple(hmac.digest(key, f"queue {queue}".encode(), "sha256") for key in self._keys)
            if len(self._of_queue) < _QUEUES_KEPT:
                self._of_queue[queue] = known
        return known

    def __json__(self) -> str:
        """What a worker that is asked for its broker's options answers."""
        return "hidden"

    def require(self) -> None:
        """Returns where there is a key.

        Raises:
            SettingsMissing: there is none.
        """
        if not self._keys:
            raise SettingsMissing(MISSING)


def _digest(key: bytes, content: bytes) -> str:
    return hmac.digest(key, content, "sha256").hex()
