"""Everything that a user can get wrong, end to end: exit code 2, one sentence, no traceback, no file left behind."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli_parts import QUICK_WORDS, TINY_WORDS, block, everything_in, write_ascii_ply
from interrupts import heed_interrupts
from safetensors.numpy import save

from dusnet.io.tensors import read_tensors, write_tensors

XYZ = "property float x\nproperty float y\nproperty float z\n"
HEADER = "ply\nformat binary_little_endian 1.0\nelement vertex {count}\n" + XYZ


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _truncated(path: Path) -> None:
    path.write_bytes(f"{HEADER.format(count=100)}end_header\n".encode() + struct.pack("<30f", *range(30)))


def _picture(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(200)))


def _no_coordinates(path: Path) -> None:
    path.write_text(
        "ply\nformat ascii 1.0\nelement vertex 2\nproperty float u\nproperty float v\nend_header\n1 2\n3 4\n"
    )


def _no_points(path: Path) -> None:
    write_ascii_ply(path, np.zeros((0, 3)))


def _all_nan(path: Path) -> None:
    write_ascii_ply(path, np.full((50, 3), np.nan))


def _few_points(path: Path) -> None:
    write_ascii_ply(path, np.eye(3))


def _identical(path: Path) -> None:
    write_ascii_ply(path, np.ones((300, 3)))


def _line(path: Path) -> None:
    write_ascii_ply(path, np.linspace(0, 1, 300)[:, None] * np.array([[1.0, 2.0, 3.0]]))


def _no_header(path: Path) -> None:
    path.with_suffix(".pcd").write_text("0 0 0\n1 1 1\n")


BAD_SCANS = {
    "empty": (_empty, "empty"),
    "truncated": (_truncated, "100"),
    "not a cloud": (_picture, "scan.ply"),
    "no x y z": (_no_coordinates, "x"),
    "no points": (_no_points, "no"),
    "only NaN": (_all_nan, "scan.ply"),
    "too few points": (_few_points, "3 points"),
    "identical points": (_identical, "identical"),
    "points on a line": (_line, "line"),
}


@pytest.fixture(params=BAD_SCANS, ids=[name.replace(" ", "-") for name in BAD_SCANS])
def bad_scan(request, tmp_path):
    make, word = BAD_SCANS[request.param]
    path = tmp_path / "scan.ply"
    make(path)
    return path, word


def _refused(result, *words: str) -> None:
    assert result.code == 2, result
    for word in words:
        assert word in result.sentence


def test_bad_scan_is_refused_by_check(run, bad_scan):
    path, word = bad_scan
    _refused(run("check", path, "--quiet"), word, str(path))


def test_bad_scan_is_refused_by_score_and_leaves_nothing(run, bad_scan, model, tmp_path):
    path, word = bad_scan
    _refused(run("score", model, path, "--out", tmp_path / "out", "--quiet"), word, str(path))
    assert everything_in(tmp_path / "out") == set()


def test_bad_scan_is_refused_by_train_and_leaves_nothing(run, bad_scan, tmp_path):
    path, word = bad_scan
    target = tmp_path / "out" / "m.safetensors"
    _refused(run("train", path, "--out", target, "--detector", "nearest", "--quiet", *QUICK_WORDS), word, str(path))
    assert everything_in(target.parent) == set()


@pytest.mark.parametrize(
    "words", [["check"], ["score", "MODEL"], ["train"], ["view"], ["evaluate"]], ids=lambda words: words[0]
)
def test_missing_file(run, words, model, tmp_path):
    verb, *rest = [model if word == "MODEL" else word for word in words]
    out = [] if verb == "check" else ["--png", tmp_path / "o.png"] if verb == "view" else ["--out", tmp_path / "o"]
    _refused(run(verb, *rest, tmp_path / "absent.ply", *out, "--quiet"), "absent.ply")
    assert everything_in(tmp_path) == set()


def test_folder_without_scans(run, model, tmp_path):
    (tmp_path / "empty").mkdir()
    _refused(run("score", model, tmp_path / "empty", "--out", tmp_path / "o", "--quiet"), str(tmp_path / "empty"))
    _refused(run("train", tmp_path / "empty", "--out", tmp_path / "m.safetensors", "--quiet"), "empty")


def test_pcd_without_header(run, tmp_path):
    _no_header(tmp_path / "scan.ply")
    _refused(run("check", tmp_path / "scan.pcd", "--quiet"), "scan.pcd")


def test_some_nan_rows_are_dropped_and_said(run, model, tmp_path):
    points = block(np.random.default_rng(5))
    points[:7] = np.nan
    result = run("score", model, write_ascii_ply(tmp_path / "holes.ply", points), "--out", tmp_path / "out")
    assert result.code == 0
    assert "7" in "".join(line for line in result.err.splitlines() if "NaN" in line or "finite" in line)
    assert json.loads((tmp_path / "out" / "holes.json").read_text())["points"] == 1493


def test_mesh_is_sampled_and_said(run, tmp_path):
    corners = np.array([[x, y, z] for x in (0, 60) for y in (0, 40) for z in (0, 20)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
    path = tmp_path / "box.ply"
    header = "ply\nformat ascii 1.0\nelement vertex 8\n" + XYZ
    header += "element face 12\nproperty list uchar int vertex_indices\nend_header\n"
    rows = [" ".join(map(str, row)) for row in corners.tolist()] + [f"3 {a} {b} {c}" for a, b, c in faces]
    path.write_text(header + "\n".join(rows) + "\n")
    result = run("check", path)
    assert result.code == 0
    assert "mesh" in result.out


def test_wrong_unit_is_said_and_mended(run, model, tmp_path):
    points = block(np.random.default_rng(6))
    metres = write_ascii_ply(tmp_path / "metres.ply", points / 1000)
    millimetres = write_ascii_ply(tmp_path / "millimetres.ply", points)
    warned = run("score", model, metres, "--out", tmp_path / "warned")
    assert warned.code == 0
    assert "--unit" in warned.err
    assert run("score", model, metres, "--unit", "m", "--out", tmp_path / "mended").code == 0
    assert run("score", model, millimetres, "--out", tmp_path / "plain").code == 0
    mended = json.loads((tmp_path / "mended" / "metres.json").read_text())
    plain = json.loads((tmp_path / "plain" / "millimetres.json").read_text())
    assert (mended["unit"], plain["unit"]) == ("m", "mm")
    assert mended["object_score"] == pytest.approx(plain["object_score"], rel=1e-3)
    assert mended["distances"]["max"] * 1000 == pytest.approx(plain["distances"]["max"], rel=1e-3)


def test_unknown_unit(run, model, parts, tmp_path):
    scan = parts / "test" / "good" / "good0.ply"
    _refused(run("score", model, scan, "--unit", "parsec", "--out", tmp_path / "o", "--quiet"), "parsec", "mm")


def test_unknown_class_and_layout(run, parts, tmp_path):
    target = tmp_path / "m.safetensors"
    _refused(run("train", parts, "--class", "blok", "--out", target, "--quiet"), "blok", "block")
    _refused(run("train", parts, "--layout", "mvtec", "--out", target, "--quiet"), "mvtec", "real3d_ad")
    _refused(run("evaluate", parts, "--classes", "blok", "--out", tmp_path / "o", "--quiet"), "blok", "block")
    assert everything_in(tmp_path) == set()


def _anomaly_shapenet(root: Path, rows: int) -> Path:
    generator = np.random.default_rng(0)
    folder = root / "cup0"
    for split, stem in (("train", "cup0_template0"), ("test", "cup0_positive0"), ("test", "cup0_bulge0")):
        points = block(generator, 400)
        write_ascii_ply(folder / split / f"{stem}.ply", points)
    (folder / "GT").mkdir()
    lines = [f"{x:.4f},{y:.4f},{z:.4f},{int(index < 20)}" for index, (x, y, z) in enumerate(points[:rows])]
    (folder / "GT" / "cup0_bulge0.txt").write_text("\n".join(lines) + "\n")
    return root


def test_count_mismatch_between_scan_and_ground_truth_names_both(tmp_path):
    from dusnet.data import open_dataset
    from dusnet.errors import BadInput

    root = _anomaly_shapenet(tmp_path / "set", 390)
    sample = next(sample for sample in open_dataset(root).test("cup0") if sample.kind == "bulge")
    with pytest.raises(BadInput, match="400") as caught:
        sample.load(source="scan")
    assert "390" in str(caught.value)


def test_several_classes_do_not_fit_into_one_model(run, tmp_path):
    root = _anomaly_shapenet(tmp_path / "set", 400)
    write_ascii_ply(root / "mug0" / "train" / "mug0_template0.ply", block(np.random.default_rng(1), 400))
    write_ascii_ply(root / "mug0" / "test" / "mug0_positive0.ply", block(np.random.default_rng(2), 400))
    result = run("train", root, "--out", tmp_path / "m.safetensors", "--quiet")
    _refused(result, "2 classes", "cup0, mug0", "--class")


BAD_MODELS = {
    "absent": None,
    "empty": lambda _: b"",
    "text": lambda _: b"weights",
    "cut off": lambda model: model.read_bytes()[:-100],
    "foreign": lambda _: save({"w": np.zeros(3, np.float32)}),
}


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_bad_model(run, kind, model, parts, tmp_path):
    path = tmp_path / "m.safetensors"
    if BAD_MODELS[kind] is not None:
        path.write_bytes(BAD_MODELS[kind](model))
    scan = parts / "test" / "good" / "good0.ply"
    _refused(run("score", path, scan, "--out", tmp_path / "out", "--quiet"), str(path))
    assert everything_in(tmp_path / "out") == set()


def test_model_of_another_version_says_both(run, model, parts, tmp_path):
    tensors, metadata = read_tensors(model)
    path = tmp_path / "m.safetensors"
    write_tensors(path, tensors, {**metadata, "version": 999})
    scan = parts / "test" / "good" / "good0.ply"
    _refused(run("score", path, scan, "--out", tmp_path / "out", "--quiet"), "999", "format 3")


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "graphics card"])
def test_device_that_is_not_there(run, device, model, parts, tmp_path):
    scan = parts / "test" / "good" / "good0.ply"
    for words in (["score", model, scan], ["train", parts], ["evaluate", parts]):
        _refused(run(*words, "--out", tmp_path / "o", "--device", device, "--quiet"), "evice")
    assert everything_in(tmp_path) == set()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--set", "training.down.stesp=5"], ["stesp", "training.down.steps"]),
        (["--set", "training.down.steps=many"], ["training.down.steps", "many"]),
        (["--set", "training.down.steps"], ["key.sub=value"]),
        (["--set", "down_net.heads=3"], ["heads"]),
        (["--config", "huge"], ["huge"]),
        (["--detector", "nearst"], ["nearst", "nearest"]),
    ],
)
def test_bad_settings(run, words, named, parts, tmp_path):
    _refused(run("train", parts, "--out", tmp_path / "m.safetensors", "--quiet", *words), *named)
    assert everything_in(tmp_path) == set()


def test_config_file_with_an_unknown_key(run, parts, tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text("training:\n  down:\n    step: 5\n")
    _refused(run("train", parts, "--out", tmp_path / "m.safetensors", "--config", path, "--quiet"), "step", "my.yaml")


def test_threshold_and_false_alarm_together(run, model, parts, tmp_path):
    scan = parts / "test" / "good" / "good0.ply"
    words = ["--threshold", 1, "--false-alarm", 0.1, "--out", tmp_path / "o", "--quiet"]
    _refused(run("score", model, scan, *words), "--threshold", "--false-alarm")
    _refused(run("score", model, scan, "--false-alarm", 7, "--out", tmp_path / "o", "--quiet"), "between 0 and 1")


@pytest.mark.parametrize("threshold", ["nan", "inf", "-inf"])
def test_threshold_that_is_no_number(run, threshold, model, parts, tmp_path):
    words = [f"--threshold={threshold}", "--out", tmp_path / "o", "--quiet"]
    _refused(run("score", model, parts / "test" / "good", *words), "threshold", threshold)  # one sentence for two scans
    assert everything_in(tmp_path) == set()


def test_output_in_the_way(run, model, parts, tmp_path):
    (tmp_path / "taken").write_text("mine")
    scan = parts / "test" / "good" / "good0.ply"
    _refused(run("score", model, scan, "--out", tmp_path / "taken", "--quiet"), "taken")
    _refused(run("train", parts, "--out", tmp_path / "taken" / "m.safetensors", "--quiet"), "taken")
    (tmp_path / "folder.safetensors").mkdir()
    _refused(run("train", parts, "--out", tmp_path / "folder.safetensors", "--quiet"), "folder.safetensors")
    assert (tmp_path / "taken").read_text() == "mine"


def _train_until_checkpoint(words: list[str], checkpoints: Path) -> str:
    """Train in another process, press Ctrl-C when it has a checkpoint, and return what it said."""
    command, pipe = [sys.executable, "-m", "dusnet", *words], subprocess.PIPE
    with subprocess.Popen(
        command, stderr=pipe, stdout=subprocess.DEVNULL, text=True, preexec_fn=heed_interrupts
    ) as process:
        assert process.stderr is not None
        deadline = time.monotonic() + 100
        while not list(checkpoints.glob("[!.]*.safetensors")):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        heard = process.stderr.read()
    assert process.returncode == 130, heard
    return heard


@pytest.mark.long
def test_interrupted_training_resumes_but_not_with_other_settings(run, parts, tmp_path):
    target = tmp_path / "m.safetensors"
    checkpoints = tmp_path / "m.safetensors.training"
    steps = ["--set", "training.down.steps=300", "--set", "training.checkpoint_every=3"]
    words = [*map(str, ["train", parts, "--out", target, *TINY_WORDS]), *steps]
    last = _train_until_checkpoint(words, checkpoints).splitlines()[-1]
    assert last.startswith("dusnet: interrupted; ")
    assert str(checkpoints) in last
    assert "--resume" in last
    assert not target.exists()
    _refused(run(*words, "--quiet", "--resume", "--set", "training.down.steps=6"), "other", "settings")
    resumed = run(*words, "--resume")
    assert resumed.code == 0
    assert "continuing at step" in resumed.err
    left = everything_in(tmp_path)
    assert "m.safetensors.curves/down-net.jsonl" in left
    assert {path for path in left if not path.startswith("m.safetensors.curves/")} == {"m.safetensors"}


def test_open3d_without_its_system_libraries(parts, tmp_path):
    (tmp_path / "open3d").mkdir()
    (tmp_path / "open3d" / "__init__.py").write_text(
        "raise ImportError('libEGL.so.1: cannot open shared object file: No such file or directory')"
    )
    words = ["train", parts, "--out", tmp_path / "m.safetensors", "--detector", "btf_fpfh", "--quiet"]
    run = subprocess.run(
        [sys.executable, "-m", "dusnet", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert run.returncode == 2, run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert "libEGL.so.1" in run.stderr
    assert "apt-get install -y libusb-1.0-0" in run.stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--parts", "botle"], ["botle", "bottle"]),
        (["--parts", ""], ["part"]),
        (["--parts", "cup", "--set", "variation=5"], ["variation", "0.1"]),
        (["--parts", "cup", "--set", "colour=5"], ["colour"]),
        (["--parts", "cup", "--set", "points"], ["key=value"]),
        (["--parts", "cup", "--set", "kinds=rust"], ["rust"]),
        (["--mesh", "absent.stl"], ["absent.stl"]),
        (["--half", "reported"], ["--half", "--like"]),
        (["--like", "anomaly_shapenet", "--parts", "cup"], ["--parts", "--like"]),
        (["--like", "anomaly_shapenet", "--layout", "real3d_ad"], ["--layout real3d_ad", "anomaly_shapenet"]),
        (["--like", "anomaly_shapenet", "--variation", 0.01], ["--variation", "alike"]),
        (["--like", "anomaly_shapenet", "--jitter", 0.01], ["--jitter", "alike"]),
        (["--like", "anomaly_shapenet", "--set", "per_kind=1"], ["per_kind"]),
        (["--like", "anomaly_shapenet", "--set", "points=10"], ["points", "1000"]),
        (["--like", "anomaly_shapenet", "--mesh", "absent.stl"], ["absent.stl"]),
        (["--like", "anomaly_shapenet", "--set", "templates=0"], ["templates", "greater than or equal to 1"]),
        (["--like", "anomaly_shapenet", "--set", "offset_size=[0.01, 0.004]"], ["offset_size", "ascending"]),
        (["--like", "anomaly_shapenet", "--set", "half=third"], ["half", "development"]),
        (["--like", "real3d_ad", "--set", "templates=0"], ["templates", "greater than or equal to 1"]),
        (["--like", "real3d_ad", "--set", "trimmed=[0.1, 2]"], ["trimmed", "0.9"]),
        (["--like", "real3d_ad", "--set", "spacing=[0.2, 0.3]"], ["spacing", "0.05"]),
        (["--like", "real3d_ad", "--set", "parts=[unicorn]"], ["unicorn", "whale"]),
        (["--like", "real3d_ad", "--set", "parts=[]"], ["no class is left"]),
        (["--like", "real3d_ad", "--set", "parts=[whale]", "--half", "reported"], ["no class is left", "reported"]),
        (["--like", "real3d_ad", "--jitter", 0.01], ["--jitter", "alike"]),
        (["--like", "real3d_ad", "--size", "small", "--mesh", "absent.stl"], ["absent.stl"]),
    ],
)
def test_bad_benchmark(run, words, named, tmp_path):
    _refused(run("synth", tmp_path / "bench", "--quiet", *words), *named)
    assert everything_in(tmp_path) == set()


def test_bad_sizes(run):
    _refused(run("bench", "ops", "--sizes", "many"), "--sizes", "many")
    _refused(run("bench", "ops", "--sizes", "2"), "--sizes", "64")
