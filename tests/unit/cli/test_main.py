import json
import subprocess
import sys
from time import monotonic

import pytest

import chimera.errors
from chimera.cli.context import UserCodeBroken, command, valid_tenant
from chimera.cli.main import failed, wants_json
from chimera.cli.plan.submit import parse_deadline
from chimera.errors import ChimeraError, InvalidInput, StoreUnavailable
from tests.unit.cli.conftest import Run

HEAVY = {"celery", "kombu", "psycopg", "sqlalchemy", "alembic", "redis", "structlog", "chimera.bootstrap"}


class TestHelp:
    @staticmethod
    def imported(*arguments: str) -> set[str]:
        began = monotonic()
        ran = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "chimera.cli.main", *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert monotonic() - began < 3.0
        assert "Usage: chimera" in ran.stdout
        return {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}

    def test_it_imports_nothing_heavy(self) -> None:
        assert not self.imported("--help") & (HEAVY | {"pydantic", "rich"})

    def test_of_a_command_neither(self) -> None:
        # Typer itself takes pydantic to read a command's options.
        assert not self.imported("plan", "submit", "--help") & HEAVY

    def test_without_a_command_there_is_help_and_an_error(self, run: Run) -> None:
        for arguments in ((), ("plan",)):
            ran = run(*arguments)
            assert (ran.code, ran.out) == (2, "")
            assert ran.err.startswith("Usage: chimera")


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("ChimeraError", 1),
            ("StoreUnavailable", 1),
            ("InvalidInput", 2),
            ("SettingsMissing", 2),
            ("UnknownPlanner", 2),
            ("PlanNotFound", 3),
            ("UnknownTenant", 3),
            ("CardAlreadyDecided", 5),
            ("IdempotencyConflict", 5),
            ("StackAlreadyRunning", 5),
            ("PlanFailed", 6),
            ("WaitTimeout", 124),
        ],
    )
    def test_each_has_its_exit_code_and_one_line(
        self, name: str, code: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        kind = getattr(chimera.errors, name)
        assert failed(kind("it broke"), []) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: it broke")
        assert err.count("\n") == 1

    def test_with_json_there_is_an_object_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert failed(InvalidInput("it broke"), ["plan", "list", "-o", "json"]) == 2
        line, document = capsys.readouterr().err.splitlines()
        assert line == "error: it broke"
        assert json.loads(document) == {"error": "it broke", "code": "InvalidInput"}

    def test_an_unexpected_one_says_how_to_see_more(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert failed(ValueError("odd\x1b[2J"), []) == 1
        assert capsys.readouterr().err == "error: unexpected ValueError: odd<U+001B>[2J (CHIMERA_DEBUG=1 shows where)\n"

    def test_the_trace_is_there_for_those_who_ask(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("CHIMERA_DEBUG", "1")
        failed(ChimeraError("it broke").with_traceback(None), [])
        assert "ChimeraError: it broke" in capsys.readouterr().err

    def test_what_to_do_where_a_server_is_away(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("CHIMERA_COMMAND", "./run")
        failed(StoreUnavailable("PostgreSQL at here does not answer"), [])
        assert "`./run up`" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["plan", "lst"], "No such command 'lst'. Did you mean 'list'? (chimera plan --help says more)"),
            (["plan", "list"], "Missing option '--tenant' / '-t' (env var: 'CHIMERA_TENANT')"),
            (["plan", "list", "-t", "acme", "--limit", "0"], "Invalid value for '--limit'"),
            (["plan", "list", "-t", "acme", "--bogus"], "No such option: --bogus"),
            (["plan", "list", "-t", "Not A Tenant"], "'Not A Tenant' is not a tenant id"),
            (["plan", "list", "-t", "acme", "-o", "xml"], "Invalid value for '--output' / '-o'"),
        ],
    )
    def test_wrong_usage(self, arguments: list[str], said: str, run: Run) -> None:
        ran = run(*arguments)
        assert ran.code == 2
        assert ran.out == ""
        assert ran.err.startswith(f"error: {said}")

    @pytest.mark.parametrize(
        "arguments", [["-o", "json"], ["-ojson"], ["--output", "JSON"], ["--output=json"], ["demo", "--json"]]
    )
    def test_json_is_seen_in_any_spelling(self, arguments: list[str]) -> None:
        assert wants_json(["plan", *arguments])

    @pytest.mark.parametrize("arguments", [["-o", "table"], ["json"], ["-o"], ["--goal", "json"]])
    def test_json_is_not_seen_elsewhere(self, arguments: list[str]) -> None:
        assert not wants_json(["plan", *arguments])

    def test_an_interrupt(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("chimera.cli.plan.plan.services", interrupted)
        ran = run("plan", "list", "-t", "acme")
        assert (ran.code, ran.out, ran.err) == (130, "", "interrupted\n")


class TestWords:
    def test_a_command_line_can_be_typed_as_it_stands(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert command("review", "deny", "--reason", "it's wrong") == "chimera review deny --reason 'it'\"'\"'s wrong'"
        monkeypatch.setenv("CHIMERA_COMMAND", "./run")
        assert command("down") == "./run down"

    def test_tenant_ids(self) -> None:
        assert valid_tenant("acme-2_x") == "acme-2_x"
        assert valid_tenant(None) is None
        for text in ("", "Acme", "-a", "a" * 64, "a b", "a\n"):
            with pytest.raises(InvalidInput):
                valid_tenant(text)

    def test_a_broken_module_of_the_project_is_one_line(self) -> None:
        assert UserCodeBroken().exit_code == 1


class TestDeadline:
    def test_relative_and_absolute(self) -> None:
        from datetime import UTC, datetime, timedelta

        now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        assert parse_deadline("+90s", now) - now == timedelta(seconds=90)
        assert parse_deadline("+30m", now) - now == timedelta(minutes=30)
        assert parse_deadline("+2h", now) - now == timedelta(hours=2)
        assert parse_deadline("+7d", now) - now == timedelta(days=7)
        assert parse_deadline("2026-03-01T13:00+01:00", now) == now
        assert parse_deadline("2026-03-01T12:00Z", now) == now

    @pytest.mark.parametrize(
        "text", ["soon", "30m", "+30", "+1w", "2026-13-01T00:00Z", "2026-03-01", "2026-03-01T12:00"]
    )
    def test_what_is_none(self, text: str) -> None:
        from datetime import UTC, datetime

        with pytest.raises(InvalidInput, match="--deadline"):
            parse_deadline(text, datetime(2026, 3, 1, tzinfo=UTC))
