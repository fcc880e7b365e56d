"""Cells of a CSV file: no text that somebody chose is a formula in a spreadsheet."""

import re

# What a spreadsheet takes for a formula by its first character, also in full width; or leaves away before one.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-][0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)


def safe_cell(text: str) -> str:
    """The text as a cell: with an apostrophe before it where it begins as a formula does; numbers stay numbers."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def cell_text(cell: str) -> str:
    """The text that `safe_cell` made this of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
