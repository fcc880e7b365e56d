"""A process of a stack reads its own environment, and what it finds by it: it has its own logins, and nobody else's.

Skill code runs in the worker, so what the worker's environment names, a skill has.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.skill_code.other_user import cannot_run, where_others_enter
from tests.shell import environment

CHIMERA = Path(sys.executable).with_name("chimera")
PROCFILE = """\
worker: celery -A chimera worker -X judge -P solo -n worker@%h --without-mingle --without-gossip
judge: celery -A chimera worker -Q judge -P solo -n judge@%h --without-mingle --without-gossip
beat: celery -A chimera beat --schedule "${CHIMERA_DATA:-.}/celerybeat-schedule"
flower: celery -A chimera flower --conf="${CHIMERA_FLOWER_CONFIG:-flowerconfig.py}"
web: sh -c 'while :; do sleep 1; done'
"""
OF_OTHERS = {
    "worker": ("OWNER_DATABASE_URL", "JUDGE_DATABASE_URL", "FLOWER_BASIC_AUTH", "AUDIT_KEYS", "CHECKPOINTS"),
    "judge": (
        *("OWNER_DATABASE_URL", "APP_DATABASE_URL", "WORKER_DATABASE_URL", "FLOWER_BASIC_AUTH"),
        *("AUDIT_KEYS", "CHECKPOINTS"),
    ),
    "beat": ("OWNER_DATABASE_URL", "APP_DATABASE_URL", "WORKER_DATABASE_URL", "JUDGE_DATABASE_URL", "AUDIT_KEYS"),
    "flower": ("OWNER_DATABASE_URL", "APP_DATABASE_URL", "WORKER_DATABASE_URL", "JUDGE_DATABASE_URL", "AUDIT_KEYS"),
    "web": ("OWNER_DATABASE_URL", "WORKER_DATABASE_URL", "JUDGE_DATABASE_URL", "FLOWER_BASIC_AUTH", "AUDIT_KEYS"),
}
# What is in the command line of each.
WORDS = {
    "worker": "worker@%h",
    "judge": "judge@%h",
    "beat": "celerybeat-schedule",
    "flower": "--conf=",
    "web": "while :",
}
TELL = "from chimera.settings import settings; print(settings().{name} is None)"


@pytest.fixture(scope="module")
def environments() -> Iterator[dict[str, dict[str, str]]]:
    """The environment of each process of a stack, as the kernel tells it."""
    folder = Path(tempfile.mkdtemp(prefix="chimera-attacks-")).resolve()
    folder.chmod(0o755 if os.geteuid() == 0 else 0o700)
    (folder / "Procfile").write_text(PROCFILE)
    (folder / "celeryconfig.py").write_text("")
    shell = environment() | {"CHIMERA_DATA": str(folder / "data")}

    shown = [] if cannot_run() else where_others_enter()

    def run(*arguments: str) -> None:
        line = [*shown, str(CHIMERA), *arguments]
        subprocess.run(line, cwd=folder, env=shell, check=True, capture_output=True, timeout=90)

    try:
        run("up", "--detach", "--tenant", "acme")
        yield {name: _of_process(folder, word) for name, word in WORDS.items()}
    finally:
        run("down")
        shutil.rmtree(folder)


def _of_process(folder: Path, word: str) -> dict[str, str]:
    data = f"CHIMERA_DATA={folder / 'data'}"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line, variables = (process / "cmdline").read_text(), (process / "environ").read_text().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if word in line and data in variables:
            found = dict(variable.split("=", 1) for variable in variables if "=" in variable)
            return found | {"PID": process.name}
    raise AssertionError(f"no process runs {word}")


@pytest.mark.parametrize(
    ("process", "name"), [(process, name) for process, names in OF_OTHERS.items() for name in names]
)
def test_a_process_reads_the_login_of_another(process: str, name: str, environments: dict[str, dict[str, str]]) -> None:
    assert f"CHIMERA_{name}" not in environments[process]


@pytest.mark.parametrize(
    ("process", "name"),
    [
        ("worker", "owner_database_url"),
        ("worker", "judge_database_url"),
        ("worker", "audit_keys"),
        ("judge", "audit_keys"),
    ],
)
def test_code_in_a_process_asks_the_settings_for_it(
    process: str, name: str, environments: dict[str, dict[str, str]]
) -> None:
    line = [sys.executable, "-c", TELL.format(name=name)]
    told = subprocess.run(line, env=environments[process], check=True, capture_output=True, text=True, timeout=60)
    assert told.stdout == "True\n"


def test_each_process_has_what_it_uses(environments: dict[str, dict[str, str]]) -> None:
    """Else the tests above would hold for processes that can do nothing."""
    assert {"CHIMERA_APP_DATABASE_URL", "CHIMERA_WORKER_DATABASE_URL"} <= environments["worker"].keys()
    assert {"CHIMERA_JUDGE_DATABASE_URL"} <= environments["judge"].keys()
    assert all("CHIMERA_REDIS_URL" in variables for variables in environments.values())


def test_the_judge_knows_that_the_audit_is_to_be_sealed(environments: dict[str, dict[str, str]]) -> None:
    assert float(environments["judge"]["CHIMERA_SEALED_WITHIN_SECONDS"]) == 180


# What is another process's, or of them all, by the data folder and the Judge's process id.
FILES = {
    "environment_of_the_judge": "/proc/{judge}/environ",
    "environment_of_beat": "/proc/{beat}/environ",
    "memory_map_of_the_judge": "/proc/{judge}/maps",
    "addresses_of_the_stack": "{data}/env",
    "passwords_of_the_servers": "{data}/passwords.json",
    "key_of_the_audit": "{data}/audit/keys",
    "log_of_the_judge": "{data}/logs/judge.log",
}


@pytest.mark.parametrize("file", FILES)
def test_code_in_a_worker_reads_what_is_another_process_s(file: str, environments: dict[str, dict[str, str]]) -> None:
    """As the user that the worker runs as, which is one of its own where root started the stack."""
    if why := cannot_run():
        pytest.skip(why)
    pids = {name: variables["PID"] for name, variables in environments.items()}
    uid = Path("/proc", pids["worker"]).stat().st_uid
    path = FILES[file].format(**pids, data=environments["worker"]["CHIMERA_DATA"])
    line = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "sh", "-c", 'ls "$1" && cat "$1"/* "$1"']
    told = subprocess.run([*line, "sh", path], capture_output=True, text=True, check=False)
    assert not told.stdout.removeprefix(f"{path}\n")
