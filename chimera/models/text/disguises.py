"""Texts in disguise: encoded ones decoded, and words that are written onto each other taken apart.

Each becomes a view of its own, whose places are told as places in the text that it was made from.
"""

import base64
import binascii
import html
import re
from bisect import bisect_right
from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import Callable, Iterator

from chimera.models.text.allowance import Looks
from chimera.models.text.engine import standing
from chimera.models.text.folding import View, fold

# What is decoded may be encoded text again, so often.
DEPTH = 2

_PERCENT = r"(?:%[0-9A-Fa-f]{2})+"
_ENTITY = r"(?:&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,12});)+"
_ESCAPE = r"(?:\\u00[2-7][0-9A-Fa-f]|\\x[2-7][0-9A-Fa-f])+"
# Quoted-printable: what is encoded stands alone rarely; a line that is cut ends with `=`.
_QUOTED = r"(?:=[0-9A-F]{2}){3,}|=\r?\n"
# Four characters of base64 that are three of ASCII, as few words have them.
_QUAD = r"[I-Za-fC][C-HS-Xi-nyz0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_\-]"
_BASE64 = rf"(?:{_QUAD}){{2}}(?:{_QUAD}|[A-Za-z0-9+/_\-]{{2}}(?:==|[A-Za-z0-9+/_\-]=))"
# Eight characters of ASCII and more, also with signs between them: 34:31, 34 31.
_HEX = r"(?:[2-7][0-9A-Fa-f]){8,}|[2-7][0-9A-Fa-f](?:[ :\-][2-7][0-9A-Fa-f]){7,}"
# Signs are decoded by themselves: a number beside them may look like hexadecimal digits, which then stand for others.
_STEPS = ("|".join((_PERCENT, _ENTITY, _ESCAPE, _QUOTED)), f"{_HEX}|{_BASE64}")
# A word that begins with a capital within another: secretKey, APIKey.
_HUMP = r"[a-z][A-Z]|[A-Z]{2}[a-z]"
ENCODED_SIGN = "|".join((_PERCENT[:-1], _ENTITY[:-1], _ESCAPE[:-1], _QUOTED, _HEX.replace("{8,}", "{8}"), _BASE64))
HUMP_SIGN = _HUMP

# What a piece that is decoded takes, in looks.
_WEIGHT = 1.0
# As many bytes of entities in a row are one look more.
_BYTES_OF_ENTITIES = 16
# A token is decoded in steps of so many characters, so that one which soon turns out to be none costs little.
_FIRST_STEP, _STEP = 64, 4096
_CHUNKS = {
    size: re.compile(rb"(?:[A-Za-z0-9+/_\-](?:\r?\n(?=[A-Za-z0-9+/_\-]))?){1,%d}" % size)
    for size in (_FIRST_STEP, _STEP)
}
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_TEXT = re.compile(r"[^\x00-\x08\x0e-\x1f\x7f\ufffd]*")
_IS_HEX = re.compile(rb"[2-7][0-9A-Fa-f](?:[ :\-]?[2-7][0-9A-Fa-f]){7}")
_LEAST = 8  # bytes of a text in base64 or hexadecimal digits


class Decoded:
    """A view of which pieces stand for other pieces of the one that it was made from."""

    def __init__(self, base: View, pieces: Iterator[tuple[int, int, bytes]]) -> None:
        self._base = base
        data, done = bytearray(), 0
        # By piece, where it begins here, and there; what lies between pieces is the same in both.
        self._here: list[int] = []
        self._there: list[tuple[int, int, int]] = []
        for start, end, piece in pieces:
            data += base.data[done:start]
            self._here.append(len(data))
            self._there.append((len(piece), start, end))
            data += piece
            done = end
        data += base.data[done:]
        self.data = bytes(data)
        self.changed = bool(self._here)

    def place(self, start: int, end: int) -> tuple[int, int]:
        """See `View`; what a part of a piece came from is told in proportion."""
        first, last = self._before(start)[0], self._before(end - 1)[1]
        return self._base.place(first, max(first + 1, last))

    def _before(self, place: int) -> tuple[int, int]:
        """Where the byte at a place came from."""
        number = bisect_right(self._here, place) - 1
        if number < 0:
            return place, place + 1
        size, start, end = self._there[number]
        within = place - self._here[number]
        if within >= size:
            return end + within - size, end + within - size + 1
        return start + within * (end - start) // size, start - (-(within + 1) * (end - start) // size)


def decoded(text: View, looks: Looks) -> Iterator[Decoded]:
    """What a text becomes when what is encoded in it is decoded, once and twice; nothing where nothing is."""
    for step in _STEPS * DEPTH:
        view = Decoded(text, _pieces(text.data, step, looks))
        if view.changed:
            looks.allowance.read(len(view.data))
            yield view
            text = view


def apart(text: View, looks: Looks) -> Decoded:
    """What a text becomes when there is a space before each capital that begins a word within another."""
    starts = (match.span()[0] for match in looks.each(standing(_HUMP).finditer(text.data), _WEIGHT))
    return Decoded(text, ((start, start + 1, text.data[start : start + 1] + b" ") for start in starts))


def _pieces(data: bytes, step: str, looks: Looks) -> Iterator[tuple[int, int, bytes]]:
    done = 0
    for match in looks.each(standing(step).finditer(data), _WEIGHT):
        start, end = match.span()
        if start < done:
            continue
        decode = _BY_SIGN.get(data[start : start + 1]) or (_hex if _IS_HEX.match(data, start, end) else _base64)
        if decode is _entity:
            looks.look((end - start) / _BYTES_OF_ENTITIES)
        piece = decode(data, start, end)
        if piece is None:
            continue
        found, end = piece
        # What is decoded from a token is a word of its own, and does not go on with what stands beside it.
        if data[start] in _ESCAPES:
            yield start, end, fold(found).encode()
        else:
            yield start, start, b" "
            yield start, end, fold(found).encode()
            yield end, end, b" "
        done = end


def _percent(data: bytes, start: int, end: int) -> tuple[str, int]:
    return bytes.fromhex(data[start:end].replace(b"%", b"").decode()).decode(errors="replace"), end


def _entity(data: bytes, start: int, end: int) -> tuple[str, int]:
    return html.unescape(data[start:end].decode()).encode(errors="replace").decode(), end


def _escape(data: bytes, start: int, end: int) -> tuple[str, int]:
    return bytes.fromhex(data[start:end].replace(rb"\u00", b"").replace(rb"\x", b"").decode()).decode("latin-1"), end


def _quoted(data: bytes, start: int, end: int) -> tuple[str, int] | None:
    return _shown(binascii.a2b_qp(data[start:end]), end)


def _base64(data: bytes, start: int, _end: int) -> tuple[str, int] | None:
    """The text that a token of base64 begins with, in lines as well, and where that ends."""
    parts: list[str] = []
    place, size = start, _FIRST_STEP
    utf8 = getincrementaldecoder("utf-8")()
    while chunk := _CHUNKS[size].match(data, place):
        characters = chunk.group().translate(_URL_SAFE, b"\r\n")
        characters = characters[: len(characters) - (len(characters) % 4 == 1)]
        found = base64.b64decode(characters + b"=" * (-len(characters) % 4))
        text = _beginning(found, utf8)
        parts.append(text)
        if text != found.decode(errors="replace"):
            # What follows is something else.
            place = _behind(data, place, len(text.encode()) // 3 * 4)
            break
        place, size = chunk.end(), _STEP
    whole = "".join(parts)
    return (whole, place) if len(whole) >= _LEAST else None


def _beginning(found: bytes, utf8: IncrementalDecoder) -> str:
    """What of decoded bytes is text, from the first on."""
    try:
        text = utf8.decode(found)
    except UnicodeDecodeError as exc:
        text = found[: exc.start].decode(errors="ignore")
    shown = _TEXT.match(text)
    return shown.group() if shown else ""


def _behind(data: bytes, place: int, count: int) -> int:
    """The place behind so many characters of base64, ends of lines apart."""
    while count > 0:
        count -= data[place] not in b"\r\n"
        place += 1
    return place


def _hex(data: bytes, start: int, end: int) -> tuple[str, int] | None:
    digits = data[start:end].translate(None, b" :-")
    return _shown(bytes.fromhex(digits[: len(digits) // 2 * 2].decode()), end)


def _shown(found: bytes, end: int) -> tuple[str, int] | None:
    """A decoded text; None where it is none."""
    try:
        text = found.decode()
    except UnicodeDecodeError:
        return None
    return (text, end) if _TEXT.fullmatch(text) else None


_BY_SIGN: dict[bytes, Callable[[bytes, int, int], tuple[str, int] | None]] = {
    b"%": _percent, b"&": _entity, b"\\": _escape, b"=": _quoted,
}  # fmt: skip
_ESCAPES = b"%&\\="
