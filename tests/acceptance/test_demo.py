"""`chimera demo`, as somebody meets it who has just installed Chimera."""

import re
import shlex
import signal

from tests.acceptance.conftest import Ran, Shell, await_end, await_line, finish

SAMPLE_ROWS = 418


def test_demo_from_nothing_and_a_second_one_beside_it(shell: Shell) -> None:
    first = shell.start("demo", "--json")
    await_line(first, "PostgreSQL at")
    second = shell.run("demo", "--json")
    assert second.code == 5
    assert second.out == ""
    assert f"a Chimera stack runs on {shell.data} already" in second.err
    assert "`chimera down`" in second.err

    ran = finish(first)
    assert ran.code == 0, ran.err
    numbers = ran.json
    assert numbers["plan_id"].startswith("pl_")
    assert numbers["tasks"] == SAMPLE_ROWS
    assert sum(numbers[name] for name in ("committed", "in_review", "denied", "failed")) == SAMPLE_ROWS
    assert numbers["committed"] > 0
    assert numbers["in_review"] > 0
    assert numbers["audit_entries"] >= SAMPLE_ROWS + 2
    assert numbers["tasks_per_second"] > 0
    assert 0 < numbers["elapsed_seconds"] < 60
    assert shell.processes() == []


def test_ctrl_c_ends_everything(shell: Shell) -> None:
    demo = shell.start("demo")
    await_line(demo, "schema")
    ran = finish(demo, signal.SIGINT)
    assert ran.code == 130
    assert ran.out == ""
    assert ran.err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in ran.err
    assert shell.processes() == []


def test_a_demo_that_is_killed_leaves_nothing(shell: Shell) -> None:
    demo = shell.start("demo")
    await_line(demo, "schema")
    assert finish(demo, signal.SIGKILL).code == -signal.SIGKILL
    await_end(shell)


def test_what_keep_says_to_type_next_works(kept: tuple[Shell, Ran]) -> None:
    shell, ran = kept
    assert ran.code == 0, ran.err
    assert f"{SAMPLE_ROWS}, all with a decision" in ran.out
    assert re.search(r"^ +\d+  confidence\.below +confidence\.below 0\.\d\d < 0\.7: ", ran.out, re.MULTILINE)
    assert "keyword.password in input.text" in ran.out
    assert "Flower: http://127.0.0.1:" in ran.out
    assert f"CHIMERA_FLOWER_BASIC_AUTH in {shell.data}/env" in ran.out
    assert "\x1b" not in ran.out + ran.err

    lines = [shlex.split(line, comments=True) for line in ran.out.partition("Next:\n")[2].splitlines()]
    assert ["export", f"CHIMERA_DATA={shell.data}"] in lines
    assert ["chimera", "down"] in lines
    listed = next(line for line in lines if line[1:3] == ["review", "list"])
    assert listed == ["chimera", "review", "list", "--tenant", "acme"]
    assert "confidence.below" in shell.run(*listed[1:]).out
    scored = next(line for line in lines if "--score" in line)
    assert "committed" in shell.run(*scored[1:]).out
