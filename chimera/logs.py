"""Logs: one event a line, with the ids of what is worked on; JSON where nobody reads along.

Names of events are constant and facts are fields. No message text, output or secret is ever a field, and
of an exception that a skill raised only its type and its frames are. What a skill prints or logs itself stands
there as it is, with the ids of its task.
"""

import io
import logging
import sys

import structlog

from chimera.services import printed

_SHARED: list[structlog.types.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(level: str = "INFO") -> None:
    """Sets up structlog and the standard library's logging alike, to standard error."""
    terminal = sys.stderr.isatty()
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder(allow=printed.FIELDS)],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([] if terminal else [structlog.processors.format_exc_info]),
                renderer,
            ],
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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)


def _is_admitted(record: logging.LogRecord) -> bool:
    """Whether a line is written: all of Chimera's own, and of what a skill logs as much as one call may."""
    return record.name.partition(".")[0] in {"chimera", "celery"} or printed.admits(len(record.getMessage()) + 1)
