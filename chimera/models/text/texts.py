"""The texts of JSON-compatible values."""

import re
from collections.abc import Iterator

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z_-]{0,63}")
# No number of more digits is looked at: none that any rule is about is longer.
_LARGEST = 10**40


def texts(value: object, path: str = "") -> Iterator[tuple[str, str, bool]]:
    """Every text in JSON-compatible values, with its path (`output.reply`, `evidence.0`), and whether it is a key.

    Whole numbers are texts, too. A key that is no plain name stands in a path by its number (`output.#3`): a path is
    shown where texts are not.
    """
    left: list[tuple[str, object]] = [(path, value)]
    while left:
        path, item = left.pop()
        if isinstance(item, str):
            yield path, item, False
        elif isinstance(item, dict):
            for number, (key, below) in reversed([*enumerate(item.items())]):
                name = key if isinstance(key, str) and _PLAIN_NAME.fullmatch(key) else f"#{number}"
                left.append((_below(path, name), below))
            yield from ((path, str(key), True) for key in item)
        elif isinstance(item, list | tuple):
            left += [(_below(path, str(number)), item[number]) for number in range(len(item) - 1, -1, -1)]
        elif (digits := _digits(item)) is not None:
            yield path, digits, False


def strings(value: object, into: list[str]) -> None:
    """Adds the same texts, first to last and without paths; the keys behind all others."""
    keys: list[str] = []
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            into.append(item)
        elif isinstance(item, dict):
            keys.extend(map(str, item))
            left.extend(reversed(item.values()))
        elif isinstance(item, list | tuple):
            left.extend(reversed(item))
        elif (digits := _digits(item)) is not None:
            into.append(digits)
    into += keys


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _digits(item: object) -> str | None:
    """A whole number as a text; a number like 4.111111111111111e15 is whole too."""
    if isinstance(item, float) and item.is_integer():
        item = int(item)
    if isinstance(item, int) and not isinstance(item, bool) and -_LARGEST < item < _LARGEST:
        return str(item)
    return None
