"""Logins made of the deployment's own addresses and keys."""

import secrets
from urllib.parse import quote, urlsplit, urlunsplit

from chimera.adapters.celery.signer import Signer
from chimera.errors import InvalidInput
from chimera.ports import login_maker as port

_BYTES = 24


class LoginMaker(port.LoginMaker):
    """Passwords are of the operating system's random bytes."""

    def __init__(self, database_url: str, broker_url: str, signer: Signer) -> None:
        """Set up with what reaches everything.

        Args:
            database_url: of any login at the database.
            broker_url: of the login at the broker that makes users.
            signer: with the deployment's keys.
        """
        self._database_url = database_url
        self._broker_url = broker_url
        self._signer = signer

    def password(self) -> str:  # noqa: D102  see the port
        return secrets.token_hex(_BYTES)

    def database_url(self, role: str, password: str) -> str:  # noqa: D102
        return _as_login(self._database_url, role, password)

    def broker_url(self, user: str, password: str) -> str:  # noqa: D102
        url = self._broker_url
        if ";" in url or not url.startswith(("redis://", "rediss://")):
            raise InvalidInput(
                "a tenant's own login at the broker needs a CHIMERA_REDIS_URL of one server, redis://..."
            )
        return _as_login(url, user, password)

    def message_key(self, queue: str) -> str:  # noqa: D102
        return ",".join(key.hex() for key in self._signer.keys_of(queue))


def _as_login(url: str, user: str, password: str) -> str:
    """The same server and database, for another login."""
    if "://" not in url:
        return f"{url} user='{user}' password='{password}'"  # the later one of two counts
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user)}:{quote(password)}@{address}"))
