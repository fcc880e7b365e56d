"""Texts that keep a gate busy: by name, what makes one of so many characters."""

import random
import sys
from collections.abc import Callable

DIGITS = "0123456789"


def _many(piece: str) -> Callable[[int], str]:
    return lambda size: (piece * (size // len(piece) + 1))[:size]


def _drawn(alphabet: str) -> Callable[[int], str]:
    return lambda size: "".join(random.Random(7).choices(alphabet, k=size))


def _lines(alphabet: str, length: int, before: str = "") -> Callable[[int], str]:
    def made(size: int) -> str:
        text = _drawn(alphabet)(size)
        return "\n".join(before + text[start : start + length] for start in range(0, size, length + len(before) + 1))

    return made


_PIECES = (
    "4111-", "4111 ", "4111_", "4111\n", "4,", "4", "4 ", "4.", "4---", "4 1 1 1 ", "4111 1111 1111 1112 ",
    "555-", "212-736-500 ", "(212) ", "+49 1 ", "+1(", "00 ", "009", "GB82", "GB82WEST1234569876543 ",
    "DE89 3704 ", "aa00", "a@", "a@b.", "http://a@b.co ", "123-45-", "000-12-3456 ", "ssn 12 ", "eyJ",
    "token=", "token=aaaaaaaaaaaaaaaaaaaa ", "-----BEGIN ", "p a s s w o r ", "pass-", "%34%31", "%34a",
    "&#52;", "&nbsp;", "NDExMTE", "c2Vj", "3431", "aBcDeF", "\uff14\uff11\uff11\uff11-", "p\u0336a\u0336",
    "p😀a😀s😀", "क्",
)  # fmt: skip
HOSTILE: dict[str, Callable[[int], str]] = {
    **{repr(piece): _many(piece) for piece in _PIECES},
    "digits": _drawn(DIGITS),
    "digits and signs": _drawn(DIGITS + " -.()/"),
    "hexadecimal digits": _drawn(DIGITS + "abcdef"),
    "letters and digits": _drawn(DIGITS + "abcdefghijABCDEFGHIJ+/"),
    "16 digits a line": _lines(DIGITS, 15, "4"),
    "telephone numbers": _lines(DIGITS, 12, "+"),
    "private use": lambda size: "".join(map(chr, range(0xF0000, 0xF0000 + min(size // 4, 65_000)))) + " password",
}


def calls(function: Callable[[], object]) -> int:
    """How many functions were called, of Python and of C: the work that does not depend on the machine."""
    count = 0

    def counted(_frame: object, event: str, _what: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count
