"""Logs, as a process writes them: set up for a whole process, and so tried in one of its own."""

import json
import subprocess
import sys
from typing import Any

import pytest

_BEGIN = """
import logging, sys, threading
import structlog
from chimera import logs
logs.configure({level!r})
log, other = structlog.get_logger("chimera.tried"), logging.getLogger("other")
"""


def written(program: str, level: str = "INFO") -> list[dict[str, Any]]:
    """The lines that a process writes to standard error; it must end well."""
    command = [sys.executable, "-c", _BEGIN.format(level=level) + program]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
    return [json.loads(line) for line in ran.stderr.splitlines()]


def test_an_event_and_what_others_log_are_lines_alike() -> None:
    ours, theirs = written("""
with structlog.contextvars.bound_contextvars(tenant_id="acme"):
    log.info("judged", decided=3)
    other.warning("slow: %s", "so")
""")
    assert (ours.pop("timestamp"), theirs.pop("timestamp")) > ("2020", "2020")
    assert ours == {"event": "judged", "decided": 3, "tenant_id": "acme", "level": "info", "logger": "chimera.tried"}
    assert theirs == {"event": "slow: so", "tenant_id": "acme", "level": "warning", "logger": "other"}


@pytest.mark.parametrize(
    ("level", "events"), [("INFO", ["i", "w", "e"]), ("WARNING", ["w", "e"]), ("ERROR", ["e"]), ("DEBUG", list("diwe"))]
)
def test_less_than_the_level_is_left_out(level: str, events: list[str]) -> None:
    program = "log.debug('d'); log.info('i'); log.warning('w'); log.error('e')\n"
    program += "other.debug('d'); other.info('i'); other.warning('w'); other.error('e')"
    assert [line["event"] for line in written(program, level)] == events * 2


def test_an_exception_is_logged_with_its_traceback() -> None:
    [line] = written("""
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broke", n=1)
""")
    assert (line["event"], line["level"], line["n"]) == ("broke", "error", 1)
    assert line["exception"].splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_an_event_of_a_logger_without_a_name_is_a_line_too() -> None:
    [line] = written('structlog.get_logger().info("so")')
    assert (line["event"], line["logger"]) == ("so", "chimera")


def test_whole_lines_come_from_threads_that_log_at_the_same_time() -> None:
    lines = written("""
def chatter(name):
    for n in range(200):
        log.info("said", by=name, n=n, text="x" * 300)
        other.info("said %s", "x" * 300)
threads = [threading.Thread(target=chatter, args=(name,)) for name in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
""")
    assert len(lines) == 2 * 4 * 200


def test_a_stream_that_nobody_reads_stops_no_work() -> None:
    program = _BEGIN.format(level="INFO") + "import os\n"
    program += 'os.close(2); log.info("lost"); print("done")'
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert ran.stdout == "done\n"


def test_what_a_skill_logs_by_structlog_is_bounded_like_what_it_prints() -> None:
    lines = written("""
from chimera.services.printed import MOST_CHARACTERS, begin_printing
printed = begin_printing()
for n in range(2 * MOST_CHARACTERS // 1000):
    structlog.get_logger("of.a.skill").info("x" * 1000)
    log.info("ours")
printed.close()
""")
    said = sum(len(line["event"]) for line in lines if line["logger"] == "of.a.skill")
    assert 0 < said < 64 * 1024
    assert sum(line["event"] == "ours" for line in lines) == 2 * 64 * 1024 // 1000
    assert lines[-1]["event"] == "skill_printed_too_much"
