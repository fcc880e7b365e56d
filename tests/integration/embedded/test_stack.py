import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from chimera.adapters.embedded import EmbeddedServers, running_stack, stop_stack
from chimera.errors import EmbeddedServerError

ELSEWHERE = {
    "CHIMERA_OWNER_DATABASE_URL": "postgresql://boss:it%27s%20$ecret@db.example/agents?options=-c%20a%3Db",
    "CHIMERA_REDIS_URL": "redis://cache.example/3",
    "CHIMERA_FLOWER_BASIC_AUTH": 'a user:pa$$ "#1"',
}


def test_a_folder_without_a_stack(data_dir: Path) -> None:
    assert running_stack(data_dir / "never-made") is None
    assert stop_stack(data_dir / "never-made") is False


def test_a_running_stack_is_seen_with_its_addresses(data_dir: Path) -> None:
    with EmbeddedServers(data_dir, ELSEWHERE) as servers:
        stack = running_stack(data_dir)
        assert stack is not None
        assert stack.pid == os.getpid()
        assert stack.variables == servers.variables | {"CHIMERA_STACK_PID": str(os.getpid())}
        assert "ecret" not in repr(stack)
    assert running_stack(data_dir) is None


def test_the_env_file_means_the_same_to_the_shell(data_dir: Path) -> None:
    with EmbeddedServers(data_dir, ELSEWHERE):
        said = subprocess.run(
            ["/bin/sh", "-c", f'. {data_dir}/env; printf %s "$CHIMERA_FLOWER_BASIC_AUTH"'],
            capture_output=True,
            check=True,
            text=True,
        )
    assert said.stdout == ELSEWHERE["CHIMERA_FLOWER_BASIC_AUTH"]


def test_an_env_file_that_a_killed_stack_left_is_no_stack(data_dir: Path) -> None:
    (data_dir / "env").write_text("CHIMERA_STACK_PID=1\n")
    (data_dir / "lock").write_text("1\n")
    assert running_stack(data_dir) is None
    assert stop_stack(data_dir) is False


def test_stop_ends_the_stack_in_order(data_dir: Path, spawn: Callable[..., subprocess.Popen[str]]) -> None:
    stack = spawn("stack_process.py", data_dir)
    assert stop_stack(data_dir, timeout_seconds=30) is True
    assert stack.wait(10) == 0
    assert running_stack(data_dir) is None
    assert not (data_dir / "env").exists()
    assert not (data_dir / "postgres" / "data" / "postmaster.pid").exists()


def test_a_stack_that_does_not_end_in_time_is_an_error(
    data_dir: Path, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    stack = spawn("stack_process.py", data_dir, "--deaf")
    with pytest.raises(EmbeddedServerError, match=f"process {stack.pid}.* has not ended within 0.2 s"):
        stop_stack(data_dir, timeout_seconds=0.2)
