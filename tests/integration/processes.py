"""pytest-celery over local processes: its containers are Celery workers on this machine."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from signal import Signals
from typing import Any, Self

from pytest_celery import CeleryTestContainer

from tests.integration.announced import STARTED
from tests.shell import environment

ROOT = Path(__file__).parents[2]
READY_SECONDS = 60.0
# Longer than the 30 s that a child of billiard may wait for its results to be read, where another one was killed.
STOP_SECONDS = 45.0


class LocalProcess(CeleryTestContainer):  # type: ignore[misc]  # pytest-celery has no types
    """A `celery -A chimera ...` process in the place of a container."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        env: Mapping[str, str],
        log: Path,
        prompt: str = STARTED,
        folder: Path = ROOT,
        *,
        measured: bool = False,
    ) -> None:
        """`measured`: which lines run there counts; a start and an end then take twice the processor time."""
        self._name = name
        self._command = [sys.executable, "-m", "celery", "-A", "chimera", *arguments]
        self._env = {**(os.environ if measured else environment()), **env}
        self._log = log
        self._prompt = prompt
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        try:
            self.ready()
        except BaseException:
            self.teardown()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.teardown()

    @property
    def id(self) -> str:
        return str(self.pid)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def name(self) -> str:
        return self._name

    @property
    def status(self) -> str:
        return "running" if self._process is not None and self._process.poll() is None else "exited"

    @property
    def client(self) -> Any:
        return self

    @property
    def celeryconfig(self) -> dict[str, Any]:
        return {"url": self._env["CHIMERA_REDIS_URL"], "host_url": self._env["CHIMERA_REDIS_URL"]}

    @property
    def ready_prompt(self) -> str:
        return self._prompt

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, env=self._env, stdout=log, stderr=log, start_new_session=True
            )

    def ready(self) -> bool:
        """Waits for the prompt in the log."""
        self.says(self._prompt)
        return True

    def says(self, text: str) -> None:
        """Waits for a text in the log: an event, looked for often."""
        end = time.monotonic() + READY_SECONDS
        while text not in self.logs():
            if self.status != "running" or time.monotonic() > end:
                raise RuntimeError(f"{self._name} did not say {text!r}:\n{self.logs()[-3000:]}")
            time.sleep(0.02)

    def logs(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def reload(self) -> None:
        pass

    def kill(self, signal: str | int = Signals.SIGKILL) -> None:
        assert self._process is not None
        os.kill(self.pid, Signals[signal] if isinstance(signal, str) else signal)
        self._process.wait(STOP_SECONDS)

    def restart(self, timeout: int = 10) -> None:
        self.teardown()
        self.start()
        self.ready()

    def exec_run(self, command: str) -> tuple[int, bytes]:
        done = subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, env=self._env, capture_output=True, check=False)
        return done.returncode, done.stdout

    def teardown(self) -> None:
        if self.status == "running":
            self.kill(Signals.SIGTERM)
