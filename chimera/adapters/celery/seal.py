"""The seal of a deployment's messages: who has no key makes none, and changes none."""

import hmac
from collections.abc import Sequence

from chimera.errors import SettingsMissing

MISSING = (
    "CHIMERA_MESSAGE_KEY is not set: it signs the messages between processes, and every process that sends or runs "
    "tasks needs the same. `openssl rand -hex 32` makes one; `chimera up` keeps one of its own"
)


class Seal:
    """HMAC-SHA256 under the first of some keys; under any of them it counts, so that keys can be changed."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = tuple(keys)

    def sign(self, content: bytes) -> str:
        """The signature, 64 hex digits.

        Raises:
            SettingsMissing: there is no key.
        """
        self.require()
        return _digest(self._keys[0], content)

    def is_of(self, content: bytes, signature: str) -> bool:
        """Whether the signature was made of this content with one of the keys."""
        given = signature.encode()
        return any(hmac.compare_digest(_digest(key, content).encode(), given) for key in self._keys)

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
