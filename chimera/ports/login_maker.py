"""What a login is made of: a password, and the address of a server with it."""

from typing import Protocol


class LoginMaker(Protocol):
    """Knows the deployment's servers by the logins that reach everything of them."""

    def password(self) -> str:
        """A new one, which nobody can guess."""
        ...

    def database_url(self, role: str, password: str) -> str:
        """The database, for this role."""
        ...

    def broker_url(self, user: str, password: str) -> str:
        """The broker, for this user.

        Raises:
            InvalidInput: it is not one server, so that no user can be made there.
        """
        ...

    def message_key(self, queue: str) -> str:
        """What signs messages into this queue and into no other, as CHIMERA_MESSAGE_KEY has it."""
        ...
