"""The addresses that are set, and the key of messages."""

from collections.abc import Iterator

from chimera.cli.context import command
from chimera.cli.doctor.finding import Finding, Status
from chimera.errors import InvalidInput

ROLES = ("owner", "app", "worker", "judge", "seal", "review")


def settings(name: str) -> Iterator[Finding]:
    """Which addresses are set, and whether the key of messages is."""
    from chimera.settings import settings

    known = settings()
    unset = [f"CHIMERA_{role.upper()}_DATABASE_URL" for role in ROLES if getattr(known, f"{role}_database_url") is None]
    if known.redis_url is None:
        unset.append("CHIMERA_REDIS_URL")
    addresses = len(unset)
    if known.message_key is None:
        unset.append("CHIMERA_MESSAGE_KEY")
    if addresses == len(ROLES) + 1:
        yield Finding(name, Status.FAIL, "no address is set", f"`{command('up')}`, or set {', '.join(unset)}")
    elif unset:
        # A process needs those that it uses; the checks below look at each.
        yield Finding(name, Status.WARN, f"not set: {', '.join(unset)}", "set those that this machine's processes need")
    else:
        yield Finding(name, Status.OK, "every address is set, and the key of messages")


def are_readable() -> bool:
    """Whether every variable that is set can be used."""
    from chimera.settings import settings

    try:
        settings()
    except InvalidInput:
        return False
    return True
