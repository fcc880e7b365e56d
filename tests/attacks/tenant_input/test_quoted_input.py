"""A value that does not fit its type, which pydantic quotes in its message: no log and no terminal shows it."""

import logging
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
import structlog
from pydantic import BaseModel, ValidationError

from chimera import Success, logs, planner, skill
from chimera.cli.main import failed
from chimera.errors import InvalidInput
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.task import TaskSpec
from chimera.services.execution import describe_exception
from tests.shell import environment

CANARY = "c4n4ry-of-ann-smith"
CELERYCONFIG = f"""\
from pydantic import BaseModel


class Settings(BaseModel):
    port: int


Settings(port="{CANARY}")
"""


class Order(BaseModel):
    number: int


def refused() -> ValidationError:
    try:
        Order.model_validate({"number": CANARY})
    except ValidationError as exc:
        return exc
    raise AssertionError


class _Terminal(StringIO):
    def __init__(self, *, is_one: bool) -> None:
        super().__init__()
        self._is_one = is_one

    def isatty(self) -> bool:
        return self._is_one


@pytest.fixture(params=[False, True], ids=["as JSON", "on a terminal"])
def stream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """Where a process of Chimera's logs to."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    terminal = _Terminal(is_one=request.param)
    monkeypatch.setattr(sys, "stderr", terminal)
    logs.configure()
    yield terminal
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(lambda exc: structlog.get_logger("chimera.x").error("failed", exc_info=exc), id="by Chimera"),
        pytest.param(lambda exc: structlog.get_logger("chimera.x").error("failed", why=str(exc)), id="as a field"),
        pytest.param(lambda exc: logging.getLogger("celery.x").error("raised", exc_info=exc), id="by Celery"),
        pytest.param(
            lambda exc: logging.getLogger("celery.x").error("unexpected: %r", exc), id="by Celery in its text"
        ),
    ],
)
def test_a_log_quotes_it(stream: StringIO, log: Callable[[ValidationError], None]) -> None:
    log(refused())
    said = stream.getvalue()
    assert "valid integer" in said
    assert CANARY not in said


@pytest.mark.parametrize("debug", ["", "1"], ids=["as it is", "with CHIMERA_DEBUG"])
def test_the_command_line_quotes_it(
    debug: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHIMERA_DEBUG", debug)
    failed(refused(), ["plan", "list", "-o", "json"])
    said = capsys.readouterr()
    assert "valid integer" in said.err
    assert CANARY not in said.out + said.err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("chimera.cli.main", "plan", "list", "--tenant", "acme"), id="by the command line"),
        pytest.param(("celery", "-A", "chimera", "worker"), id="by Celery"),
    ],
)
def test_what_a_project_s_own_settings_refuse_is_quoted(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").write_text(CELERYCONFIG)
    command = [sys.executable, "-m", *words]
    env = environment() | {"CHIMERA_DATA": str(tmp_path / "data")}
    ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert "celeryconfig cannot be imported: " in ran.stderr
    assert "valid integer" in ran.stderr
    assert CANARY not in ran.stdout + ran.stderr


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is its own."""
    monkeypatch.setattr("chimera.registration.CATALOGUE", Catalogue())


@pytest.mark.usefixtures("catalogue")
def test_the_traceback_of_a_refused_submit_quotes_it() -> None:
    @planner(name="orders-of-an-attack")
    def orders(order: Order) -> Iterator[TaskSpec]:
        raise AssertionError(order)

    with pytest.raises(InvalidInput) as caught:
        orders.check_inputs({"order": {"number": CANARY}})
    assert "valid integer" in str(caught.value)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.usefixtures("catalogue")
def test_the_failure_of_a_skill_quotes_it() -> None:
    """Which reviewers see, and everybody who lists results."""

    @skill(name="order-of-an-attack")
    def order(text: str) -> Success[int]:
        return Success(Order.model_validate({"number": text}).number, confidence=0.9)

    with pytest.raises(ValidationError) as caught:
        order(CANARY)
    said = describe_exception(caught.value)
    assert "valid integer" in said
    assert CANARY not in said
