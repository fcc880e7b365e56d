"""Text that somebody else wrote, made harmless: what is reviewed may try to fool the terminal or the reader."""

from collections.abc import Iterable, Iterator

# Letters and marks that show as nothing, although Unicode counts them as printable: fillers, joiners,
# variation selectors (but U+FE0F, which makes an emoji of a symbol) and the blank braille pattern.
_SHOW_AS_NOTHING = frozenset(
    map(
        chr,
        [
            0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0,
            *range(0xFE00, 0xFE0F),
            *range(0xE0100, 0xE01F0),
        ],
    )
)  # fmt: skip


def visible(text: str, *, lines: bool = False) -> str:
    r"""The text with everything that is not seen, or that steers a terminal, written as `<U+202E>`.

    That is control and escape characters, bidirectional overrides, zero-width characters, lone surrogates,
    private use. With `lines`, line breaks (`\n`, `\r\n`) and tabs stay.
    """
    if lines:
        text = text.replace("\r\n", "\n")
    if text.isascii() and text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(char if char in kept or _is_seen(char) else f"<U+{ord(char):04X}>" for char in text)


def one_line(text: str, width: int = 0) -> str:
    """The text in one harmless line: white space runs together, and what is beyond `width` (if any) is cut."""
    line = visible(" ".join(text.split()))
    return line if not width or len(line) <= width else line[: max(0, width - 1)] + "…"


def pieces(text: str, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """The text in order, cut at the spans: each piece, and whether it is within one. No piece is empty."""
    done = 0
    for start, end in sorted(spans):
        first, last = max(start, done), min(end, len(text))
        if first >= last:
            continue
        if done < first:
            yield text[done:first], False
        yield text[first:last], True
        done = last
    if done < len(text):
        yield text[done:], False


def excerpt(text: str, spans: Iterable[tuple[int, int]], first: int, around: int, most: int) -> list[tuple[int, int]]:
    """The parts of a text to show where it is too long to be shown whole: in order, apart from each other.

    Args:
        text: the text.
        spans: what was found in it.
        first: the number of characters of the beginning.
        around: the number of characters before and after each span.
        most: of the spans the first ones, up to this number; of a span that is longer than `first`, its beginning.
    """
    if len(text) <= first + 2 * around:
        return [(0, len(text))] if text else []
    wanted = [(start - around, min(end, start + first) + around) for start, end in sorted(spans)[:most]]
    parts = [(0, first)]
    for start, end in wanted:
        low, high = max(0, start), min(len(text), end)
        if low <= parts[-1][1]:
            parts[-1] = (parts[-1][0], max(parts[-1][1], high))
        else:
            parts.append((low, high))
    return parts


def marked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The harmless text with >>marks<< around the spans."""
    return "".join(
        f">>{visible(piece, lines=True)}<<" if found else visible(piece, lines=True)
        for piece, found in pieces(text, spans)
    )


def _is_seen(char: str) -> bool:
    # Spaces other than U+0020 are not "printable" to Python, and are there to be seen.
    return (char.isprintable() or (char.isspace() and ord(char) >= 0xA0 and char not in "\u2028\u2029")) and (
        char not in _SHOW_AS_NOTHING
    )


def erased_by(who: str | None, why: str | None) -> str:
    """How it is said that an erasure closed a card: `erased by ann: asked for by the person`; nothing without a why."""
    return f"erased by {who}: {why}" if why else ""
