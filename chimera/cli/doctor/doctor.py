"""`chimera doctor`: looks at each thing that Chimera needs, one by one, and says what to do about it."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import typer

from chimera.cli.context import as_typed, quiet_logs
from chimera.cli.doctor.beat import beat
from chimera.cli.doctor.broker import broker, messages
from chimera.cli.doctor.checkpoints import checkpoints
from chimera.cli.doctor.clocks import clocks
from chimera.cli.doctor.finding import Finding, Status
from chimera.cli.doctor.isolation import isolation
from chimera.cli.doctor.postgresql import postgres, schema
from chimera.cli.doctor.settings import ROLES, are_readable, settings
from chimera.cli.doctor.skills import skills
from chimera.cli.doctor.stack import stack
from chimera.cli.doctor.user_code import user_code
from chimera.cli.doctor.waiting import waiting
from chimera.cli.doctor.workers import Asked, workers
from chimera.cli.output import Format, Output, document, table


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
    yield from _checked("stack", stack)
    yield from _checked("settings", settings)
    if not are_readable():
        return  # every other check would say the same
    for role in ROLES:
        yield from _checked(f"postgresql {role}", postgres, role)
    yield from _checked("schema", schema)
    yield from _checked("broker", broker)
    yield from _checked("messages", messages)
    yield from _checked("checkpoints", checkpoints)
    asked = Asked()
    yield from _checked("workers", workers, asked)
    yield from _checked("isolation", isolation, asked)
    yield from _checked("skills", skills, asked)
    yield from _checked("waiting", waiting)
    yield from _checked("beat", beat)
    yield from _checked("clocks", clocks)
    yield from _checked("user code", user_code, asked)


def _checked(name: str, check: Callable[..., Iterator[Finding]], *arguments: Any) -> Iterator[Finding]:
    try:
        yield from check(name, *arguments)
    except Exception as exc:  # noqa: BLE001  whatever keeps a check from its answer is the finding
        text = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
        fix = _FIXES.get(name.split(maxsplit=1)[0], "")
        yield Finding(name, Status.FAIL, as_typed(text), as_typed(fix))


_FIXES = {
    "postgresql": "see that the server runs and lets this role in (`chimera up`; `chimera db upgrade` sets logins)",
    "schema": "see the findings on postgresql owner",
    "broker": "see that the server runs, and CHIMERA_REDIS_URL names it (`chimera up`)",
    "messages": "see the finding on the broker",
    "workers": "see the finding on the broker",
    "isolation": "see the finding on the broker",
    "skills": "see the finding on the broker",
    "waiting": "see the findings on postgresql judge, the schema and the broker",
    "beat": "see the finding on the broker",
    "clocks": "see the findings on postgresql and the broker",
}
