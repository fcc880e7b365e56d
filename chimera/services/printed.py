"""What skills print: lines of the log, with the ids of their task, and no more of them than one call may have."""

import logging
import sys
import threading
from contextvars import ContextVar
from typing import Any, TextIO

# Not structlog's: user code may have that print its lines, and a line is printed here already.
log = logging.getLogger(__name__)
# The fields of these lines, which chimera/logs.py lets through.
FIELDS = ("stream", "line", "dropped_characters", "most_characters")

# Of one call, in characters of all its lines together; what it prints beyond is counted and not kept.
MOST_CHARACTERS = 64 * 1024
# A longer line becomes several.
LONGEST_LINE = 4096


class Printed:
    """What one call prints, line by line; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._room = MOST_CHARACTERS
        self._dropped = 0
        # By stream: the beginning of a line whose end has not come yet.
        self._begun: dict[str, str] = {}

    def write(self, stream: str, text: str) -> None:
        """Takes what is written to `stdout` or `stderr`; logs the lines that are whole."""
        with self._lock:
            *lines, rest = (self._begun.pop(stream, "") + text).split("\n")
            for line in lines:
                self._line(stream, line)
            while len(rest) > LONGEST_LINE:
                self._line(stream, rest[:LONGEST_LINE])
                rest = rest[LONGEST_LINE:]
            self._begun[stream] = rest

    def admits(self, characters: int) -> bool:
        """Whether the call may log this number of characters more by itself; counts them where it may not."""
        with self._lock:
            fits = characters <= self._room
            self._room -= characters if fits else self._room
            self._dropped += 0 if fits else characters
        return fits

    def close(self) -> None:
        """Logs lines that have no end, and how much was too much."""
        if not (self._begun or self._dropped):
            return
        with self._lock:
            for stream, rest in self._begun.items():
                if rest:
                    self._line(stream, rest)
            self._begun.clear()
            if self._dropped:
                _say("skill_printed_too_much", dropped_characters=self._dropped, most_characters=MOST_CHARACTERS)
                self._dropped = 0

    def _line(self, stream: str, line: str) -> None:
        for start in range(0, max(1, len(line)), LONGEST_LINE):
            part = line[start : start + LONGEST_LINE]
            if self.admits(len(part) + 1):
                _say("skill_printed", stream=stream, line=part.rstrip("\r"))


_current: ContextVar[Printed | None] = ContextVar("chimera_printed", default=None)


def begin_printing() -> Printed:
    """From now on, in this context and in what inherits it, what is printed becomes lines of the log."""
    for name in ("stdout", "stderr"):
        if not isinstance(own := getattr(sys, name), Stream):
            setattr(sys, name, Stream(name, own))
    here = Printed()
    _current.set(here)
    return here


def admits(characters: int) -> bool:
    """Whether the call that is under way here, if there is one, may log this number of characters more by itself."""
    here = _current.get()
    return here is None or here.admits(characters)


def _say(event: str, **fields: Any) -> None:
    # What the logging itself writes does not count as printed by a call.
    token = _current.set(None)
    try:
        log.info(event, extra=fields)
    finally:
        _current.reset(token)


class Stream:
    """Standard output or error: of a call that is under way where it is written to, else the process's own."""

    def __init__(self, name: str, own: TextIO) -> None:
        self._name = name
        self._own = own

    def write(self, text: str) -> int:
        """As a text file's."""
        here = _current.get()
        if here is None:
            return self._own.write(text)
        here.write(self._name, text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """As a text file's."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)
