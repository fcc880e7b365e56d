"""`python -m chimera.hosting N`: a keeper of hosts (adapters/host), told what to do over descriptor N by a worker.

What runs here has none of the worker's credentials: not the keeper, not the zygote, which imports the project's
modules, and not the hosts, where skills, planners and their hooks run.
"""

import json
import logging
import os
import socket
import sys
import threading
import traceback
from importlib import import_module
from typing import Any

import structlog

from chimera.adapters.host.answers import (
    QUESTION,
    Broken,
    Declare,
    Declared,
    Drafted,
    Logged,
    Over,
    Plan,
    Ran,
    Rejected,
    Replan,
    ReplannedTo,
    Run,
)
from chimera.adapters.host.frames import Frames, send
from chimera.adapters.host.keeper import Keeper
from chimera.adapters.host.plan import HostPlan
from chimera.models.record import Record
from chimera.models.work.declaration import planner_declarations, skill_declarations
from chimera.models.work.draft import Draft
from chimera.models.work.hosted import HostedDeclaration
from chimera.ports.planner_runner import PlanRejected
from chimera.registration import CATALOGUE
from chimera.services import printed
from chimera.services.calls import Calls, LeftBehind, never
from chimera.services.planners_here import PlannerRunner
from chimera.services.skills_here import SkillRunner

# Drafts of one frame, and characters of their inputs.
_MOST_DRAFTS, _MOST_CHARACTERS = 500, 1 << 20
_MOST_LEFT_BEHIND = 32


def main() -> None:
    """Keeps hosts until the worker's end of the socket is closed."""
    with socket.socket(fileno=int(sys.argv[1])) as worker:
        plan = HostPlan.model_validate_json(sys.stdin.buffer.read())
        Keeper(worker, plan, lambda: _load(plan), serve).run()


def _load(plan: HostPlan) -> None:
    sys.path[:] = [plan.folder, *plan.path]
    for module in plan.modules:
        import_module(module)


def serve(worker: socket.socket, plan: HostPlan, failed: BaseException | None) -> None:
    """Answers questions until the worker's end of the stream is closed."""
    host = _Host(worker, plan, failed)
    host.tell(Over())
    frames = Frames(sys.maxsize)
    while piece := worker.recv(1 << 18):
        frames.feed(piece)
        while (frame := frames.next()) is not None:
            host.answer(QUESTION.validate_json(frame))
            host.tell(Over())


class _Host:
    """Runs what it is asked to, by the services that run it in a worker where skills are trusted."""

    def __init__(self, worker: socket.socket, plan: HostPlan, failed: BaseException | None) -> None:
        self._worker = worker
        self._plan = plan
        self._failed = failed
        self._telling = threading.Lock()
        calls = Calls(LeftBehind(_MOST_LEFT_BEHIND, lambda: os._exit(1)))
        self._skills = SkillRunner(CATALOGUE, calls, plan.max_output_bytes)
        self._log()

    def tell(self, answer: Record) -> None:
        text = answer.model_dump_json().encode()
        with self._telling:
            send(self._worker, text)

    def answer(self, question: Run | Plan | Replan | Declare) -> None:
        if self._failed is not None:
            self.tell(Broken(trace="".join(traceback.format_exception(self._failed))[-20_000:]))
        elif isinstance(question, Run):
            self._run(question)
        elif isinstance(question, Declare):
            self._declare()
        else:
            self._plans(question)

    def _run(self, question: Run) -> None:
        if question.together:
            outcomes = self._skills.run_together(question.wave, question.tasks, never)
        else:
            outcomes = iter([(0, self._skills.run(question.wave, question.tasks[0], never))])
        for place, outcome in outcomes:
            task = question.tasks[place]
            ran = Ran(
                task_id=task.task_id,
                attempt=task.attempt,
                text=outcome.text,
                usage=outcome.usage,
                failed=outcome.failed,
            )
            self.tell(ran)

    def _plans(self, question: Plan | Replan) -> None:
        planners = PlannerRunner(
            CATALOGUE,
            timeout_seconds=question.timeout_seconds,
            max_tasks=self._plan.max_tasks,
            max_input_bytes=self._plan.max_input_bytes,
        )
        try:
            if isinstance(question, Replan):
                self.tell(ReplannedTo(replanned=planners.replanned("", question.job, never)))
            else:
                self._drafted(planners.drafts("", question.job, never))
        except PlanRejected as exc:
            self.tell(Rejected(failure=exc.failure))

    def _drafted(self, drafts: list[Draft]) -> None:
        some: list[Draft] = []
        characters = 0
        for draft in drafts:
            some.append(draft)
            characters += len(draft.input) + len(draft.label or "")
            if len(some) >= _MOST_DRAFTS or characters >= _MOST_CHARACTERS:
                self.tell(Drafted(drafts=tuple(some)))
                some, characters = [], 0
        self.tell(Drafted(drafts=tuple(some)))

    def _declare(self) -> None:
        skills = CATALOGUE.skills
        said = [
            HostedDeclaration(**dict(each), is_async=skills[each.name].is_async)
            for each in skill_declarations(skills.values())
        ]
        planners = planner_declarations(CATALOGUE.planners.values())
        self.tell(Declared(skills=tuple(said), planners=tuple(planners)))

    def _log(self) -> None:
        """Has every line of the log, and what skills print, written by the worker."""
        handler = _Handler(self)
        root = logging.getLogger()
        root.handlers[:] = [handler]
        root.setLevel(logging.INFO)
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.processors.format_exc_info,
            ],
            logger_factory=lambda *names: _Logger(self, *names),
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            cache_logger_on_first_use=False,
        )

    def log(self, level: str, logger: str, event: str, fields: dict[str, Any]) -> None:
        """Tells a line; of what a skill logs by itself as much as one call may."""
        if not (logger.startswith("chimera.") or printed.admits(len(event) + 1)):
            return
        plain = json.loads(json.dumps(fields, default=str))
        known = level if level in {"debug", "info", "warning", "error", "critical"} else "error"
        self.tell(Logged.model_validate({"level": known, "logger": logger, "event": event, "fields": plain}))


class _Handler(logging.Handler):
    """For the standard library's logging."""

    def __init__(self, host: _Host) -> None:
        super().__init__()
        self._host = host

    def emit(self, record: logging.LogRecord) -> None:
        fields = {name: getattr(record, name) for name in printed.FIELDS if hasattr(record, name)}
        if record.exc_info:
            fields["exception"] = logging.Formatter().formatException(record.exc_info)
        ids = structlog.contextvars.get_contextvars()
        self._host.log(record.levelname.lower(), record.name, record.getMessage(), {**ids, **fields})


class _Logger:
    """For structlog's."""

    def __init__(self, host: _Host, name: str = "chimera.host") -> None:
        self._host = host
        self.name = name

    def write(self, event: object = "", level: str = "info", **fields: Any) -> None:
        self._host.log(level, self.name, str(event), fields)

    debug = info = warning = error = critical = exception = write


if __name__ == "__main__":
    main()
