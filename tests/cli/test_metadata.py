"""`--part-number`, `--comment` and `--metadata`: what the user says of the part, in every result."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from cli_parts import block, everything_in, write_ascii_ply
from test_cad_verbs import solid_block

from dusnet.cli._metadata import metadata_of
from dusnet.errors import BadConfig, BadInput
from dusnet.model import load
from dusnet.result import Result
from dusnet.summary import read_summary

HOSTILE = '=HYPERLINK("http://x")<script>alert(1)</script>\x1b[31m'


def test_options_give_text_as_it_is_written():
    assert metadata_of(None, None, None) == {}
    found = metadata_of("0715", " late ", ["station=4", "note = a=b", "empty="])
    assert found == {"part_number": "0715", "comment": " late ", "station": "4", "note": " a=b", "empty": ""}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("notes.yaml", "part_number: '0715'\nstation: 4\nwarm: true\nload: 2.5\n"),
        ("notes.json", '{\n\t"part_number": "0715",\n\t"station": 4,\n\t"warm": true,\n\t"load": 2.5\n}\n'),
    ],
)
def test_a_file_gives_names_and_values(tmp_path, name, words):
    path = tmp_path / name
    path.write_text(words)
    assert metadata_of(None, "c", [str(path), "shift=2"]) == {
        "part_number": "0715",
        "comment": "c",
        "station": 4,
        "warm": True,
        "load": 2.5,
        "shift": "2",
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("station", "neither key=value nor a YAML or JSON file"),
        ("x" * 5000, "neither key=value nor a YAML or JSON file"),
        ("=4", "no name before the ="),
        ("part_number=2", "is given twice"),
        ("long=" + "x" * 9000, "longer than 8192 characters"),
        ({"a.yaml": "part_number: 0715"}, "part_number in .* is no text; put it in quotes"),
        ({"a.yaml": "comment: [1, 2]"}, "comment in .* is no text; put it in quotes"),
        ({"a.yaml": "deep: {a: 1}"}, "neither text nor a number"),
        ({"a.yaml": "none: null"}, "neither text nor a number"),
        ({"a.yaml": "much: .inf"}, "neither text nor a number"),
        ({"a.yaml": "- 1"}, "must hold names and values"),
        ({"a.json": "{'a': 1}"}, "is no valid JSON"),
        ({"a.json": b"\xff\xfe"}, "is no valid JSON"),
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path, given, words):
    number = "1" if given == "part_number=2" else None
    if isinstance(given, dict):
        ((name, content),) = given.items()
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        given = str(tmp_path / name)
    with pytest.raises(BadConfig, match=words):
        metadata_of(number, None, [given])


def test_a_folder_is_no_file_of_names(tmp_path):
    with pytest.raises((BadConfig, BadInput), match="cannot be read"):
        metadata_of(None, None, [str(tmp_path)])


def test_results_pages_and_the_summary_keep_what_was_said(run, model, tmp_path):
    scan = write_ascii_ply(tmp_path / "one.ply", block(np.random.default_rng(8)))
    out = tmp_path / "out"
    said = ("--part-number", HOSTILE, "--comment", 'a,\n"b"', "--metadata", "station=4")
    done = run("score", model, scan, "--out", out, "--report", *said)
    assert done.code == 0
    assert "\x1b" not in done.out + done.err
    kept = {"part_number": HOSTILE, "comment": 'a,\n"b"', "station": "4"}
    assert json.loads((out / "one.json").read_text())["metadata"] == kept
    assert Result.read(out / "one.json").metadata == kept
    (row,) = read_summary(out / "summary.csv")
    assert (row["part_number"], row["comment"]) == (HOSTILE, 'a,\n"b"')
    with (out / "summary.csv").open(newline="") as file:
        (raw,) = csv.DictReader(file)
    assert raw["part_number"] == f"'{HOSTILE}", "a spreadsheet must not compute it"
    page = (out / "one.report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    (head,) = re.findall(r"<header>(.*?)</header>", page, re.DOTALL)
    assert "part number =HYPERLINK(&quot;http://x&quot;)&lt;script&gt;" in head
    assert "a,\n&quot;b&quot;" in head
    assert "<dt>station</dt><dd>4</dd>" in page
    assert "<dt>Part number</dt>" in page


def test_a_comparison_keeps_them_too_and_an_error_writes_nothing(run, tmp_path):
    scan = write_ascii_ply(tmp_path / "one.ply", block(np.random.default_rng(3), 4_000))
    cad = solid_block(tmp_path / "block.obj")
    refused = run("compare", scan, "--cad", cad, "--out", tmp_path / "none", "--metadata", "station")
    assert (refused.code, len(refused.err.strip().splitlines())) == (2, 1)
    assert not (tmp_path / "none").exists()
    assert run("compare", scan, "--cad", cad, "--out", tmp_path / "o", "--part-number", "7-B", "--quiet").code == 0
    (row,) = read_summary(tmp_path / "o" / "summary.csv")
    assert (row["part_number"], row["comment"]) == ("7-B", "")
    assert "one.json" in everything_in(tmp_path / "o")


def test_from_python(model):
    result = load(model).score(block(np.random.default_rng(8)), metadata={"part_number": "7", "run": np.int64(3)})
    assert result.metadata == {"part_number": "7", "run": 3}
    assert result.row()["part_number"] == "7"
    assert load(model).score(block(np.random.default_rng(8))).metadata == {}
