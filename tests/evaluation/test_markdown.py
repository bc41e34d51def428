from __future__ import annotations

import math

from dusnet.evaluation.markdown import notes, number, table


def test_a_table_aligns_words_left_and_numbers_right_and_escapes_what_would_end_a_cell() -> None:
    made = table("lr", ["cl|ass", "area"], [["a|b", "0.9"], ["two\nlines  here", ""]])
    assert made == "| cl\\|ass | area |\n|---|---:|\n| a\\|b | 0.9 |\n| two lines here |  |\n"
    assert table("l", ["class"], []) == "| class |\n|---|\n"


def test_cells_show_mean_and_spread_as_far_as_they_are_defined() -> None:
    assert number(0.12345, 3) == "0.123"
    assert number(0.5, 2, 0.25) == "0.50 ± 0.25"
    assert number(0.5, 2, math.nan) == "0.50"
    assert number(math.nan, 2, 0.1) == "–"


def test_notes_are_one_line_each() -> None:
    assert notes(["first.", "second."]) == "* first.\n* second.\n"
    assert notes([]) == ""
