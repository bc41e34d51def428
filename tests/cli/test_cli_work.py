"""The verbs at work, end to end on small parts."""

from __future__ import annotations

import csv
import json
import os
import re
import sys

import numpy as np
import pytest
from cli_parts import CAPABLE_WORDS, QUICK_WORDS, TINY_WORDS, block, everything_in, write_ascii_ply

from dusnet.data import open_dataset
from dusnet.detectors import create
from dusnet.detectors.calibration import Calibration, GoodScores, fitted_limit
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig
from dusnet.io import read_cloud
from dusnet.model import Model


def test_train_and_score_find_a_dent(run, parts, tmp_path):
    target = tmp_path / "block.safetensors"
    trained = run("train", parts, "--out", target, *CAPABLE_WORDS)
    assert trained.code == 0
    assert f"wrote {target}" in trained.err
    curves = {path for path in everything_in(tmp_path) if path.startswith("block.safetensors.curves/")}
    assert {"block.safetensors.curves/down-net.jsonl", "block.safetensors.curves/up-net.jsonl"} <= curves
    assert everything_in(tmp_path) - curves == {"block.safetensors"}
    scans = [parts / "test" / "good" / "good0.ply", parts / "test" / "dent" / "dent0.ply"]
    scored = run("score", target, *scans, "--out", tmp_path / "out")
    assert scored.code == 0, scored.err
    assert [line.split()[1] for line in scored.out.splitlines()] == ["good0:", "dent0:"]
    files = {path for path in everything_in(tmp_path / "out") if "reconstruction" not in path}
    assert files == {"summary.csv", "good0.json", "good0.scored.ply", "dent0.json", "dent0.scored.ply"}
    good, dent = (json.loads((tmp_path / "out" / f"{stem}.json").read_text()) for stem in ("good0", "dent0"))
    assert dent["distances"]["max"] > good["distances"]["max"]
    assert dent["object_score"] > 2 * good["object_score"]
    assert good["unit"] == "mm"


def test_scored_cloud_keeps_the_points_and_their_order(run, model, parts, tmp_path):
    scan = parts / "test" / "dent" / "dent1.ply"
    assert run("score", model, scan, "--out", tmp_path, "--quiet").code == 0
    before, after = read_cloud(scan), read_cloud(tmp_path / "dent1.scored.ply")
    np.testing.assert_allclose(after.points, before.points, atol=1e-4)
    assert after.colors is not None
    assert b"property float anomaly_score" in (tmp_path / "dent1.scored.ply").read_bytes()[:600]


def test_summary_lists_the_batch(run, model, parts, tmp_path):
    assert run("score", model, parts / "test" / "dent", "--out", tmp_path, "--quiet").code == 0
    with (tmp_path / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["stem"] for row in rows] == ["dent0", "dent1"]


def test_one_bad_scan_does_not_lose_the_others(run, model, parts, tmp_path):
    bad = tmp_path / "bad.ply"
    bad.write_text("no cloud at all")
    good = parts / "test" / "good" / "good0.ply"
    result = run("score", model, good, bad, parts / "test" / "dent" / "dent0.ply", "--out", tmp_path / "o", "--quiet")
    assert result.code == 2
    assert "bad.ply" in result.sentence
    assert {"good0.json", "dent0.json", "summary.csv"} <= everything_in(tmp_path / "o")
    gated = run("score", model, good, bad, "--out", tmp_path / "o", "--gate", "--threshold", 1000, "--quiet")
    assert gated.code == 2


def test_report_writes_a_page_per_scan_and_an_index(run, model, parts, tmp_path):
    scan = parts / "test" / "dent" / "dent0.ply"
    labelled = tmp_path / "labelled.ply"
    lines = scan.read_text().replace("end_header", "property float label\nend_header").splitlines()
    start = lines.index("end_header") + 1
    labelled.write_text("\n".join([*lines[:start], *(f"{line} {int(i < 9)}" for i, line in enumerate(lines[start:]))]))
    bad = tmp_path / "bad.ply"
    bad.write_text("no cloud at all")
    out = tmp_path / "out"
    assert run("score", model, scan, labelled, bad, "--out", out, "--report", "--quiet").code == 2
    pages = {name for name in everything_in(out) if name.endswith(".html")}
    assert pages == {"dent0.report.html", "labelled.report.html", "index.html"}
    index = (out / "index.html").read_text()
    assert './labelled.report.html"' in index
    assert "bad.ply" in index
    assert 'data-show="truth"' in (out / "labelled.report.html").read_text()
    assert 'data-show="truth"' not in (out / "dent0.report.html").read_text()
    assert run("score", model, scan, "--out", out, "--quiet").code == 0
    left = {name for name in everything_in(out) if name.endswith(".html")}
    assert left == {"labelled.report.html", "index.html"}, "a page must not outlive the result that it belongs to"
    index = (out / "index.html").read_text()
    assert './labelled.report.html"' in index
    assert "dent0.report.html" not in index
    assert "dent0.ply" in index


@pytest.mark.parametrize(("threshold", "code"), [(1e6, 0), (0.0, 1)])
def test_gate_answers_by_exit_code(run, model, parts, tmp_path, threshold, code):
    words = ["score", model, parts / "test" / "good", "--out", tmp_path, "--threshold", threshold, "--quiet"]
    assert run(*words, "--gate").code == code
    assert run(*words).code == 0
    result = json.loads((tmp_path / "good0.json").read_text())
    assert result["threshold"] == threshold
    assert result["is_anomalous"] is (code == 1)


def test_quiet_says_nothing_on_standard_error(run, model, parts, tmp_path):
    assert run("score", model, parts / "test" / "good" / "good0.ply", "--out", tmp_path, "--quiet").err == ""
    assert run("check", parts, "--quiet").err == ""


def test_scans_of_one_name_keep_their_results_apart(run, model, tmp_path):
    generator = np.random.default_rng(8)
    scans = [write_ascii_ply(tmp_path / line / "part.ply", block(generator)) for line in ("line1", "line2")]
    assert run("score", model, *scans, "--out", tmp_path / "o", "--quiet").code == 0
    assert len([name for name in everything_in(tmp_path / "o") if name.endswith(".json")]) == 2


def test_folder_of_results_is_not_scored_again(run, model, tmp_path):
    write_ascii_ply(tmp_path / "part.ply", block(np.random.default_rng(9)))
    for _ in range(2):
        assert run("score", model, tmp_path, "--out", tmp_path, "--quiet").code == 0
    assert {name for name in everything_in(tmp_path) if name.endswith(".json")} == {"part.json"}


def test_training_on_files_and_per_class_into_a_folder(run, parts, tmp_path):
    files = sorted((parts / "normal").iterdir())
    words = ["--detector", "nearest", "--quiet", *QUICK_WORDS]
    assert run("train", *files, "--out", tmp_path / "files.safetensors", *words).code == 0
    assert run("train", parts, "--out", tmp_path / "models", *words).code == 0
    assert everything_in(tmp_path) == {"files.safetensors", "models/block.safetensors"}
    kept = (tmp_path / "models" / "block.safetensors").stat().st_mtime_ns
    assert run("train", parts, "--out", tmp_path / "models", "--resume", *words).code == 0
    assert (tmp_path / "models" / "block.safetensors").stat().st_mtime_ns == kept


def test_the_seed_fixes_the_model(run, parts, tmp_path):
    from safetensors.numpy import load_file

    tensors = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        words = ["--seed", seed, "--quiet", *TINY_WORDS]
        assert run("train", parts, "--out", tmp_path / f"{name}.safetensors", *words).code == 0
        tensors.append(load_file(tmp_path / f"{name}.safetensors"))
    first, second, third = tensors
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert any(first[name].shape != third[name].shape or not np.array_equal(first[name], third[name]) for name in first)


def test_check_of_a_scan_measures_it(run, tmp_path):
    grid = (
        np.stack(np.meshgrid(np.arange(11.0), np.arange(6.0), [0.0, 2.0], indexing="ij"), axis=-1).reshape(-1, 3) + 1.0
    )
    scan = write_ascii_ply(tmp_path / "grid.ply", np.concatenate([grid, grid[:4]]))
    result = run("check", scan)
    assert result.code == 0
    assert "136 points" in result.out
    assert "10 x 5 x 2" in result.out
    found = json.loads(run("check", scan, "--json").out)
    assert found["points"] == 136
    assert found["duplicates"] == pytest.approx(4 / 136)
    assert found["spacing"] == pytest.approx(1.0)


def test_check_of_a_dataset_counts_and_names_what_is_bad(run, parts, tmp_path):
    assert run("check", parts).code == 0
    generator = np.random.default_rng(4)
    for name, factor in (("a", 1), ("b", 1), ("c", 0.001)):
        write_ascii_ply(tmp_path / "normal" / f"{name}.ply", block(generator, 300) * factor)
    (tmp_path / "normal" / "d.ply").write_text("ply")
    result = run("check", tmp_path, "--quiet")
    assert result.code == 2
    assert "1 error;" in result.sentence
    assert re.search(r"c\.ply is about (9\d\d|1[01]00) times smaller than the median", result.out)
    lines = result.out.splitlines()
    assert lines[-1] == f"1 error, {sum('warning: ' in line for line in lines)} warnings"
    assert "d.ply" in result.out


def test_synth_then_check_then_evaluate(run, tmp_path):
    bench = tmp_path / "bench"
    sets = ["points=600", "train=2", "good=2", "per_kind=1", "kinds=bulge"]
    words = ["--parts", "bracket", *(word for setting in sets for word in ("--set", setting))]
    assert run("synth", bench, *words, "--quiet").code == 0
    assert "bracket" in run("check", bench, "--quiet").out
    words = ["--detector", "nearest", "--seeds", 1, "--quiet", *QUICK_WORDS]
    result = run("evaluate", bench, "--out", tmp_path / "results", *words)
    assert result.code == 0, result.err
    assert "bracket" in result.out
    assert {"results.json", "results.csv", "results.md"} <= everything_in(tmp_path / "results")


def test_variation_and_jitter_of_parts_are_options(run, tmp_path):
    sets = ["points=500", "train=1", "good=1", "per_kind=1", "kinds=bulge"]
    words = ["--parts", "gear", *(word for setting in sets for word in ("--set", setting)), "--quiet"]
    for name, options in {
        "options": ["--variation", 0.02, "--jitter", 0.03],
        "settings": ["--set", "variation=0.02", "--set", "jitter=0.03"],
        "both": ["--variation", 0.05, "--jitter", 0.03, "--set", "variation=0.02"],
        "default": [],
    }.items():
        assert run("synth", tmp_path / name, *words, *options).code == 0
    files = {name: _contents(tmp_path / name) for name in ("options", "settings", "both", "default")}
    assert files["options"] == files["settings"] == files["both"] != files["default"]
    assert json.loads((tmp_path / "options" / "benchmark.json").read_text())["settings"]["variation"] == 0.02
    refused = run("synth", tmp_path / "wild", *words, "--variation", 5)
    assert refused.code == 2
    assert "variation" in refused.sentence


def test_a_dataset_like_an_archive_has_its_sizes_and_halves(run, tmp_path, monkeypatch):
    from dusnet.synthesis.likeness import anomaly_shapenet

    few = {name: anomaly_shapenet.THINGS[name] for name in ("bowl1", "dish0", "tray0")}
    monkeypatch.setattr(anomaly_shapenet, "THINGS", few)
    words = ["--like", "anomaly_shapenet", "--variation", 0, "--layout", "anomaly_shapenet", "--quiet"]
    for half, classes in (("development", {"bowl1", "dish0"}), ("reported", {"tray0"})):
        place = tmp_path / half
        assert run("synth", place, *words, "--half", half, "--size", "small", "--set", "points=1000").code == 0
        settings = json.loads((place / "benchmark.json").read_text())["settings"]
        assert (settings["templates"], settings["good"], settings["points"]) == (2, 3, 1000)
        assert {path.name for path in (place / "pcd").iterdir()} == classes
    made = run("synth", tmp_path / "development", *words, "--half", "development", "--size", "small")
    assert made.code == 2
    assert "other settings (points)" in made.sentence


def _contents(folder):
    return {path: (folder / path).read_bytes() for path in everything_in(folder)}


def test_bench_says_when_open3d_is_missing(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    timed = run("bench", "ops", "--sizes", "64,128")
    assert timed.code == 0
    assert "Open3D" not in timed.out
    (line,) = [line for line in timed.err.splitlines() if "Open3D" in line]
    assert line == "no times of Open3D: Open3D is not installed; run `pip install open3d`."


def test_bench_times_every_op_and_scoring(run, model):
    timed = run("bench", "ops", "--sizes", 128, "--quiet")
    assert timed.code == 0
    for op in ("farthest points", "neighbours", "ball query", "interpolation", "Chamfer", "earth mover's match"):
        assert op in timed.out
    assert "SciPy" in timed.out
    assert "1.0x" in timed.out
    page = run("bench", "ops", "--sizes", 128, "--repeats", 1, "--markdown", "--quiet")
    assert page.out.startswith("| what | size | by | ms |")
    scored = run("bench", "score", model, "--sizes", 400, "--quiet")
    assert scored.code == 0
    assert "score with nearest" in scored.out


@pytest.mark.slow
def test_score_and_view_draw_pictures(run, model, parts, tmp_path):
    scan = parts / "test" / "dent" / "dent0.ply"
    assert run("score", model, scan, "--out", tmp_path, "--png", "--quiet").code == 0
    assert run("view", tmp_path / "dent0.json", "--png", tmp_path / "again.png", "--quiet").code == 0
    for name in ("dent0.png", "again.png"):
        assert (tmp_path / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_false_alarm_rate_takes_its_threshold_from_the_calibration(run, model, parts, tmp_path):
    from dusnet.detectors import load_model

    calibration = load_model(model).calibration
    assert calibration is not None
    scan = parts / "test" / "good" / "good0.ply"
    assert run("score", model, scan, "--out", tmp_path, "--false-alarm", 0.5, "--quiet").code == 0
    result = json.loads((tmp_path / "good0.json").read_text())
    # What half of further scans exceed is the geometric mean.
    assert result["threshold"] == pytest.approx(np.exp(np.log(calibration.left_out.objects).mean()))
    assert result["threshold_source"] == {
        "kind": "calibration",
        "false_alarm": 0.5,
        "supported": True,
        "good_scans": {"simulated": 0, "left_out": 3, "added": 0},
        "source": calibration.source,
    }
    refused = run("score", model, scan, "--out", tmp_path, "--false-alarm", 0.005, "--quiet")
    assert refused.code == 2
    assert "3 good scans" in refused.sentence


def test_more_good_scans_are_added_to_the_calibration_once(run, model, parts, tmp_path):
    from dusnet.detectors import load_model

    before = load_model(model).calibration
    good = parts / "test" / "good"
    target = tmp_path / "more.safetensors"
    done = run("calibrate", model, good, "--out", target, "--quiet")
    assert done.code == 0
    assert done.out.splitlines()[0] == "2 good scans added, 5 in all."
    assert " 10%: limit" in done.out
    learned = load_model(target)
    assert learned.calibration is not None
    assert before is not None
    assert len(learned.calibration.added) == 2
    assert before.good + learned.calibration.added == learned.calibration.good
    assert [entry["file"] for entry in learned.provenance["calibrated_with"]] == ["good0.ply", "good1.ply"]
    assert load_model(model).calibration == before
    again = run("calibrate", target, good, "--quiet")
    assert again.code == 2
    assert "already" in again.sentence


def test_training_scans_are_not_added_and_a_bad_file_does_not_lose_the_others(run, model, parts, tmp_path):
    from dusnet.detectors import load_model

    target = tmp_path / "more.safetensors"
    known = run("calibrate", model, parts / "normal", "--out", target, "--quiet")
    assert known.code == 2
    assert "learned from all scans" in known.sentence
    assert not target.exists()
    bad = tmp_path / "bad.ply"
    bad.write_text("no cloud at all")
    scans = [bad, *sorted((parts / "normal").iterdir()), parts / "test" / "good" / "good0.ply"]
    done = run("calibrate", model, *scans, "--out", target)
    assert done.code == 2
    assert "bad.ply" in done.err.splitlines()[-1]
    assert done.err.count("the model learned from it") == len(scans) - 2
    assert done.out.startswith("1 good scan added")
    assert [entry["file"] for entry in load_model(target).provenance["calibrated_with"]] == ["good0.ply"]


def test_a_scan_that_cannot_be_scored_keeps_no_result_of_an_earlier_run(run, model, parts, tmp_path):
    scan, out = tmp_path / "scan.ply", tmp_path / "out"
    scan.write_bytes((parts / "test" / "good" / "good0.ply").read_bytes())
    assert run("score", model, scan, "--out", out, "--report", "--quiet").code == 0
    assert {"scan.json", "scan.scored.ply", "scan.report.html", "index.html", "summary.csv"} <= everything_in(out)
    scan.write_text("no cloud at all")
    assert run("score", model, scan, "--out", out, "--report", "--quiet").code == 2
    assert everything_in(out) == {"index.html", "summary.csv"}
    assert len((out / "summary.csv").read_text().splitlines()) == 1
    assert "scan.ply" in (out / "index.html").read_text()
    assert "scan.report.html" not in (out / "index.html").read_text()


def test_a_file_name_that_is_not_text_is_scored_like_any_other(run, model, parts, tmp_path):
    scan = tmp_path / os.fsdecode(b"part \xff.ply")
    scan.write_bytes((parts / "test" / "good" / "good0.ply").read_bytes())
    done = run("score", model, scan, "--out", tmp_path / "out", "--report", "--quiet")
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "out" / "part \ufffd.json").read_text())
    assert record["scan"]["file"] == "part \ufffd.ply"
    assert "part \ufffd" in (tmp_path / "out" / "index.html").read_text()


def test_a_scan_that_cannot_be_believed_is_not_added_to_the_calibration(run, model, parts, tmp_path):
    few = tmp_path / "few.ply"
    lines = (parts / "test" / "good" / "good0.ply").read_text().splitlines()
    start = lines.index("end_header") + 1
    header = [line.replace("1500", "60") for line in lines[:start]]
    few.write_text("\n".join([*header, *lines[start : start + 60]]) + "\n")
    refused = run("calibrate", model, few, "--quiet")
    assert refused.code == 2
    assert "few" in refused.sentence
    assert "60 points" in refused.sentence


def test_window_without_a_display_names_the_picture(run, parts, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    result = run("view", parts / "test" / "good" / "good0.ply", "--quiet")
    assert result.code == 2
    assert "--png" in result.sentence


def test_pretraining_on_shapes_gives_weights_to_start_from(run, parts, tmp_path):
    rng = np.random.default_rng(0)
    for index in range(3):
        directions = rng.normal(size=(300, 3))
        shape = directions / np.linalg.norm(directions, axis=1, keepdims=True) * (1 + index)
        (tmp_path / "shapes").mkdir(exist_ok=True)
        np.savetxt(tmp_path / "shapes" / f"{index}.xyz", shape)
    words = [*TINY_WORDS, "--quiet"]
    weights = tmp_path / "weights.safetensors"
    done = run("pretrain", tmp_path / "shapes", "--out", weights, *words)
    assert done.code == 0, done.err
    target = tmp_path / "block.safetensors"
    started = run("train", parts, "--out", target, *words, "--set", f"training.init={weights}")
    assert started.code == 0, started.err
    assert target.is_file()


def test_a_scan_of_a_part_with_an_end_missing_is_rechecked(run, model, tmp_path):
    """Beyond x = 44.7 lie 30 % of the block; four usual distances along the rim do not count."""
    whole = block(np.random.default_rng(21), 3000)
    broken = whole[whole[:, 0] < 44.7]
    scans = [
        write_ascii_ply(tmp_path / name, points) for name, points in (("whole.ply", whole), ("broken.ply", broken))
    ]
    words = ["--out", tmp_path / "o", "--threshold", 1000, "--quiet"]
    assert run("score", model, *scans, *words, "--gate").code == 2
    assert run("score", model, scans[0], *words, "--gate").code == 0
    found = {stem: json.loads((tmp_path / "o" / f"{stem}.json").read_text()) for stem in ("whole", "broken")}
    assert found["whole"]["unseen_share"] == 0
    assert found["broken"]["unseen_share"] == pytest.approx(1 - len(broken) / len(whole), abs=0.1)
    codes = [reason["code"] for reason in found["broken"]["verdict"]["reasons"]]
    assert found["broken"]["verdict"]["status"] == "RECHECK"
    assert "part_not_seen" in codes


@pytest.mark.parametrize("count", [1, 2, 30])
def test_the_rate_that_a_refusal_names_is_accepted(count):
    scores = tuple(1.0 + index for index in range(count))
    detector = create("nearest", Settings(detector="nearest"))
    detector.set_calibration(Calibration(left_out=GoodScores(scores, scores), source="by hand"))
    opened = Model(detector)
    with pytest.raises(BadConfig, match=f"{count} good scan") as error:
        opened.threshold_for(1e-5)
    named = float(re.search(r"at least ([\d.]+),", str(error.value)).group(1))
    assert opened.threshold_for(named) == fitted_limit(scores, 0.01)
    assert named == 0.01


@pytest.mark.slow
def test_a_picture_that_cannot_be_written_does_not_lose_the_scan(run, model, parts, tmp_path):
    (tmp_path / "dent0.png").mkdir()
    result = run("score", model, parts / "test" / "dent", "--out", tmp_path, "--png", "--quiet")
    assert result.code == 2
    assert "dent0.png" in result.sentence
    with (tmp_path / "summary.csv").open() as file:
        assert [row["stem"] for row in csv.DictReader(file)] == ["dent0", "dent1"]
    assert [line.split()[1] for line in result.out.splitlines()] == ["dent0:", "dent1:"]
    assert {"dent0.json", "dent0.scored.ply", "dent1.png"} <= everything_in(tmp_path)
    assert not [name for name in everything_in(tmp_path) if name.startswith(".")]


@pytest.mark.long
def test_one_model_learns_the_classes_of_a_dataset_and_names_them(run, tmp_path):
    made = run("synth", tmp_path / "bench", "--parts", "bolt,bowl", "--set", "points=900", "--set", "train=2",
               "--set", "good=1", "--set", "per_kind=1", "--quiet")  # fmt: skip
    assert made.code == 0, made.err
    words = ["--one-model", "--detector", "cras", "--set", "features.places=128", "--set", "features.replicas=0",
             "--set", "cras.epochs=3", "--set", "calibration.replicas=1"]  # fmt: skip
    folder = run("train", tmp_path / "bench", "--out", tmp_path / "models", *words)
    assert folder.code == 2
    assert ".safetensors" in folder.sentence
    model = tmp_path / "parts.safetensors"
    alone = run("train", tmp_path / "bench", "--out", model, "--one-model", "--detector", "nearest")
    assert alone.code == 2
    assert "one part at a time" in alone.sentence
    trained = run("train", tmp_path / "bench", "--out", model, *words)
    assert trained.code == 0, trained.err
    assert "learned 2 classes with cras" in trained.err
    dataset = open_dataset(tmp_path / "bench")
    scans = [sample.path for name in dataset.classes for sample in dataset.test(name) if not sample.anomalous]
    scored = run("score", model, *scans, "--out", tmp_path / "out", "--report")
    assert scored.code == 0, scored.err
    results = sorted((tmp_path / "out").glob("*.json"))
    assert len(results) == 2
    for path in results:
        assert json.loads(path.read_text())["part"]["name"] in path.stem
    kept = run("train", tmp_path / "bench", "--out", model, *words, "--resume")
    assert kept.code == 0
    assert "is kept" in kept.err
