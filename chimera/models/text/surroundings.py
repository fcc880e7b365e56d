"""What stands before and behind a number: whether it is a number of its own there."""

import re

# What stands between the groups of a number in forms, lists and file names, as a class of an expression. A `~` is what
# folding makes of other signs.
SEPARATORS = r" .\-_/,\t\r\n|~*"

_ALONE = re.compile(rb"[0-9A-Za-z]")
# A word that a number is written onto (Visa4111, IBANGB82): letters only, and two at least, so that it is no code.
_WORD_BEFORE = re.compile(rb"(?:^|[^0-9A-Za-z])[A-Za-z]{2,20}\Z")
_WORD_BEHIND = re.compile(rb"[A-Za-z]{2,20}(?![0-9A-Za-z])")
_LONGEST_WORD = 21


def ends_before(data: bytes, start: int) -> bool:
    """Whether no letter or digit stands before a place, or a whole word does."""
    if _ALONE.match(data, max(0, start - 1), start) is None:
        return True
    first = max(0, start - _LONGEST_WORD)
    # What is cut off within a longer word is none.
    return _WORD_BEFORE.search(data[first:start] if first == 0 else b"0" + data[first + 1 : start]) is not None


def begins_behind(data: bytes, end: int) -> bool:
    """Whether no letter or digit stands behind a place, or a whole word does."""
    return _ALONE.match(data, end, end + 1) is None or _WORD_BEHIND.match(data, end) is not None


# Names of numbers that are none of those that are looked for, right before them.
_OTHERWISE = re.compile(
    rb"(?i)(?:\b(?:orders?|order (?:no|number|id)|invoice|inv|case|ticket|ref|reference|meter|version|parcel|tracking"
    rb"|serial|article|ean|gtin|upc|isbn|issn|imei|isin|vat|iban|konto|rechnung|bestellung|auftrag|facture|commande|pedido|ordine)"
    rb"|nummer|_id)[^0-9A-Za-z\n]{0,3}\Z"
)
_LOOKED_AT = 24  # bytes


def is_called_otherwise(data: bytes, start: int) -> bool:
    """Whether the word before a place says that a number of another kind comes."""
    return _OTHERWISE.search(data[max(0, start - _LOOKED_AT) : start]) is not None
