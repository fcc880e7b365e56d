"""Logs: one event a line, with the ids of what is worked on; JSON where nobody reads along.

Names of events are constant and facts are fields. No message text, output or secret is ever a field, and
of an exception that a skill raised only its type and its frames are. What a skill prints or logs itself stands
there as it is, with the ids of its task.
"""

import io
import logging
import sys
from contextlib import suppress
from typing import Any, TextIO

import structlog

from chimera.models.text.quoted_inputs import hide_inputs, may_quote
from chimera.services import printed

_SHARED: list[structlog.types.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


class _LineWriter:
    """Where structlog's events end: a stream, written without the standard library's record of each, its caller and
    its copy. That is half of a line's cost (29 us, 14 without), and each decision of ten thousand is a line.
    """

    def __init__(self, stream: TextIO, name: str = "chimera") -> None:
        self._stream = stream
        self._is_ours = _is_ours(name)
        self.name = name

    def write(self, line: str) -> None:
        """Writes a line; nothing where a skill may log no more, or nobody reads it any more."""
        if not (self._is_ours or printed.admits(len(line) + 1)):
            return
        with suppress(OSError, ValueError):
            # Without a lock: one that a thread holds would stay locked in every child that is forked meanwhile.
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = write


def configure(level: str = "INFO") -> None:
    """Sets up structlog and the standard library's logging alike, to standard error."""
    stream = sys.stderr
    # Frames without their variables, which hold what no log may.
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer: list[structlog.types.Processor] = [console, _without_inputs]
    if not stream.isatty():
        renderer = [structlog.processors.format_exc_info, _json]
    structlog.configure(
        processors=[*_SHARED, *renderer],
        logger_factory=lambda *names: _LineWriter(stream, *names),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder(allow=printed.FIELDS)],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    handler.addFilter(_is_admitted)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Celery says of every message that it came and how it ended: Chimera's own events say more in less.
    for name in ("celery.worker.strategy", "celery.app.trace", "celery.beat", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # A pool child ends without writing what is left in a buffer.
    for each in (sys.stdout, sys.stderr):
        if isinstance(each, io.TextIOWrapper):
            each.reconfigure(line_buffering=True)


_RENDER = structlog.processors.JSONRenderer()


def _json(logger: object, name: str, event: structlog.types.EventDict) -> Any:
    """The event as a line, and only where the line may quote an input its values one by one."""
    line = _RENDER(logger, name, event)
    return _RENDER(logger, name, _without_inputs(logger, name, event)) if may_quote(str(line)) else line


def _without_inputs(_logger: object, _name: str, event: Any) -> Any:
    """What did not fit a type is content, and pydantic quotes it: in whatever exception, of whatever library."""
    if isinstance(event, str):
        return hide_inputs(event)
    return {name: hide_inputs(value) if isinstance(value, str) else value for name, value in event.items()}


def _is_admitted(record: logging.LogRecord) -> bool:
    """Whether a line is written: all of Chimera's own, and of what a skill logs as much as one call may."""
    return _is_ours(record.name) or printed.admits(len(record.getMessage()) + 1)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in {"chimera", "celery"}
