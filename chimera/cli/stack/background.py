"""A stack in a process of its own: how it is started, and how it says when it is ready or why it is not.

The child writes reports to its standard output, one JSON object a line, until it is ready; from then on both
its streams go to a log. What it prints besides until then is kept for the message, should it fail.
"""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self, TextIO

import chimera.errors
from chimera.cli.output import say, say_step
from chimera.cli.stack.process import Child, StackProcess, StopAsked
from chimera.cli.stack.project import Project
from chimera.errors import ChimeraError, EmbeddedServerError

# The child's own end takes as long as the tasks that run, 60 s at most, and its servers'.
STOPPED_WITHIN_SECONDS = 95.0


class BackgroundStack:
    """A stack in a child process. As a context manager it ends on an exception, and on exit if it is attached."""

    def __init__(self, project: Project, tenants: list[str], *, detached: bool) -> None:
        """Starts the child process; it takes seconds until the stack is ready.

        Args:
            project: what is run.
            tenants: are added if they are not there.
            detached: whether it goes on when this process ends.
        """
        self._detached = detached
        child = Child.DETACHED if detached else Child.ATTACHED
        words: list[str | Path] = ["--child", child, "--procfile", project.procfile]
        words += [part for tenant in tenants for part in ("--tenant", tenant)]
        self._process = subprocess.Popen(
            # -P: a file in the working folder that is called like a module of the library is not taken for it.
            [sys.executable, "-P", "-m", "chimera.cli.main", "up", *words],
            # An attached child reads the pipe's end when this process is gone, however that ended.
            stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # neither a Ctrl-C nor the end of the terminal is for the child
            cwd=project.folder,
        )
        # Where things are: pid, data_dir, env_file, log_dir, processes, tenants, flower_url.
        self.ready: dict[str, Any] = {}

    def await_ready(self) -> None:
        """Returns when everything answers; until then its steps are shown on standard error.

        Raises:
            ChimeraError: what the child could not do, as the child said it.
        """
        self.ready = _until_ready(self._process)

    def check(self) -> None:
        """Sees that the stack still runs.

        Raises:
            EmbeddedServerError: it was ready and has ended; the message names its log.
        """
        if self.ready and (code := self._process.poll()) is not None:
            raise EmbeddedServerError(f"the stack ended with code {code}; see {_log(Path(self.ready['log_dir']))}")

    def stop(self) -> None:
        """Ends the stack in order; returns when it has ended."""
        if self._process.poll() is None:
            began = monotonic()
            self._process.terminate()
            try:
                self._process.wait(STOPPED_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()  # the kernel ends its children
                self._process.wait()
            say(f"stopped ({monotonic() - began:.1f} s)")
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._detached:
            return
        self.stop()


def run_as_child(project: Project, tenants: list[str], lifeline: TextIO | None) -> None:
    """What the child process does."""
    from chimera import logs

    logs.configure("INFO")

    def ready(facts: dict[str, Any]) -> None:
        _report({"ready": facts})
        _log_to(_log(Path(facts["log_dir"])))

    stack = StackProcess(
        project,
        tenants,
        step=lambda what, seconds: _report({"step": what, "seconds": seconds}),
        ready=ready,
        waits=lambda what: _report({"waits": what}),
        lifeline=lifeline,
    )
    try:
        stack.run()
    except (StopAsked, KeyboardInterrupt):
        return
    except ChimeraError as exc:
        _report({"error": str(exc), "code": type(exc).__name__})
        raise
    except Exception as exc:
        _report({"error": f"unexpected {type(exc).__name__}: {exc}", "code": ChimeraError.__name__})
        raise


def _until_ready(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    printed: list[str] = []
    with process.stdout as reports:
        for text in reports:
            report = _parsed(text)
            if "step" in report:
                say_step(report["step"], report["seconds"])
            elif "waits" in report:
                say(report["waits"])
            elif "error" in report:
                kind = getattr(chimera.errors, report["code"], ChimeraError)
                raise kind(report["error"])
            elif "ready" in report:
                facts: dict[str, Any] = report["ready"]
                return facts
            else:
                printed.append(text)
    code = process.wait()
    raise EmbeddedServerError(f"the stack ended with code {code} before it was ready:\n{''.join(printed[-15:])}")


def _parsed(text: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        report = json.loads(text)
        if isinstance(report, dict) and report.keys() & {"step", "waits", "error", "ready"}:
            return report
    return {}


def _report(report: dict[str, Any]) -> None:
    # After the other side is gone nobody minds.
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()


def _log(log_dir: Path) -> Path:
    return log_dir / "stack.log"


def _log_to(path: Path) -> None:
    """Sends this process's output to a log, and lets go of the pipe to the process that started it."""
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
