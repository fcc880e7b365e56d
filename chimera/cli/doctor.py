"""`chimera doctor`: looks at each thing that Chimera needs, one by one, and says what to do about it."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import typer

from chimera.cli.context import UserCodeBroken, as_typed, command, load_user_code, quiet_logs
from chimera.cli.output import Format, Output, document, table

OLDEST_POSTGRES = 150000  # as libpq numbers versions
OLDEST_REDIS = (7, 0)
WORKERS_ANSWER_WITHIN_SECONDS = 1.0
NEEDED_QUEUES = ("plan", "judge")
ROLES = ("owner", "app", "worker", "judge")


class Status(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do if it is not well."""

    check: str
    status: Status
    detail: str
    fix: str = ""


def doctor(output: Output = Format.TABLE) -> None:
    """Check everything that Chimera needs.

    Settings, PostgreSQL, schema, Redis, workers and user code, each by itself. Exit code 1 if anything fails.
    """
    quiet_logs()
    findings = list(examine())
    if output is Format.JSON:
        document([asdict(finding) for finding in findings])
    else:
        table(
            ["", "CHECK", "FOUND", "WHAT TO DO"],
            [[finding.status, finding.check, finding.detail, finding.fix] for finding in findings],
        )
    if any(finding.status is Status.FAIL for finding in findings):
        raise typer.Exit(1)


def examine() -> Iterator[Finding]:
    """Every check, each by itself: one that fails does not keep the next from looking."""
    yield from _checked("stack", _stack)
    yield from _checked("settings", _settings)
    for role in ROLES:
        yield from _checked(f"postgresql {role}", _postgres, role)
    yield from _checked("schema", _schema)
    yield from _checked("broker", _broker)
    yield from _checked("messages", _messages)
    yield from _checked("checkpoints", _checkpoints)
    yield from _checked("workers", _workers)
    yield from _checked("user code", _user_code)


def _checked(name: str, check: Callable[..., Iterator[Finding]], *arguments: Any) -> Iterator[Finding]:
    try:
        yield from check(name, *arguments)
    except Exception as exc:  # noqa: BLE001  whatever keeps a check from its answer is the finding
        text = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
        fix = _FIXES.get(name.split(maxsplit=1)[0], "")
        yield Finding(name, Status.FAIL, as_typed(text), as_typed(fix))


def _stack(name: str) -> Iterator[Finding]:
    from chimera.adapters.embedded import running_stack
    from chimera.settings import data_dir

    stack = running_stack()
    if stack is None:
        yield Finding(name, Status.OK, f"no embedded stack runs on {data_dir()}")
    else:
        yield Finding(name, Status.OK, f"runs on {stack.data_dir} (process {stack.pid})")


def _settings(name: str) -> Iterator[Finding]:
    from chimera.settings import settings

    known = settings()
    unset = [f"CHIMERA_{role.upper()}_DATABASE_URL" for role in ROLES if getattr(known, f"{role}_database_url") is None]
    if known.redis_url is None:
        unset.append("CHIMERA_REDIS_URL")
    if len(unset) == len(ROLES) + 1:
        yield Finding(name, Status.FAIL, "no address is set", f"`{command('up')}`, or set {', '.join(unset)}")
    elif unset:
        # A process needs those that it uses; the checks below look at each.
        yield Finding(name, Status.WARN, f"not set: {', '.join(unset)}", "set those that this machine's processes need")
    else:
        yield Finding(name, Status.OK, "every address is set")


def _postgres(name: str, role: str) -> Iterator[Finding]:
    from chimera.adapters.postgres.database import Database
    from chimera.settings import settings

    url = getattr(settings(), f"{role}_database_url")
    if url is None:
        status = Status.FAIL if role == "app" else Status.WARN
        yield Finding(name, status, "has no address", f"set CHIMERA_{role.upper()}_DATABASE_URL")
        return
    database = Database(url.get_secret_value(), pool_size=1)
    try:
        with database.transaction() as connection:
            version = connection.info.server_version
    finally:
        database.close()
    detail = f"PostgreSQL {version // 10000}.{version % 10000} at {database.address}"
    if version < OLDEST_POSTGRES:
        yield Finding(name, Status.FAIL, detail, "Chimera needs PostgreSQL 15 or later")
    else:
        yield Finding(name, Status.OK, detail)


def _schema(name: str) -> Iterator[Finding]:
    from chimera import bootstrap

    migrations = bootstrap.migrations()
    current, head = migrations.current(), migrations.head()
    if current == head:
        yield Finding(name, Status.OK, f"at {head}")
    else:
        yield Finding(name, Status.FAIL, f"at {current or 'nothing'}, not {head}", f"`{command('db', 'upgrade')}`")


def _broker(name: str) -> Iterator[Finding]:
    from chimera import bootstrap

    with bootstrap.celery_app().connection_for_read() as connection:
        connection.ensure_connection(max_retries=1, timeout=5)
        client: Any = connection.default_channel.client  # type: ignore[attr-defined]
        server = client.info("server")
        eviction = client.config_get("maxmemory-policy").get("maxmemory-policy", "unknown")
        address = connection.as_uri()
    version = str(server["redis_version"])
    detail = f"{server.get('server_name', 'redis')} (Redis {version}) at {address}"
    if tuple(map(int, version.split(".")[:2])) < OLDEST_REDIS:
        yield Finding(name, Status.FAIL, detail, "Chimera needs Redis 7.0 or later")
    elif eviction != "noeviction":
        fix = "CONFIG SET maxmemory-policy noeviction: else messages vanish when memory is short"
        yield Finding(name, Status.WARN, f"{detail}, maxmemory-policy {eviction}", fix)
    else:
        yield Finding(name, Status.OK, detail)


def _messages(name: str) -> Iterator[Finding]:
    from chimera import bootstrap

    refused = bootstrap.services().refused()
    found = ", ".join(f"{reason} {times}" for reason, times in sorted(refused.items()))
    if set(refused) <= {"nothing_to_claim"}:  # which also comes of messages that were sent twice
        yield Finding(name, Status.OK, f"refused: {found or 'none'}")
    else:
        fix = "the workers' logs say from which queues (message_refused); see who may write to the broker"
        yield Finding(name, Status.WARN, f"refused: {found}", fix)


def _checkpoints(name: str) -> Iterator[Finding]:
    from chimera import bootstrap
    from chimera.settings import settings

    services = bootstrap.services()
    if not services.checkpoint_places:
        fix = "set CHIMERA_CHECKPOINTS and CHIMERA_AUDIT_KEYS (docs/audit.md): else a cut or older audit goes unseen"
        yield Finding(name, Status.WARN, "off: nothing outside of the database vouches for the audit", fix)
        return
    key = services.key_ring.check()
    for place in services.checkpoint_places:
        place.check()
    overdue = services.checkpointer.overdue()
    seconds = settings().checkpoint_seconds
    for tenant_id, late_seconds in overdue:
        stopped = late_seconds > bootstrap.INTERVALS_UNTIL_UNAVAILABLE * seconds
        what = f"tenant {tenant_id} is not sealed for {late_seconds:.0f} s" + (
            ": nothing is decided" if stopped else ""
        )
        fix = "see that beat and a worker of the queue judge run, and what they log (audit_not_sealed)"
        yield Finding(name, Status.FAIL if stopped else Status.WARN, what, fix)
    if not overdue:
        places = ", ".join(place.name for place in services.checkpoint_places)
        yield Finding(name, Status.OK, f"every {seconds:g} s, signed with key {key.key_id}, kept in {places}")


def _workers(name: str) -> Iterator[Finding]:
    from chimera.cli.stack.workers import asking

    with asking() as ask:
        heard = ask(WORKERS_ANSWER_WITHIN_SECONDS)
    for node, queues in sorted(heard.items()):
        yield Finding(name, Status.OK, f"{node} consumes {', '.join(sorted(queues))}")
    for queue in NEEDED_QUEUES:
        if not any(queue in queues for queues in heard.values()):
            start = f"`{command('up')}`, or celery -A chimera worker" + (" -Q judge" if queue == "judge" else "")
            yield Finding(name, Status.WARN, f"no worker consumes the queue {queue}", start)


def _user_code(name: str) -> Iterator[Finding]:
    try:
        catalogue = load_user_code()
    except UserCodeBroken as exc:
        yield Finding(name, Status.FAIL, str(exc), "mend it, or what `imports` of celeryconfig.py names")
        return
    if not catalogue.planners:
        fix = "run this in the project's folder, and name its modules in `imports` of celeryconfig.py"
        yield Finding(name, Status.WARN, "no planner is registered", fix)
        return
    found = f"planners: {', '.join(sorted(catalogue.planners))}; skills: {', '.join(sorted(catalogue.skills))}"
    yield Finding(name, Status.OK, found)


_FIXES = {
    "postgresql": "see that the server runs and lets this role in (`chimera up`; `chimera db upgrade` sets logins)",
    "schema": "see the findings on postgresql owner",
    "broker": "see that the server runs, and CHIMERA_REDIS_URL names it (`chimera up`)",
    "messages": "see the finding on the broker",
    "workers": "see the finding on the broker",
}
