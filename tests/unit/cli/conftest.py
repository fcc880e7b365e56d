import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from rich.console import Console
from structlog.testing import capture_logs

from chimera import SkillFailed, Success, TaskSpec, bootstrap, logs
from chimera.bootstrap import Services
from chimera.cli import output
from chimera.cli.main import main
from chimera.cli.stack import workers
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.planner import Planner
from chimera.models.work.skill import Skill
from tests.unit.cli.swarm import FakeServices


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one document."""
        return json.loads(self.out)


Run = Callable[..., Ran]
OnTerminal = Callable[[int], None]


def echo(text: str, confidence: float) -> Success[dict[str, str]]:
    if text == "fail":
        raise SkillFailed("no such luck", retryable=False)
    return Success({"said": text, "loud": text.upper()}, confidence=confidence, evidence=["heard it"])


@pytest.fixture
def catalogue() -> Catalogue:
    skill = Skill(echo, name="echo", max_batch=10, timeout_seconds=5, max_attempts=1)

    def echoes(rows: list[dict[str, str]]) -> Iterator[TaskSpec]:
        for row in rows:
            task = skill.task(text=row["text"], confidence=float(row["confidence"]))
            yield task.options(label={"said": row["label"]}) if "label" in row else task

    def broken() -> Iterator[TaskSpec]:
        raise RuntimeError("no steps today")

    known = Catalogue()
    known.add_skill(skill)
    known.add_planner(Planner(echoes, name="echoes"))
    known.add_planner(Planner(broken, name="broken"))
    return known


@pytest.fixture
def services(catalogue: Catalogue) -> FakeServices:
    services = FakeServices(catalogue)
    services.database.add_tenant("acme")
    return services


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("CHIMERA_TENANT", "CHIMERA_COMMAND", "CHIMERA_DEBUG", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    output.stdout.cache_clear()
    output.stderr.cache_clear()
    yield
    output.stdout.cache_clear()
    output.stderr.cache_clear()


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> OnTerminal:
    """Makes standard output a terminal of this many columns, without colours."""

    def set_width(width: int) -> None:
        console = Console(width=width, force_terminal=True, no_color=True, markup=False, emoji=False, highlight=False)
        monkeypatch.setattr(output, "_console", lambda *, stderr: console)
        output.stdout.cache_clear()

    return set_width


@pytest.fixture
def run(
    services: Services,
    catalogue: Catalogue,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Run]:
    """Runs a command line in this process, over these services."""
    monkeypatch.setattr(bootstrap, "services", lambda: services)
    monkeypatch.setattr(bootstrap, "load_user_code", lambda: catalogue)
    monkeypatch.setattr(logs, "configure", lambda _level: None)
    monkeypatch.setattr(workers, "present_workers", dict)  # there is no broker, and so nobody who answers

    def command(*arguments: str) -> Ran:
        code = main(arguments)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    with capture_logs():
        yield command


def decide(run: Run, verb: str, card: str, *words: str) -> Ran:
    """Approves, denies or edits a card of acme's as it is now."""
    shown = run("review", "show", card, "-t", "acme", "-o", "json").json
    return run("review", verb, card, "--version", str(shown["version"]), "--sha", shown["result_sha256"][:12], *words)


@pytest.fixture
def plan_id(run: Run) -> str:
    """A plan of three tasks: one committed, two that a person must see."""
    rows = [
        {"text": "fine", "confidence": "0.9", "label": "fine"},
        {"text": "unsure", "confidence": "0.4", "label": "other"},
        {"text": "my password", "confidence": "0.9"},
    ]
    ran = run("plan", "submit", "echoes", "-t", "acme", "--set", f"rows={json.dumps(rows)}", "-o", "json")
    assert ran.code == 0, ran.err
    plan_id: str = ran.json["plan_id"]
    return plan_id
