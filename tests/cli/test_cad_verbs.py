"""`dusnet compare` and `dusnet train --cad`, end to end."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from cli_parts import QUICK_WORDS, block, everything_in, write_ascii_ply

from dusnet.cad.surface import CadSurface
from dusnet.io import read_cloud, read_scalars
from dusnet.model import load

TOP = 20.0


def solid_block(path):
    """The block of `cli_parts.block` as an OBJ mesh: 60 x 40 x 20 with everything beyond x = 45 six lower."""
    outline = [(0, 0), (60, 0), (60, 14), (45, 14), (45, 20), (0, 20)]
    lines = [f"v {x} {y} {z}" for y in (0, 40) for x, z in outline]
    lines += [f"f {i + 1} {(i + 1) % 6 + 1} {(i + 1) % 6 + 7} {i + 7}" for i in range(6)]
    lines += ["f 4 3 2", "f 4 2 1", "f 4 1 6", "f 4 6 5", "f 10 8 9", "f 10 7 8", "f 10 12 7", "f 10 11 12"]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def cad(tmp_path):
    return solid_block(tmp_path / "block.obj")


@pytest.fixture
def scans(tmp_path):
    """A good scan and one with a dent, both turned by a quarter and shifted."""
    generator = np.random.default_rng(3)
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    made = {}
    for name, dent in (("good", 0.0), ("dent", 2.0)):
        points = block(generator, 12_000, dent)
        step = (points[:, 0] > 45) & (points[:, 2] > 14)  # the drawn block has no wall up there; nor has the mesh
        made[name] = write_ascii_ply(tmp_path / "scans" / f"{name}.ply", points[~step] @ turn.T + [5.0, 6, 7])
    return made


@pytest.mark.long
def test_compare_writes_what_score_writes(run, cad, scans, tmp_path):
    result = run("compare", *scans.values(), "--cad", cad, "--out", tmp_path / "o", "--tol-plus", 0.2, "--png")
    assert result.code == 0, result.err
    assert [line.split()[:2] for line in result.out.splitlines()] == [["OK", "good:"], ["NG", "dent:"]]
    assert "tolerance +0.2 / -0.1 mm" in result.err
    names = {"summary.csv"} | {f"{stem}.{end}" for stem in scans for end in ("json", "scored.ply", "png")}
    assert everything_in(tmp_path / "o") == names
    record = json.loads((tmp_path / "o" / "dent.json").read_text())
    assert record["deviation"]["min"] == pytest.approx(-2.0, abs=0.2)
    assert record["regions"][0]["peak_deviation"] == pytest.approx(-2.0, abs=0.2)
    assert record["comparison"]["tolerance"] == {"plus": 0.2, "minus": 0.1, "default": True}
    before, after = read_cloud(scans["dent"]), read_cloud(tmp_path / "o" / "dent.scored.ply")
    np.testing.assert_allclose(after.points, before.points, atol=1e-4)
    with (tmp_path / "o" / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows] == ["OK", "NG"]
    assert float(rows[1]["worst_peak_deviation"]) < -1.5


@pytest.mark.slow
def test_view_shows_bands_and_refuses_two_scales_in_one_picture(run, cad, scans, tmp_path):
    for tolerance in (0.1, 0.3):
        words = ["--tol-plus", tolerance, "--tol-minus", tolerance, "--quiet"]
        assert run("compare", scans["dent"], "--cad", cad, "--out", tmp_path / str(tolerance), *words).code == 0
    assert run("view", tmp_path / "0.1", "--png", tmp_path / "one.png").code == 0
    two = run("view", tmp_path / "0.1", tmp_path / "0.3", "--png", tmp_path / "two.png", "--quiet")
    assert two.code == 2
    assert "scales" in two.sentence
    assert not (tmp_path / "two.png").exists()


def test_gate_answers_by_exit_code(run, cad, scans, tmp_path):
    words = ["--cad", cad, "--out", tmp_path / "o", "--gate", "--quiet"]
    assert run("compare", scans["good"], *words).code == 0
    assert run("compare", *scans.values(), *words).code == 1
    assert run("compare", scans["good"], *words, "--cad-unit", "m").code == 2


def test_quiet_says_nothing_and_a_bad_scan_does_not_lose_the_others(run, cad, scans, tmp_path):
    words = ["--cad", cad, "--out", tmp_path / "o", "--quiet"]
    assert run("compare", scans["good"], *words).err == ""
    bad = tmp_path / "bad.ply"
    bad.write_text("nothing")
    result = run("compare", scans["good"], bad, *words)
    assert result.code == 2
    assert "bad.ply" in result.sentence
    assert {"good.json", "summary.csv"} <= everything_in(tmp_path / "o")


def test_a_report_shows_the_bands_of_the_tolerance(run, cad, scans, tmp_path):
    words = ["--cad", cad, "--out", tmp_path, "--tol-plus", 0.5, "--tol-minus", 0.25, "--report", "--quiet"]
    assert run("compare", scans["dent"], *words).code == 0
    page = (tmp_path / "dent.report.html").read_text(encoding="utf-8")
    assert "From the CAD model; positive is excess material" in page
    assert "one (marked), two and three tolerances" in page
    assert "calibrat" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL).lower()
    facts = dict(re.findall(r"<dt>([^<]+)</dt><dd>(.*?)</dd>", page))
    cloud, scalars = read_scalars(tmp_path / "dent.scored.ply")
    deviation = scalars["deviation"]
    excess, missing = (deviation > 0.5).mean(), (deviation < -0.25).mean()
    assert missing > 0.001
    assert facts["Tolerance"] == "+0.5 / −0.25 mm, chosen"
    assert facts["Out of tolerance"] == f"{100 * (excess + missing):.2f} %"
    assert facts["Missing material"] == f"{100 * missing:.2f} %"
    assert facts["Points out of tolerance"].startswith(str(round((excess + missing) * len(cloud))))
    assert facts["RMS deviation"] == f"{np.sqrt((deviation**2).mean()):.4f} mm"
    assert facts["Noise of the scan"] == "below 0.0001 mm"
    assert facts["Unit of the CAD model"] == "mm"
    assert facts["Triangles of the CAD model"] == "20"
    assert facts["Watertight"] == "yes"
    assert facts["CAD model"] == "block.obj"
    assert "dent.report.html" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_a_report_says_what_nobody_chose_and_what_is_not_closed(run, cad, scans, tmp_path):
    opened = tmp_path / "open.obj"
    opened.write_text(cad.read_text().replace("f 4 3 2\n", ""))
    words = ["--cad", opened, "--out", tmp_path, "--tol-plus", 0.5, "--report", "--quiet"]
    assert run("compare", scans["good"], *words).code == 0
    facts = dict(re.findall(r"<dt>([^<]+)</dt><dd>(.*?)</dd>", (tmp_path / "good.report.html").read_text("utf-8")))
    assert facts["Tolerance"] == "+0.5 / −0.1 mm, 0.1 mm by default where not chosen"
    assert facts["Watertight"].startswith("no. ")


def test_align_none_takes_the_scan_where_it_lies(run, cad, tmp_path):
    points = block(np.random.default_rng(1), 8000)
    scan = write_ascii_ply(tmp_path / "s.ply", points[points[:, 2] == TOP] + np.array([0.0, 0.0, 0.5]))
    words = ["--cad", cad, "--out", tmp_path / "o", "--quiet"]
    assert run("compare", scan, *words, "--align", "none").code == 0
    record = json.loads((tmp_path / "o" / "s.json").read_text())
    assert record["alignment"]["matrix"] == np.eye(4).tolist()
    assert record["deviation"]["median"] == pytest.approx(0.5, abs=1e-5)


def _no_faces(path):
    write_ascii_ply(path.with_suffix(".ply"), np.random.default_rng(0).random((100, 3)))
    return path.with_suffix(".ply")


def _empty(path):
    path.write_bytes(b"")
    return path


def _flat_to_nothing(path):
    path.write_text(
        "solid a\nfacet normal 0 0 0\nouter loop\n" + "vertex 1 1 1\n" * 3 + "endloop\nendfacet\nendsolid\n"
    )
    return path


def _other_format(path):
    path.with_suffix(".step").write_text("ISO-10303-21;")
    return path.with_suffix(".step")


@pytest.mark.parametrize("spoil", [_no_faces, _empty, _flat_to_nothing, _other_format, lambda path: path])
@pytest.mark.parametrize("verb", ["compare", "train"])
def test_a_mesh_that_cannot_be_used_is_one_sentence(run, scans, tmp_path, spoil, verb):
    cad = spoil(tmp_path / "part.stl")
    target = tmp_path / "o" / "m.safetensors"
    words = [scans["good"], "--out", tmp_path / "o"] if verb == "compare" else ["--out", target]
    result = run(verb, *words, "--cad", cad, "--quiet")
    assert result.code == 2
    assert "part" in result.sentence
    assert everything_in(tmp_path / "o") == set()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--tol-plus", "0"], "--tol-plus"),
        (["--tol-minus", "-0.1"], "--tol-minus"),
        (["--unit", "parsec"], "parsec"),
        (["--cad-unit", "parsec"], "parsec"),
        (["--align", "somehow"], "--align"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(run, cad, scans, tmp_path, words, named):
    result = run("compare", scans["good"], "--cad", cad, "--out", tmp_path / "o", *words, "--quiet")
    assert result.code == 2
    assert named in result.sentence
    assert everything_in(tmp_path / "o") == set()


def test_missing_open3d_is_one_sentence(run, cad, scans, tmp_path, monkeypatch):
    import dusnet.open3d_import as door

    def absent(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(door.importlib, "import_module", absent)
    result = run("compare", scans["good"], "--cad", cad, "--out", tmp_path / "o", "--quiet")
    assert result.code == 2
    assert "pip install open3d" in result.sentence
    assert everything_in(tmp_path / "o") == set()


def test_train_on_a_mesh_finds_a_dent_and_says_where_it_comes_from(run, cad, scans, tmp_path):
    target = tmp_path / "block.safetensors"
    words = ["--detector", "nearest", "--cad-scans", 2, "--cad-variation", 0.001, "--cad-points", 4000, *QUICK_WORDS]
    trained = run("train", "--cad", cad, "--out", target, *words)
    assert trained.code == 0, trained.err
    cause = load(target).detector.provenance["cad"]
    assert (cause["file"], cause["scans"], cause["variation"], cause["noise"]) == ("block.obj", 2, 0.001, 0.001)
    assert cause["radius"] == pytest.approx(CadSurface(_mesh(cad)).radius)
    turned_back = {}
    for name, path in scans.items():
        points = (read_cloud(path).points - [5.0, 6, 7]) @ np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
        turned_back[name] = write_ascii_ply(tmp_path / "back" / f"{name}.ply", points)
    assert run("score", target, *turned_back.values(), "--out", tmp_path / "o", "--quiet").code == 0
    good, dent = (json.loads((tmp_path / "o" / f"{name}.json").read_text()) for name in ("good", "dent"))
    assert dent["object_score"] > 1.3 * good["object_score"]
    assert dent["distances"]["max"] > good["distances"]["max"]
    assert any("no real part" in warning for warning in good["warnings"])


def _mesh(path):
    from dusnet.io import read_mesh

    return read_mesh(path)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["scan.ply", "--cad", "CAD"], "--cad makes the scans"),
        ([], "nothing to learn from"),
        (["--cad", "CAD", "--class", "a"], "--class"),
        (["--cad", "CAD", "--layout", "shapes"], "--layout"),
        (["--cad", "CAD", "--cad-variation", "3"], "--cad-variation"),
        (["--cad", "CAD", "--cad-scans", "0"], "--cad-scans"),
        (["scan.ply", "--cad-noise", "0.1"], "belong to --cad"),
    ],
)
def test_contradicting_arguments_of_train_are_one_sentence(run, cad, tmp_path, words, named):
    words = [cad if word == "CAD" else word for word in words]
    result = run("train", *words, "--out", tmp_path / "m.safetensors", "--quiet")
    assert result.code == 2
    assert named in result.sentence
    assert not (tmp_path / "m.safetensors").exists()
