"""What commands share: options, ids, who asks, and the way to the services."""

import os
import pwd
import shlex
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from chimera.errors import AgentNotFound, AmbiguousId, ChimeraError, InvalidInput, UnknownTenant
from chimera.models.ids import IdKind, format_id, name_of, ranges_of, short_id, whole_id

if TYPE_CHECKING:
    from uuid import UUID

    from chimera.bootstrap import Services
    from chimera.client import PlanHandle
    from chimera.models.work.catalogue import Catalogue

E = TypeVar("E", bound=StrEnum)

# A message names up to 10 ids that a short id may mean, and says "more" of the rest.
_CANDIDATES = 10
# A short agent id is looked for among the first 100,000 agents, in the order in which they started.
_AGENTS = 100_000


class UserCodeBroken(ChimeraError):
    """The project's own code cannot be imported."""


def valid_tenant(text: str | None) -> str | None:
    """The tenant id, if it can be one.

    Raises:
        InvalidInput: it cannot.
    """
    from pydantic import TypeAdapter, ValidationError

    from chimera.models.record import TenantId

    if text is None:
        return None
    try:
        return TypeAdapter(TenantId).validate_python(text)
    except ValidationError:
        raise InvalidInput(
            f"{text!r} is not a tenant id: a-z, 0-9, _ and -, at most 63, and the first a letter or digit"
        ) from None


def valid_tenants(texts: list[str] | None) -> list[str]:
    """As `valid_tenant`, for several."""
    return [str(valid_tenant(text)) for text in texts or []]


Tenant = Annotated[
    str,
    typer.Option("--tenant", "-t", envvar="CHIMERA_TENANT", callback=valid_tenant, help="Whom it is for."),
]
AnyTenant = Annotated[
    str | None,
    typer.Option("--tenant", "-t", envvar="CHIMERA_TENANT", callback=valid_tenant, help="Whose; else all tenants'."),
]
PlanId = Annotated[str, typer.Argument(metavar="PLAN", help="A plan's id, whole or short: pl_...")]
Actor = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="Who decides; the user of this system if not given."),
]


def command(*words: str, within: Path | None = None) -> str:
    """A command line to show: `chimera plan list --tenant acme`, or with ./run in place of chimera.

    It can be typed in the working folder, or `within` another.
    """
    typed = os.environ.get("CHIMERA_COMMAND") or "chimera"
    if within is not None and "/" in typed and not typed.startswith("/"):
        typed = os.path.relpath(typed, within)
    return " ".join([typed, *map(shlex.quote, words)])


def as_typed(text: str) -> str:
    """The text with `chimera ...` in it as people type it here: the core's messages do not know of ./run."""
    return text.replace("`chimera ", f"`{command()} ")


def actor(name: str | None) -> str:
    """Who acts: the name given, else this system's user.

    Raises:
        InvalidInput: it cannot be a person's name.
    """
    from chimera.models.text.person import require_person

    if name is not None:
        return require_person(name, "--as")
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = f"uid-{os.getuid()}"
    return require_person(user, "say who you are with --as: the user of this system")


def choice(kind: type[E], text: str | None, option: str) -> E | None:
    """The member of an enumeration that an option names.

    Raises:
        InvalidInput: it names none; the message lists them.
    """
    if text is None:
        return None
    try:
        return kind(text.lower())
    except ValueError:
        raise InvalidInput(f"{option} {text}: it must be one of {', '.join(kind)}") from None


def services() -> "Services":
    """The services, with their log lines on standard error, as CHIMERA_LOG_LEVEL says."""
    from chimera import bootstrap, logs
    from chimera.settings import settings

    logs.configure(settings().log_level)
    with _naming_user_code():
        return bootstrap.services()


def require_tenant(tenant: str) -> None:
    """Sees that there is such a tenant: where nothing of it was found its name may be mistyped.

    Raises:
        UnknownTenant: there is none.
    """
    # A tenant has an entry from the start.
    if not services().adapters.plans.entries(tenant, None, 0, 1):
        raise UnknownTenant.named(tenant)


def quiet_logs() -> None:
    """Log lines from warnings on, to standard error."""
    from chimera import logs

    logs.configure("WARNING")


def load_user_code() -> "Catalogue":
    """The project's skills and planners.

    Raises:
        UserCodeBroken: a module of theirs cannot be imported; the message names it and the line.
    """
    from chimera import bootstrap

    quiet_logs()
    with _naming_user_code():
        return bootstrap.load_user_code()


def read_celeryconfig() -> None:
    """Reads the celeryconfig of the working folder, if this process has not yet.

    Raises:
        UserCodeBroken: it cannot be imported; the message names the line.
    """
    from chimera import bootstrap

    with _naming_user_code():
        bootstrap.celery_app()


@contextmanager
def _naming_user_code() -> Iterator[None]:
    """Turns whatever an import of the project's code raises into UserCodeBroken."""
    try:
        yield
    except ChimeraError:
        raise
    except (Exception, SystemExit) as exc:
        where = _last_line_of_theirs(exc)
        raise UserCodeBroken(f"{_broken_module()} cannot be imported: {type(exc).__name__}: {exc}{where}") from exc


def plan_handle(tenant: str, plan: str) -> "PlanHandle":
    """A plan of the tenant's, by its id as `find_id` takes it.

    Raises:
        InvalidInput, PlanNotFound: as `find_id`.
    """
    from chimera.client import PlanHandle

    handle = PlanHandle(services(), tenant, find_id(tenant, IdKind.PLAN, plan))
    _ = handle.plan
    return handle


def find_id(tenant: str, kind: IdKind, text: str) -> "UUID":
    """The id of a tenant's plan, task or card that somebody wrote whole, short as tables show it, or as a prefix.

    A whole id is taken as it is: whether there is such a thing shows where it is used.

    Raises:
        InvalidInput: it is no id of this kind.
        AmbiguousId: it means several; the message lists them.
        PlanNotFound, TaskNotFound, CardNotFound: the tenant has none; that goes on record.
    """
    if (whole := whole_id(kind, text)) is not None:
        return whole
    ranges = ranges_of(kind, text, datetime.now(UTC))
    return _the_one(kind, text, services().adapters.ids.find(tenant, kind, text, ranges, _CANDIDATES + 1))


def find_agent(text: str) -> "UUID":
    """As `find_id`, for agents, which are no tenant's, and whose ids hold no time: all of them are looked at.

    Raises:
        InvalidInput, AmbiguousId: as `find_id`.
        AgentNotFound: there is none.
    """
    if (whole := whole_id(IdKind.AGENT, text)) is not None:
        return whole
    prefix, *_ = ranges_of(IdKind.AGENT, text, datetime.now(UTC))
    short = f"{IdKind.AGENT}_{text.removeprefix(f'{IdKind.AGENT}_').lower()}"
    known = [agent.agent_id for agent in services().adapters.agents.list_agents(limit=_AGENTS)]
    found = [each for each in known if prefix.holds(each) or short_id(format_id(IdKind.AGENT, each)) == short]
    if not found:
        raise AgentNotFound(f"there is no agent {text}")
    return _the_one(IdKind.AGENT, text, found)


def _the_one(kind: IdKind, text: str, found: "list[UUID]") -> "UUID":
    if len(found) == 1:
        return found[0]
    shown = [format_id(kind, value) for value in found[:_CANDIDATES]]
    more = ["..."] if len(found) > _CANDIDATES else []
    raise AmbiguousId(f"{text} is short for {name_of(kind)} id, of several: {', '.join([*shown, *more])}")


def _broken_module() -> str:
    """The first module of celeryconfig's that was to be imported and is not there."""
    import sys

    from chimera import bootstrap

    try:
        configuration = bootstrap.celery_app().conf
        names = [*(configuration.imports or ()), *(configuration.include or ())]
    except Exception:  # noqa: BLE001  it is celeryconfig itself that fails, whatever way it does
        return os.environ.get("CELERY_CONFIG_MODULE") or "celeryconfig"
    missing = [name for name in names if name not in sys.modules]
    return f"{missing[0]} (imports of celeryconfig.py)" if missing else "a module that celeryconfig.py imports"


def _last_line_of_theirs(exc: BaseException) -> str:
    """`, at shop/tasks.py:12`: the innermost line that is neither Chimera's nor a library's."""
    if isinstance(exc, SyntaxError) and exc.filename:
        return ""  # its text says it
    frames = traceback.extract_tb(exc.__traceback__)
    package = str(Path(__file__).parents[1])
    theirs = [
        frame
        for frame in frames
        if not frame.filename.startswith((package, "<")) and "site-packages" not in frame.filename
        and not frame.filename.startswith(str(Path(traceback.__file__).parent))
    ]  # fmt: skip
    return f", at {theirs[-1].filename}:{theirs[-1].lineno}" if theirs else ""
