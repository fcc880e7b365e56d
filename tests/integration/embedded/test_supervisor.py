import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chimera.adapters.embedded import Supervisor, read_deaths
from chimera.adapters.embedded.account import WORKERS_UID, Account
from chimera.adapters.embedded.restarts import Restarts
from chimera.errors import EmbeddedServerError

Eventually = Callable[[Callable[[], object]], None]
FOREVER = "sleep 1000"


def supervise(folder: Path, procfile: str, **options: Any) -> Supervisor:
    path = folder / "Procfile"
    path.write_text(procfile)
    env = {"PATH": os.environ["PATH"], "GREETING": "good day", "WHO": "you"}
    return Supervisor(
        path,
        env=env,
        cwd=folder,
        log_dir=folder / "logs",
        restart_delay_seconds=0.01,
        **options,
    )


def test_each_process_has_its_log_and_the_variables(tmp_path: Path, eventually: Eventually) -> None:
    procfile = f"""
# what greets
greeter: NAME="the $WHO" sh -c 'echo "$GREETING, ${{WHO}}: $NAME" $(pwd); exec {FOREVER}'
other-one:{FOREVER}
"""
    with supervise(tmp_path, procfile) as supervisor:
        log = tmp_path / "logs" / "greeter.log"
        eventually(log.read_text)
        assert log.read_text() == f"good day, you: the you {tmp_path}\n"
        assert log.stat().st_mode & 0o777 == 0o600
        assert list(supervisor.pids()) == ["greeter", "other-one"]
    assert supervisor.pids() == {}


def test_programs_of_this_python_are_found_first(tmp_path: Path, eventually: Eventually) -> None:
    with supervise(tmp_path, f"which: sh -c 'command -v {Path(sys.executable).name}; exec {FOREVER}'\n"):
        log = tmp_path / "logs" / "which.log"
        eventually(log.read_text)
        assert log.read_text().strip() == sys.executable


def test_each_process_is_the_program_itself_in_a_session_of_its_own(tmp_path: Path) -> None:
    with supervise(tmp_path, f"a: {FOREVER}\n") as supervisor:
        pid = supervisor.pids()["a"]
        assert os.getsid(pid) == pid != os.getsid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone starts processes of other users")
def test_workers_run_as_a_user_of_their_own_and_what_judges_does_not(tmp_path: Path, eventually: Eventually) -> None:
    # It is the words of a line that say what it runs.
    lines = "".join(
        f"{name}: sh -c 'id -u; exec {FOREVER}' celery worker {queues}\n"
        for name, queues in (("worker", "-X judge"), ("judge", "-Q judge"), ("both", ""))
    )
    user = Account(name="workers", uid=WORKERS_UID, gid=WORKERS_UID, switched=True)
    with supervise(tmp_path, lines, workers_as=user):
        logs = {name: tmp_path / "logs" / f"{name}.log" for name in ("worker", "judge", "both")}
        eventually(lambda: all(log.read_text().endswith("\n") for log in logs.values()))
        assert {name: log.read_text() for name, log in logs.items()} == {
            "worker": f"{WORKERS_UID}\n",
            "judge": "0\n",
            "both": "0\n",
        }


def test_a_process_that_dies_is_started_again(tmp_path: Path, eventually: Eventually) -> None:
    with supervise(tmp_path, f"a: {FOREVER}\nb: {FOREVER}\n") as supervisor:
        before = supervisor.pids()
        os.kill(before["a"], signal.SIGKILL)

        def restarted() -> bool:
            supervisor.poll()
            return supervisor.pids().get("a", before["a"]) != before["a"]

        eventually(restarted)
        assert supervisor.pids()["b"] == before["b"]


def test_what_a_dead_process_left_running_is_ended(tmp_path: Path, eventually: Eventually) -> None:
    with supervise(tmp_path, f"a: sh -c 'sh -c \"echo \\$\\$; exec {FOREVER}\" & {FOREVER}; :'\n") as supervisor:
        log = tmp_path / "logs" / "a.log"
        eventually(lambda: log.read_text().endswith("\n"))
        left = int(log.read_text())
        os.kill(supervisor.pids()["a"], signal.SIGKILL)

        def swept() -> bool:
            supervisor.poll()
            return gone(left)

        eventually(swept)


def test_a_process_that_always_dies_is_started_for_ever_and_its_last_words_are_told(
    tmp_path: Path, eventually: Eventually
) -> None:
    broken = "bad: sh -c 'echo I am broken; exit 3'"
    with supervise(tmp_path, f"good: {FOREVER}\n{broken}\n") as supervisor:
        good = supervisor.pids()["good"]

        def died_often() -> bool:
            supervisor.poll()
            return any(death.times >= 8 for death in read_deaths(tmp_path / "logs"))

        eventually(died_often)
        [death] = read_deaths(tmp_path / "logs")
        assert (death.process, death.exit_code, death.said) == ("bad", 3, "I am broken")
        assert supervisor.pids()["good"] == good


def test_a_program_that_is_not_there_is_told_too(tmp_path: Path, eventually: Eventually) -> None:
    with supervise(tmp_path, "bad: no-such-program --loud\n") as supervisor:

        def died() -> bool:
            supervisor.poll()
            return bool(read_deaths(tmp_path / "logs"))

        eventually(died)
        [death] = read_deaths(tmp_path / "logs")
        assert death.exit_code == 127
        assert "no-such-program" in death.said


def test_pauses_grow_to_a_minute_and_begin_anew_with_who_is_well() -> None:
    restarts = Restarts(limit=None, first_delay_seconds=0.5)
    pauses = [restarts.next_delay_seconds(0.1) for _ in range(2000)]
    assert pauses[:8] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert set(pauses[8:]) == {60.0}
    assert restarts.next_delay_seconds(61.0) == 0.5


def test_stop_tells_only_the_main_process_and_waits_for_it(tmp_path: Path, eventually: Eventually) -> None:
    # As Celery's does, the main process waits for its child, which would lose its task if it got the signal.
    (tmp_path / "main.sh").write_text(
        """
        mkfifo told
        (trap 'echo child was told' TERM; read _ < told; echo child has finished) &
        trap 'echo > told' TERM
        echo up
        wait; wait
        """
    )
    with supervise(tmp_path, "worker: sh main.sh\n"):
        log = tmp_path / "logs" / "worker.log"
        eventually(lambda: log.read_text() == "up\n")
    assert log.read_text() == "up\nchild has finished\n"


def test_stop_tells_all_at_once(tmp_path: Path, eventually: Eventually) -> None:
    names = ["beat", "flower", "judge", "web", "worker"]
    # None ends before all others are told.
    (tmp_path / "main.sh").write_text(
        f"""
        all_told() {{ [ $(wc -l < told) -eq {len(names)} ]; }}
        trap 'echo $1 >> told; until all_told; do sleep 0.01; done; echo $1 >> ended; exit' TERM
        echo up
        sleep 1000 & wait
        """
    )
    with supervise(tmp_path, "".join(f"{name}: sh main.sh {name}\n" for name in names)):
        for name in names:
            eventually((tmp_path / "logs" / f"{name}.log").read_text)
    assert sorted((tmp_path / "ended").read_text().split()) == names


def test_what_does_not_end_after_its_grace_is_killed_with_its_children(tmp_path: Path, eventually: Eventually) -> None:
    script = f'trap "" TERM; {FOREVER} & echo $!; wait'
    with supervise(tmp_path, f"worker: sh -c '{script}'\n", grace_seconds=0.1) as supervisor:
        log = tmp_path / "logs" / "worker.log"
        eventually(lambda: log.read_text().endswith("\n"))
        child = int(log.read_text())
    assert supervisor.pids() == {}
    eventually(lambda: gone(child))


def test_no_process_outlives_a_killed_supervisor(
    tmp_path: Path, eventually: Eventually, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    (tmp_path / "Procfile").write_text(f"a: sh -c 'echo $$; exec {FOREVER}'\nb: sh -c 'echo $$; exec {FOREVER}'\n")
    supervisor = spawn("supervisor_process.py", tmp_path)
    logs = [tmp_path / "logs" / "a.log", tmp_path / "logs" / "b.log"]
    eventually(lambda: all(log.read_text().endswith("\n") for log in logs))
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()
    eventually(lambda: all(gone(int(log.read_text())) for log in logs))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("worker celery\n", "Line 1 of .*Procfile is no `name: command`: worker celery"),
        ("\na: x\na: y\n", "Line 3 of .*Procfile names a a second time"),
        ("# nothing\n", "names no process"),
    ],
)
def test_a_procfile_with_a_fault_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(EmbeddedServerError, match=fault):
        supervise(tmp_path, text)


def test_a_procfile_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=r"nowhere cannot be read: No such file"):
        Supervisor(tmp_path / "nowhere", env={}, cwd=tmp_path, log_dir=tmp_path)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # An orphan's exit waits for whoever adopts orphans here to notice it.
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"
