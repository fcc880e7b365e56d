"""A project of one's own, from an empty folder: what `chimera init` says to type next, typed."""

import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.conftest import CHIMERA, PATIENCE_SECONDS, Shell, await_line, finish, new_shell

JSON = ("-o", "json")


@pytest.fixture
def shell(data_dirs: list[Path], tmp_path: Path) -> Iterator[Shell]:
    """A shell in an empty folder, with a data folder of its own."""
    shell = replace(new_shell(data_dirs), cwd=tmp_path)
    yield shell
    shell.run("down")


def test_what_init_says_to_type_next_works(shell: Shell) -> None:
    # A folder above has tests and ways of its own.
    (shell.cwd / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\n')
    ran = shell.run("init", "a shop")
    assert ran.code == 0, ran.err
    lines = [shlex.split(line.removeprefix("next: ")) for line in ran.err.splitlines()]
    assert lines.pop(0) == ["cd", "a shop"]
    shop = replace(shell, cwd=shell.cwd / "a shop")
    said = {}
    for program, *arguments in lines:
        if program == "chimera":
            done = shop.run(*arguments)
            said[arguments[0]] = done.out
            assert done.code == 0, done.err
        else:
            assert arguments == ["-m", "pytest"]
            for tested_by in ([program, *arguments], [CHIMERA.with_name("pytest")]):
                tests = subprocess.run(
                    tested_by, cwd=shop.cwd, env=shop.environ, capture_output=True, text=True,
                    timeout=PATIENCE_SECONDS, check=False,
                )  # fmt: skip
                assert tests.returncode == 0, tests.stdout
                assert "3 passed" in tests.stdout
    assert "2: 1 committed, 1 in review" in said["plan"]
    assert "confidence.below" in said["review"]
    assert said["down"] == "stopped\n"


@pytest.mark.exhaustive(keep=0)
def test_a_folder_with_nothing_but_a_celeryconfig_runs_its_own_code(shell: Shell) -> None:
    (shell.cwd / "celeryconfig.py").write_text('imports = ["mine"]\n')
    (shell.cwd / "mine.py").write_text(
        "from chimera import Success, planner, skill\n\n\n"
        "@skill\ndef shout(text: str) -> Success[str]:\n    return Success(text.upper(), confidence=0.9)\n\n\n"
        "@planner\ndef shouts(texts: list[str]):\n    yield from map(shout.task, texts)\n"
    )
    up = shell.run("up", "--tenant", "acme", "--detach", *JSON)
    assert up.code == 0, up.err
    assert up.json["processes"] == ["worker", "judge", "beat", "seal", "flower"]
    submit = ("plan", "submit", "shouts", "--tenant", "acme", "--set", 'texts=["hello"]', *JSON)
    ran = shell.run(*submit, "--watch", "--timeout", "60")
    assert ran.code == 0, ran.err
    assert ran.json["counts"]["committed"] == 1

    # `celery -A chimera worker` beside it, as it is.
    worker = subprocess.Popen(
        [CHIMERA.with_name("celery"), "-A", "chimera", "worker", "-c", "1", "-n", "extra@%h"],
        cwd=shell.cwd, env=shell.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    await_line(worker, "ready.")
    worker.terminate()
    assert finish(worker).code == 0
