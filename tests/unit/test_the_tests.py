"""How the tests run: a shared fixture that fails ends them, and of what is exhaustive a sample runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FAILING = """
import pytest

@pytest.fixture(scope="session")
def server():
    raise RuntimeError("no server answers\\nsecond line")

@pytest.fixture(scope="session")
def swarm(server):
    yield server

@pytest.mark.parametrize("number", range(20))
def test_swarm(swarm, number):
    pass
"""
SKIPPING = """
import pytest

@pytest.fixture(scope="session")
def server():
    pytest.skip("not here")

@pytest.mark.parametrize("number", range(20))
def test_swarm(server, number):
    pass
"""
EXHAUSTIVE = """
import pytest

@pytest.mark.exhaustive(keep=3)
@pytest.mark.parametrize("number", range(20))
def test_marked(number):
    print("case", number)

def test_by_itself(some):
    print("cases", some(range(20), keep=3))
"""


def run(folder: Path, plugin: str, text: str, *options: str) -> str:
    file = folder / "test_it.py"
    file.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", plugin, "-p", "no:cacheprovider", "-c", "/dev/null"]
    done = subprocess.run(
        [*command, *options, f"--rootdir={folder}", file],
        cwd=ROOT,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "2")], ids=["one process", "parallel"])
def test_a_shared_fixture_that_fails_ends_the_run(tmp_path: Path, options: tuple[str, ...]) -> None:
    said = run(tmp_path, "tests.shared_fixtures", FAILING, *options)
    assert "the session's fixture server failed: RuntimeError: no server answers !" in said
    assert said.count("ERROR at setup") <= 2, "each process says it once"
    assert "passed" not in said


def test_one_that_skips_does_not(tmp_path: Path) -> None:
    assert "20 skipped" in run(tmp_path, "tests.shared_fixtures", SKIPPING)


def cases(said: str) -> list[str]:
    return re.findall("cases? .*", said)


def test_of_what_is_exhaustive_a_sample_runs_which_is_always_the_same(tmp_path: Path) -> None:
    said = [run(tmp_path, "tests.exhaustive", EXHAUSTIVE, "-s", *more) for more in ((), (), ("--sample", "7"))]
    first, again, other = (cases(each) for each in said)
    assert len(first) == 4
    assert first[-1].count(",") == 2
    assert first == again
    assert first != other
    assert "exhaustive tests: --sample 7 of them" in said[-1]


def test_all_runs_all_of_it(tmp_path: Path) -> None:
    ran = cases(run(tmp_path, "tests.exhaustive", EXHAUSTIVE, "-s", "--all"))
    assert len(ran) == 21
    assert ran[-1].count(",") == 19
