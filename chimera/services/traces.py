"""Where an exception came from, without what it says: messages, and values that stand in them, may be content."""

import traceback
from collections.abc import Iterator
from typing import Any

# Of a long or recursive trace the end, which is where it was raised.
_MOST_FRAMES = 30
_MOST_CAUSES = 5


def trace(exc: BaseException) -> list[dict[str, Any]]:
    """Types and frames of an exception and of those that led to it, the one that was raised last first.

    `[{"type": "KeyError", "frames": ["/srv/skills.py:12 classify", ...]}, ...]`: the outermost frame first, as in
    Python's own tracebacks. Chimera's own frames are left out, and before the first frame of user code also
    those of what calls it for Chimera (asyncio, pydantic).
    """
    return [{"type": _name(each), "frames": _frames(each)} for each in _led_to(exc)]


def _led_to(exc: BaseException) -> Iterator[BaseException]:
    waiting, seen = [exc], set[int]()
    while waiting and len(seen) < _MOST_CAUSES:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
        before = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
        if before is not None:
            waiting.append(before)


def _name(exc: BaseException) -> str:
    kind = type(exc)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _frames(exc: BaseException) -> list[str]:
    # Without the text of the lines: to read it is to read files.
    frames = [
        (frame.f_code.co_filename, line, frame.f_code.co_qualname)
        for frame, line in traceback.walk_tb(exc.__traceback__)
    ]
    frames = [frame for frame in frames if not _is_chimera_s(frame[0])]
    first = next((place for place, (file, _, _) in enumerate(frames) if not _is_between(file)), len(frames))
    return [f"{file}:{line} {name}" for file, line, name in frames[first:][-_MOST_FRAMES:]]


_PACKAGE = __file__.rpartition("services/")[0]
# What ships in the package and is user code all the same: examples and template, and the skills of chaos runs.
_USER_CODE = (f"{_PACKAGE}_project/", f"{_PACKAGE}chaos/")


def _is_chimera_s(file: str) -> bool:
    return file.startswith(_PACKAGE) and not file.startswith(_USER_CODE)


def _is_between(file: str) -> bool:
    return "/asyncio/" in file or "/concurrent/futures/" in file or "/pydantic/" in file
