"""`--frame`, and places in the frame of the part on the command line."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from cli_parts import QUICK_WORDS, block, everything_in, write_ascii_ply
from test_cad_verbs import solid_block

from dusnet.model import Model, load

DENT = np.array([20.0, 20.0])
"""Where the dent of `cli_parts.block` is, in x and y."""
OWN = np.array([[0.0, -1, 0, 100], [1, 0, 0, -50], [0, 0, 1, 7], [0, 0, 0, 1]])
"""A quarter turn about z: x, y -> 100 - y, x - 50."""


def rows_of(folder):
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def places(row):
    return [np.array([float(row[f"worst_{frame}{axis}"]) for axis in "xyz"]) for frame in ("", "part_")]


def test_places_are_those_of_the_first_training_scan_or_of_a_frame_of_ones_own(run, model, tmp_path):
    shift = np.array([2.0, -1.5, 1.0])
    points = block(np.random.default_rng(8), dent=8.0)
    scan = write_ascii_ply(tmp_path / "moved.ply", points + shift)
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"matrix": OWN.tolist()}))
    assert run("score", model, scan, "--out", tmp_path / "plain", "--quiet").code == 0
    assert run("score", model, scan, "--out", tmp_path / "own", "--frame", own, "--report", "--quiet").code == 0
    (plain,), (given,) = rows_of(tmp_path / "plain"), rows_of(tmp_path / "own")
    in_scan, in_part = places(plain)
    np.testing.assert_allclose(in_part, in_scan - shift, atol=1.0)
    assert np.linalg.norm(in_part[:2] - DENT) < 4.0
    same, in_own = places(given)
    np.testing.assert_array_equal(same, in_scan)
    x, y, z = in_part
    np.testing.assert_allclose(in_own, [100.0 - y, x - 50.0, z + 7.0], atol=1e-9)
    record = json.loads((tmp_path / "own" / "moved.json").read_text())
    assert record["part_frame"]["of"] == "given"
    page = (tmp_path / "own" / "moved.report.html").read_text(encoding="utf-8")
    assert "in the frame of the part (the one that was given)" in page


def test_a_comparison_has_places_of_the_cad_model_or_of_a_frame_of_ones_own(run, tmp_path):
    """The mesh is in millimetres, the scan in centimetres."""
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    points = block(np.random.default_rng(3), 8_000, 2.0)
    points = points[~((points[:, 0] > 45) & (points[:, 2] > 14))]  # the mesh has no wall up there
    scan = write_ascii_ply(tmp_path / "dent.ply", (points @ turn.T + [5.0, 6.0, 7.0]) / 10.0)
    own = tmp_path / "own.json"
    own.write_text(json.dumps(OWN.tolist()))
    cad = solid_block(tmp_path / "block.obj")
    words = ["--cad", cad, "--unit", "cm", "--cad-unit", "mm", "--tol-plus", 0.02, "--tol-minus", 0.02, "--quiet"]
    assert run("compare", scan, *words, "--out", tmp_path / "plain").code == 0
    assert run("compare", scan, *words, "--out", tmp_path / "own", "--frame", own).code == 0
    (plain,), (given,) = rows_of(tmp_path / "plain"), rows_of(tmp_path / "own")
    _, in_part = places(plain)
    assert np.linalg.norm(in_part[:2] * 10.0 - DENT) < 1.0
    assert in_part[2] * 10.0 == pytest.approx(19.3, abs=0.5)
    x, y, z = in_part * 10.0
    np.testing.assert_allclose(places(given)[1] * 10.0, [100.0 - y, x - 50.0, z + 7.0], atol=1e-9)
    record = json.loads((tmp_path / "plain" / "dent.json").read_text())
    assert record["part_frame"]["of"] == "CAD model"


def test_a_model_of_simulated_scans_has_the_frame_of_its_mesh(run, tmp_path):
    cad, target = solid_block(tmp_path / "block.obj"), tmp_path / "m.safetensors"
    words = ["--cad-scans", 2, "--cad-variation", 0.001, "--cad-points", 3000, "--quiet", *QUICK_WORDS]
    assert run("train", "--cad", cad, "--out", target, "--detector", "nearest", *words).code == 0
    shift = np.array([1.0, 2.0, -1.0])
    points = block(np.random.default_rng(4), 4000)
    scan = write_ascii_ply(tmp_path / "s.ply", points[~((points[:, 0] > 45) & (points[:, 2] > 14))] + shift)
    assert run("score", target, scan, "--out", tmp_path / "o", "--quiet").code == 0
    frame = json.loads((tmp_path / "o" / "s.json").read_text())["part_frame"]
    assert frame["of"] == "CAD model"
    np.testing.assert_allclose(np.array(frame["matrix"])[:3, 3], -shift, atol=0.3)
    np.testing.assert_allclose(np.array(frame["matrix"])[:3, :3], np.eye(3), atol=0.01)
    older = load(target).detector
    del older.provenance["cad"]["in_place"]  # models of before lie where a fixture would put the part
    assert Model(older).score(scan).part_frame.of == "first training scan"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        ("[[1, 0, 0]", "no valid JSON"),
        ('{"of": "the fixture"}', "no key matrix"),
        (json.dumps(OWN[:3].tolist()), "no 4 x 4 matrix"),
        (json.dumps(OWN.T.tolist()), "last row"),
        (json.dumps(np.diag([25.4, 25.4, 25.4, 1.0]).tolist()), "stretches lengths by 25.4"),
        (json.dumps(np.diag([1.0, -1.0, 1.0, 1.0]).tolist()), "mirror"),
    ],
)
@pytest.mark.parametrize("verb", ["score", "compare"])
def test_a_frame_that_is_none_is_one_sentence_and_nothing_is_written(run, model, parts, tmp_path, verb, content, words):
    own, scan, out = tmp_path / "own.json", parts / "test" / "good" / "good0.ply", tmp_path / "o"
    if content is not None:
        own.write_text(content)
    given = [model, scan] if verb == "score" else [scan, "--cad", solid_block(tmp_path / "block.obj")]
    result = run(verb, *given, "--out", out, "--frame", own, "--quiet")
    assert result.code == 2
    assert str(own) in result.sentence
    assert words in result.sentence
    assert everything_in(out) == set()
