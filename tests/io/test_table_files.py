"""Tables in which no text is a formula, and that give back what was written."""

from __future__ import annotations

import csv

import pytest

from dusnet.errors import BadInput
from dusnet.io.tables import read_table, write_table

NAMES = [
    "part", "=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=x", "''-x", "'quoted'", "a,b", 'a"b', "a\nb", "a\rb", "a\r\nb",
    "", "part=1", " =1", "\uff1dx", "ü 部",
]  # fmt: skip


def test_no_text_is_a_formula_and_all_come_back(tmp_path):
    path = tmp_path / "t.csv"
    write_table(path, ["name", "value"], [{"name": name, "value": -1.5, "unknown": 3} for name in NAMES])
    assert [row["name"] for row in read_table(path)] == NAMES
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == ["name", "value"]
    assert len(rows) == len(NAMES)
    assert not [name for name, _ in rows if name[:1] in tuple("=+-@\t\r\uff1d") and name]
    assert {value for _, value in rows} == {"-1.5"}  # a number stays one


def test_unknown_values_are_empty_fields(tmp_path):
    write_table(tmp_path / "t.csv", ["a", "b"], [{"a": None}])
    assert (tmp_path / "t.csv").read_text() == "a,b\n,\n"


def test_what_is_no_table_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text('a\n"b"c\n')
    with pytest.raises(BadInput, match="no table"):
        read_table(tmp_path / "t.csv")
