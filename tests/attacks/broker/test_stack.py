"""Who has found a message that ends a worker sends it again and again: the rest of the stack goes on."""

import os
import time
from pathlib import Path

from chimera.adapters.embedded import Supervisor


def test_a_judge_that_dies_again_and_again_does_not_end_the_stack(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("judge: sh -c 'echo >> deaths; exit 1'\nworker: sleep 1000\n")
    deaths = tmp_path / "deaths"
    deaths.touch()
    env = {"PATH": os.environ["PATH"]}
    logs = tmp_path / "logs"
    with Supervisor(
        tmp_path / "Procfile", env=env, cwd=tmp_path, log_dir=logs, restart_delay_seconds=0.001
    ) as supervisor:
        worker = supervisor.pids()["worker"]
        end = time.monotonic() + 30
        while len(deaths.read_text()) < 9:
            assert time.monotonic() < end
            supervisor.poll()
            time.sleep(0.001)
        assert supervisor.pids()["worker"] == worker
