"""`dusnet limits`, and limits of the user's own and a least coverage in `dusnet score`."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from cli_parts import block, write_ascii_ply


@pytest.fixture
def own(model, tmp_path):
    """A copy of the model that may be changed."""
    return shutil.copy(model, tmp_path / "block.safetensors")


def dents(parts):
    return parts / "test" / "dent"


def test_the_limits_of_a_model_are_shown_and_it_is_left_alone(run, own):
    before = own.read_bytes()
    shown = run("limits", own)
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert lines[0].startswith("Score limits from 3 training scans")
    assert [line.split(":")[0].strip() for line in lines[1:5]] == ["10%", "5%", "2%", "1%"]
    assert lines[5:] == ["Deepest defect: no limit", "Largest defect: no limit"]
    assert own.read_bytes() == before


def test_limits_are_kept_changed_one_by_one_and_cleared(run, own):
    assert run("limits", own, "--limit", 0.5).out.splitlines()[-2:] == [
        "Deepest defect: 0.5 mm",
        "Largest defect: no limit",
    ]
    assert run("limits", own, "--max-area", 30).out.splitlines()[-2:] == [
        "Deepest defect: 0.5 mm",
        "Largest defect: 30 mm²",
    ]
    assert run("limits", own, "--clear", "--limit", 2).out.splitlines()[-2:] == [
        "Deepest defect: 2 mm",
        "Largest defect: no limit",
    ]
    assert run("limits", own, "--clear").out.splitlines()[-2:] == [
        "Deepest defect: no limit",
        "Largest defect: no limit",
    ]


def test_another_file_is_written_when_asked(run, own, tmp_path):
    before, target = own.read_bytes(), tmp_path / "strict.safetensors"
    assert run("limits", own, "--limit", 0.5, "--out", target).code == 0
    assert own.read_bytes() == before
    assert "Deepest defect: 0.5 mm" in run("limits", target).out
    refused = run("limits", own, "--out", target)
    assert refused.code == 2
    assert "give --limit" in refused.sentence


def test_the_models_limits_decide_and_those_of_a_call_go_before(run, own, parts, tmp_path):
    """The dents are 8 mm deep; a threshold that no score reaches leaves them to the limits of the user."""
    lenient = ("--threshold", 1000, "--quiet")
    assert run("score", own, dents(parts), "--out", tmp_path / "a", "--gate", *lenient).code == 0
    run("limits", own, "--limit", 2)
    assert run("score", own, dents(parts), "--out", tmp_path / "b", "--gate", *lenient).code == 1
    record = json.loads((tmp_path / "b" / "dent0.json").read_text())
    assert [reason["code"] for reason in record["verdict"]["reasons"]] == ["deviation_above_limit"]
    assert record["own_limits"] == {"deviation": 2.0, "area": None}
    assert record["region_count"] >= 1
    assert record["is_anomalous"] is False
    assert run("score", own, dents(parts), "--out", tmp_path / "c", "--gate", "--limit", 20, *lenient).code == 0


def test_the_page_shows_the_limits_and_that_one_was_passed(run, own, parts, tmp_path):
    out = tmp_path / "out"
    limits = ("--limit", 2, "--max-area", 5000)
    run("score", own, dents(parts) / "dent0.ply", "--out", out, "--threshold", 1000, "--quiet", "--report", *limits)
    page = (out / "dent0.report.html").read_text()
    for name, words in (("Limit of the deepest defect", "2 mm"), ("Limit of the largest area", "5000 mm²")):
        assert re.search(rf"{name}</t[dh]>\s*<td>{words}</td>|{name}</dt>\s*<dd>{words}</dd>", page), name
    assert "exceeds the limit of 2 mm." in page


def test_the_limit_is_in_the_unit_of_the_scan(run, own, parts, tmp_path):
    """The scan's numbers read as metres are 8000 mm deep; the model's limit of 20 m is none for them, one of 2 m is."""
    run("limits", own, "--limit", 20)
    words = ("--threshold", 1000, "--quiet", "--gate")
    assert run("score", own, dents(parts), "--out", tmp_path / "a", *words).code == 0
    scaled = run("score", own, dents(parts), "--out", tmp_path / "b", "--unit", "cm", *words)
    record = json.loads((tmp_path / "b" / "dent0.json").read_text())
    assert record["own_limits"]["deviation"] == pytest.approx(2.0), "20 mm are 2 cm"
    assert scaled.code == 2, "a part ten times as large is not the part"


@pytest.mark.parametrize("words", [("--limit", 0), ("--limit", -1), ("--max-area", "nan")])
def test_what_is_no_limit_is_refused(run, own, parts, tmp_path, words):
    for command in (("limits", own), ("score", own, dents(parts), "--out", tmp_path / "out")):
        refused = run(*command, *words)
        assert refused.code == 2
        assert "is no limit; give a positive number" in refused.sentence
    assert not (tmp_path / "out").exists()


def test_half_a_part_is_judged_where_the_user_asks_for_no_more(run, own, tmp_path):
    """The half with the step is missing, and looks as the rest does: without the option that is a break."""
    points = block(np.random.default_rng(8), 4000)
    scan = write_ascii_ply(tmp_path / "half.ply", points[points[:, 0] < 36])
    words = (own, scan, "--threshold", 1000, "--quiet", "--gate", "--out", tmp_path / "out")
    assert run("score", *words).code == 2
    assert record_of(tmp_path)["verdict"]["reasons"][0]["code"] == "part_not_seen"
    assert run("score", *words, "--min-coverage", 0.9).code == 2
    assert run("score", *words, "--min-coverage", 0.3).code == 0
    assert any("is not in the scan, and nothing is said" in note for note in record_of(tmp_path)["warnings"])


def record_of(folder):
    return json.loads((folder / "out" / "half.json").read_text())


@pytest.mark.parametrize("share", [-0.1, 1.1, "nan"])
def test_what_is_no_share_is_refused(run, own, parts, tmp_path, share):
    refused = run("score", own, dents(parts), "--out", tmp_path / "out", "--min-coverage", share)
    assert refused.code == 2
    assert "is no share of the part" in refused.sentence
    assert not (tmp_path / "out").exists()
