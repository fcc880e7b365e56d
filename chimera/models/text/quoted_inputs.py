"""What pydantic quotes in its messages: the value that did not fit, which may be content or a secret."""

_BEGIN, _END = "input_value=", ", input_type="


def may_quote(text: str) -> bool:
    """Whether there may be such a value in a text, or in what was written as JSON."""
    return _BEGIN in text


def hide_inputs(text: str) -> str:
    """The text without those values, in one look at each line: `input_value=(hidden), input_type=str`.

    A line ends what is quoted on it, because pydantic escapes line ends; what is cut off is hidden whole.
    """
    if not may_quote(text):
        return text
    return "\n".join(map(_hidden, text.split("\n")))


def _hidden(line: str) -> str:
    before, found, rest = line.partition(_BEGIN)
    if not found:
        return line
    # The last one: a value may have this in it.
    _, ended, after = rest.rpartition(_END)
    return f"{before}{_BEGIN}(hidden){ended}{after if ended else ''}"
