"""Cells that no spreadsheet computes, and the texts that they were made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera.models.text.csv_cells import cell_text, safe_cell

TEXTS = st.text(st.sampled_from("'=+-@\t\r\n\uff1d\uff0b\uff0d\uff20a0.e")) | st.text()


@given(TEXTS)
def test_a_cell_is_no_formula_and_is_the_text_again(text: str) -> None:
    cell = safe_cell(text)
    assert cell_text(cell) == text
    if cell[:1] in set("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"):
        float(cell)


@pytest.mark.parametrize("text", ["1", "-1", "+4915112345678", "-1.5e-3", "1e3", "", "ann", "'tis", '{"a":1}'])
def test_numbers_and_plain_text_stay(text: str) -> None:
    assert safe_cell(text) == text
