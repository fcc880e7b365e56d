"""The command line over real servers and workers: what it prints where, and what it ends with."""

import json
import signal
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.conftest import Shell, await_end, await_line, finish

ACME = ("--tenant", "acme")
JSON = ("-o", "json")


def test_a_plan_from_a_file_to_its_results(stack: Shell, tmp_path: Path) -> None:
    (tmp_path / "messages.csv").write_text(
        'text,category\n"Where is my parcel?\nIt should be here.",delivery\nI forgot my password,login\n'
    )
    submit = ("plan", "submit", "tickets", *ACME, "--input", str(tmp_path / "messages.csv"), "--key", "two", *JSON)
    ran = stack.run(*submit, "--watch", "--timeout", "60")
    assert ran.code == 0, ran.err
    assert ran.json["counts"]["tasks"] == 2
    plan_id = ran.json["plan_id"]

    again = stack.start(*submit)
    watch = stack.start("plan", "watch", plan_id, *ACME, *JSON)
    score = stack.start("plan", "results", plan_id, *ACME, "--score", *JSON)
    assert finish(again).json == {"plan_id": plan_id, "tenant_id": "acme", "created": False}
    events = [json.loads(line) for line in finish(watch).out.splitlines()]
    assert events[0]["kind"] == "plan.submitted"
    assert sum(event["kind"] == "task.decided" for event in events) == 2
    assert finish(score).json["all"]["tasks"] == 2


def test_a_card_is_decided_once(stack: Shell) -> None:
    cards = stack.run("review", "list", *ACME, "--limit", "2", *JSON).json
    card = cards[0]["card_id"]
    seen = ("--version", str(cards[0]["version"]), "--sha", cards[0]["result_sha256"])
    logging = replace(stack, variables={"CHIMERA_LOG_LEVEL": "INFO"})
    ran = logging.run("review", "approve", card, *seen, *ACME, "--as", "ana", *JSON)
    assert (ran.code, ran.json["status"], ran.json["decided_by"]) == (0, "approved", "ana")
    [logged] = [line for line in map(json.loads, ran.err.splitlines()) if line["event"] == "task_decided"]
    assert (logged["verdict"], logged["decided_by"], logged["tenant_id"]) == ("approve", "ana", "acme")
    assert logged["trace_id"]
    again = stack.run("review", "deny", card, *seen, *ACME, "--reason", "too late", *JSON)
    assert (again.code, again.out) == (5, "")
    line, document = again.err.splitlines()
    assert line == f"error: review card {card} was approved by ana already"
    assert json.loads(document) == {"error": line.removeprefix("error: "), "code": "CardAlreadyDecided"}


def test_a_session_is_paused_resumed_cancelled_and_tried_again(stack: Shell) -> None:
    session = ("--session", "night", *ACME)
    rows = 'rows=[{"text":"I forgot my password"},{"text":"My card number is 4111 1111 1111 1111"}]'
    ran = stack.run("plan", "submit", "tickets", *session, "--set", rows, "--watch", "--timeout", "60", *JSON)
    assert (ran.code, ran.json["state"]) == (0, "in_review"), ran.err
    plan_id = ran.json["plan_id"]

    assert stack.run("plan", "pause", *session, *JSON).json == [
        {"plan_id": plan_id, "state": "in_review", "paused": True}
    ]
    assert "in_review (paused)" in stack.run("plan", "show", plan_id, *ACME).out
    assert stack.run("plan", "resume", plan_id, *ACME, *JSON).json[0]["paused"] is False
    assert stack.run("plan", "cancel", "--all", *ACME).code == 2

    assert [plan["plan_id"] for plan in stack.run("plan", "cancel", *session, *JSON).json] == [plan_id]
    ended = stack.run("plan", "wait", plan_id, *ACME, "--timeout", "60", *JSON)
    assert (ended.code, ended.json["state"], ended.json["counts"]["cancelled"]) == (6, "cancelled", 2)
    assert stack.run("review", "list", "--plan", plan_id, *ACME, *JSON).json == []

    [retried] = stack.run("plan", "retry", plan_id, "--stopped", *ACME, *JSON).json
    assert (retried["retry_of"], retried["created"], retried["tasks"]) == (plan_id, True, 2)
    again = stack.run("plan", "wait", retried["plan_id"], *ACME, "--timeout", "60", *JSON)
    assert (again.code, again.json["counts"]["in_review"]) == (0, 2), again.err
    listed = stack.run("plan", "list", *session, *JSON).json
    assert [plan["plan_id"] for plan in listed] == [retried["plan_id"], plan_id]


def test_doctor_finds_everything_well(stack: Shell) -> None:
    ran = stack.run("doctor", *JSON)
    assert ran.code == 0, ran.out
    found = {(finding["check"], finding["status"]) for finding in ran.json}
    checks = [
        "stack",
        "settings",
        "schema",
        "broker",
        "messages",
        "workers",
        "skills",
        "waiting",
        "beat",
        "clocks",
        "user code",
        "checkpoints",
        "isolation",
    ]
    checks += [f"postgresql {role}" for role in ("owner", "app", "worker", "judge", "seal", "review")]
    assert found == {(check, "ok") for check in checks}


def test_the_projects_own_code_that_breaks_is_named(stack: Shell, tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").write_text('imports = ["shop"]\n')
    (tmp_path / "shop.py").write_text("import json\n\nprices = json.loads('{')\n")
    ran = replace(stack, cwd=tmp_path).run("plan", "submit", "p", *ACME)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: shop (imports of celeryconfig.py) cannot be imported: JSONDecodeError: ")
    assert f"{tmp_path}/shop.py:3" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("arguments", [("plan", "list", *ACME), ("plan", "submit", "p", *ACME)])
def test_a_celeryconfig_that_breaks_is_named(arguments: tuple[str, ...], stack: Shell, tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").write_text("import os\n\nraise ValueError('odd')\n")
    ran = replace(stack, cwd=tmp_path).run(*arguments)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"error: celeryconfig cannot be imported: ValueError: odd, at {tmp_path}/celeryconfig.py:3\n"


def test_what_is_refused(stack: Shell) -> None:
    refused = {
        ("plan", "show", "pl_" + "0" * 32, *ACME): (3, "tenant 'acme' has no plan pl_0000"),
        ("plan", "submit", "tickets", "-t", "nobody", "--set", "rows=[]"): (3, "there is no tenant 'nobody'"),
        ("plan", "list", "-t", "nobody"): (3, "there is no tenant 'nobody': add it with `chimera tenant add nobody`"),
        ("plan", "submit", "tickets", *ACME, "--input", "none.csv"): (2, "none.csv: there is no such file"),
        ("plan", "cancel", "pl_1", *ACME): (2, "'pl_1' is not a plan id"),
    }
    started = {arguments: stack.start(*arguments) for arguments in refused}
    for arguments, (code, said) in refused.items():
        ran = finish(started[arguments])
        assert (ran.code, ran.out) == (code, "")
        assert ran.err.startswith(f"error: {said}")


def test_flower_wants_a_password(stack: Shell) -> None:
    port = next(line for line in (stack.data / "env").read_text().splitlines() if "FLOWER_PORT" in line)
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{port.partition('=')[2]}/", timeout=10)
    refused.value.close()


def test_without_servers_it_says_what_to_set(tmp_path: Path) -> None:
    away = {"CHIMERA_REDIS_URL": "redis://127.0.0.1:1", "CHIMERA_APP_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/c"}
    unset = Shell(tmp_path / "nothing").start("plan", "list", *ACME)
    unanswered = Shell(tmp_path / "nothing", variables=away).start("plan", "list", *ACME, *JSON)

    ran = finish(unset)
    assert ran.code == 2
    assert "is not set. Start the embedded servers with `chimera up`" in ran.err

    ran = finish(unanswered)
    assert (ran.code, ran.out) == (1, "")
    assert "PostgreSQL at 127.0.0.1:1/c does not answer" in ran.err
    assert "`chimera up`" in ran.err
    assert json.loads(ran.err.splitlines()[-1])["code"] == "StoreUnavailable"


def test_up_runs_the_folders_own_procfile_until_ctrl_c(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("idler: sleep 1000\n")
    up = replace(shell, cwd=tmp_path).start("up", "--tenant", "globex")
    await_line(up, "Ctrl-C ends it")
    tenants = finish(shell.start("tenant", "list", *JSON)).json
    assert "globex" in [tenant["tenant_id"] for tenant in tenants]
    ran = finish(up, signal.SIGINT)
    assert ran.code == 130
    assert "idler" in ran.out
    assert ran.err.splitlines()[-2:] == ["stopped", "interrupted"]
    assert shell.processes() == []


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("detach", [[], ["--detach"]])
def test_up_names_a_celeryconfig_that_breaks_before_it_starts_a_process(
    detach: list[str], shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "celeryconfig.py").write_text("import os\n\nraise ValueError('odd')\n")
    (tmp_path / "Procfile").write_text("worker: celery -A chimera worker\n")
    ran = shell.run("up", *detach, "--procfile", str(tmp_path / "Procfile"))
    assert ran.code == 1
    last = ran.err.splitlines()[-1]
    assert last == f"error: celeryconfig cannot be imported: ValueError: odd, at {tmp_path}/celeryconfig.py:3"
    assert not (shell.data / "logs" / "worker.log").exists()
    await_end(shell)


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("arguments", [["up"], ["up", "--detach"], ["demo"]])
def test_a_start_names_the_variables_of_a_database_that_is_away(arguments: list[str], shell: Shell) -> None:
    names = ("CHIMERA_APP_DATABASE_URL", "CHIMERA_OWNER_DATABASE_URL")
    old = dict.fromkeys(names, "postgresql://a:b@127.0.0.1:1/c")
    ran = replace(shell, variables=old).run(*arguments)
    assert ran.code == 1
    last = ran.err.splitlines()[-1]
    assert last.startswith("error: PostgreSQL at 127.0.0.1:1/c does not answer (")
    assert last.endswith(f"). Start it, or `unset {' '.join(names)}` to have one started here")
    await_end(shell)


def test_up_names_the_variable_of_a_broker_that_is_away(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("worker: sleep 1000 # celery worker\n")
    old = {"CHIMERA_REDIS_URL": "redis://127.0.0.1:1/0"}
    ran = replace(shell, cwd=tmp_path, variables=old).run("up")
    assert ran.code == 1
    last = ran.err.splitlines()[-1]
    assert last.startswith("error: the broker at redis://:**@127.0.0.1:1/0 does not answer (")
    assert last.endswith("). Start it, or `unset CHIMERA_REDIS_URL` to have one started here")
    await_end(shell)


def test_up_in_the_background_and_down(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("idler: sleep 1000\n")
    up = shell.run("up", "--detach", "--procfile", str(tmp_path / "Procfile"), *JSON)
    assert up.code == 0, up.err
    assert up.json["processes"] == ["idler"]
    assert up.json["flower_url"] is None
    second, check = shell.start("up", "-d"), shell.start("db", "check", *JSON)
    assert finish(second).code == 5
    assert finish(check).json["up_to_date"] is True
    down = shell.run("down", *JSON)
    assert (down.code, down.json["stopped"]) == (0, True)
    await_end(shell)
    assert shell.run("down", *JSON).json["stopped"] is False
