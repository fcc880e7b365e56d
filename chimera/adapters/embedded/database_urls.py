"""The URLs of the database, one for each role: given in the environment, or made from what is given."""

from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from psycopg.conninfo import make_conninfo

from chimera.errors import EmbeddedServerError, InvalidInput
from chimera.settings import database_url_fault

OWNER = "chimera_owner"
OWNER_URL = "CHIMERA_OWNER_DATABASE_URL"
# The role of each variable. The owner comes with the embedded database, the migrations make the others.
ROLES = {
    OWNER_URL: OWNER,
    "CHIMERA_APP_DATABASE_URL": "chimera_app",
    "CHIMERA_WORKER_DATABASE_URL": "chimera_worker",
    "CHIMERA_JUDGE_DATABASE_URL": "chimera_judge",
    "CHIMERA_SEAL_DATABASE_URL": "chimera_seal",
    "CHIMERA_REVIEW_DATABASE_URL": "chimera_review",
}


def given_urls(environ: Mapping[str, str], passwords: Mapping[str, str]) -> dict[str, str]:
    """The URL of each role in a database of the user's own; none if the environment names no database.

    A role whose URL is not given is seen in the owner's database, with its password in `passwords`.

    Raises:
        EmbeddedServerError: a URL is given, and the owner's is not.
        InvalidInput: what is given is no URL of PostgreSQL.
    """
    given = {name: url for name in ROLES if (url := environ.get(name))}
    if not given:
        return {}
    for name, url in given.items():
        if fault := database_url_fault(url):
            raise InvalidInput(f"{name}: {fault}")
    if OWNER_URL not in given:
        raise EmbeddedServerError(
            f"{', '.join(given)} is set, but {OWNER_URL} is not: the migrations would go to one database and "
            f"the work to another. Fix: set {OWNER_URL} too, or unset the others to use the embedded one."
        )
    return {name: given.get(name) or _as_role(given[OWNER_URL], role, passwords[role]) for name, role in ROLES.items()}


def _as_role(owner_url: str, role: str, password: str) -> str:
    """The same database, seen by another role."""
    if "://" not in owner_url:
        return make_conninfo(owner_url, user=role, password=password)
    parts = urlsplit(owner_url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{address}"))
