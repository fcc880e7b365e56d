"""`chimera doctor` over a stack in which something is wrong: it names what, and leaves the rest alone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.conftest import Shell, new_shell

JSON = ("-o", "json")
# No beat; and a worker whose machine is a minute ahead, as far as its processes can tell.
PROCFILE = """\
worker: celery -A chimera worker -P solo -n worker@%h --without-mingle --without-gossip
ahead: AHEAD=1 celery -A chimera worker -Q judge -P solo -n ahead@%h --without-mingle --without-gossip
"""
# In what every process reads: a Judge imports nothing that `imports` names.
CELERYCONFIG = """\
import os
import time

if "AHEAD" in os.environ:
    right = time.time
    time.time = lambda: right() + 60
"""


@pytest.fixture(scope="module")
def ailing(data_dirs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("ailing")
    (folder / "Procfile").write_text(PROCFILE)
    (folder / "celeryconfig.py").write_text(CELERYCONFIG)
    shell = replace(new_shell(data_dirs), cwd=folder)
    up = shell.run("up", "--detach", "--tenant", "acme")
    assert up.code == 0, up.err
    yield shell
    shell.run("down")


def test_no_beat_and_a_clock_that_is_off(ailing: Shell) -> None:
    ran = ailing.run("doctor", *JSON)
    assert ran.code == 1
    found = {finding["check"]: finding for finding in ran.json if finding["status"] != "ok"}
    assert found.keys() == {"beat", "clocks", "user code", "workers"}, ran.out
    assert found["beat"]["status"] == "FAIL"
    assert found["beat"]["detail"].startswith("no sweep came within 10 s")
    assert "celery -A chimera beat" in found["beat"]["fix"]
    [clock] = [finding for finding in ran.json if finding["check"] == "clocks"]
    assert clock["status"] == "WARN"
    assert clock["detail"].startswith("the clock of ahead@")
    assert clock["detail"].endswith(" s ahead of the database's")
    assert 57 <= int(clock["detail"].partition("at least ")[2].partition(" ")[0]) <= 60


def test_a_login_with_another_roles_rights_is_named(ailing: Shell) -> None:
    env = dict(line.split("=", 1) for line in (ailing.data / "env").read_text().splitlines())
    urls = {role: env[f"CHIMERA_{role}_DATABASE_URL"].strip("'") for role in ("OWNER", "APP", "WORKER", "JUDGE")}
    mixed = {
        "CHIMERA_WORKER_DATABASE_URL": urls["APP"],
        "CHIMERA_JUDGE_DATABASE_URL": urls["OWNER"],
        "CHIMERA_OWNER_DATABASE_URL": urls["JUDGE"],
    }
    ran = replace(ailing, variables=mixed).run("doctor", *JSON)
    found = {finding["check"]: finding for finding in ran.json}
    assert found["postgresql app"]["status"] == "ok"
    worker, judge, owner = (found[f"postgresql {role}"] for role in ("worker", "judge", "owner"))
    assert worker["status"] == "FAIL"
    assert worker["detail"] == (
        'CHIMERA_WORKER_DATABASE_URL logs in as "chimera_app", which has the rights of app, not those of worker'
    )
    assert worker["fix"].startswith("set CHIMERA_WORKER_DATABASE_URL to the login of chimera_worker")
    assert judge["status"] == "WARN"
    assert (
        '"chimera_owner", which has the rights of app and owner and review and seal and worker as well'
        in judge["detail"]
    )
    assert owner["status"] == "FAIL"
    assert '"chimera_judge", which has the rights of judge, not those of owner' in owner["detail"]


def test_a_variable_that_cannot_be_read_is_said_once(ailing: Shell) -> None:
    ran = replace(ailing, variables={"CHIMERA_APP_DATABASE_URL": "notaurl"}).run("doctor", *JSON)
    assert ran.code == 1
    assert [(finding["check"], finding["status"]) for finding in ran.json] == [("stack", "ok"), ("settings", "FAIL")]
    assert "CHIMERA_APP_DATABASE_URL: this is no URL" in ran.json[1]["detail"]
