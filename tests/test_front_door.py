"""`import dusnet`: what a Python user can type, from the README alone."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dusnet
from dusnet.cli import main
from dusnet.cloud import PointCloud
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig, BadInput
from dusnet.io import write_cloud
from dusnet.scans import entries_of, files_in

REPOSITORY = Path(__file__).resolve().parent.parent
QUICK = {"registration.method": "icp", "registration.points": 500, "calibration.replicas": 2}
HEAVY = ("torch", "numpy", "open3d", "plotly", "lightning_fabric", "scipy", "pydantic", "typer")


def block(seed: int, count: int = 1000, bump: float = 0.0) -> np.ndarray:
    """Points on a block of 60 x 40 x 20 with a step, which no turn maps to itself."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, 3))
    axis, side = rng.integers(0, 3, count), rng.integers(0, 2, count)
    points[np.arange(count), axis] = side
    points *= [60.0, 40.0, 20.0]
    points[(points[:, 0] > 40) & (points[:, 1] > 25) & (points[:, 2] > 19.9), 2] -= 8.0
    top = (points[:, 2] > 19.9) & (np.hypot(points[:, 0] - 20, points[:, 1] - 20) < 7)
    points[top, 2] += bump
    return points


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three good scans."""
    folder = tmp_path_factory.mktemp("scans") / "good_scans"
    for seed in range(3):
        write_cloud(folder / f"good{seed}.ply", PointCloud(block(seed)))
    return folder


@pytest.fixture
def model(good: Path) -> dusnet.Model:
    return dusnet.fit(good, detector="nearest", settings=QUICK)


def test_the_import_is_quick_and_loads_nothing():
    code = (
        "import sys, time; start = time.process_time(); import dusnet; took = time.process_time() - start\n"
        f"assert not set({HEAVY!r}) & set(sys.modules), sorted(sys.modules)\n"
        "assert took < 0.1, took\n"
        "assert {'fit', 'load', 'read', 'Model', 'Result', 'PointCloud'} <= set(dir(dusnet))\n"
        "from dusnet import BadInput; assert 'torch' not in sys.modules\n"
        "from dusnet import PointCloud; assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        dusnet.train  # noqa: B018


def public(kind: type) -> list[str]:
    lines = []
    own = {}
    for one in reversed(kind.__mro__):
        own |= vars(one) if one.__module__.startswith("dusnet.") else {}
    for name, value in sorted(own.items()):
        if name.startswith("_") or name in ("model_config", "model_post_init"):
            continue
        called = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        shown = str(inspect.signature(called)) if inspect.isfunction(called) else ""
        if inspect.isfunction(called) or isinstance(value, property):
            lines.append(f"{kind.__name__}.{name}{shown}")
    return lines


def test_the_public_names_and_signatures_are_those_that_were_published():
    """A change here is a change for users: say it in the changelog, then write the new lines into the file."""
    lines = []
    for name in dusnet.__all__:
        value = getattr(dusnet, name)
        lines.append(f"{name}{inspect.signature(value)}" if inspect.isfunction(value) else name)
    for kind in (dusnet.Model, dusnet.Result, dusnet.PointCloud):
        lines += public(kind)
        fields = getattr(kind, "model_fields", None) or getattr(kind, "__dataclass_fields__", {})
        lines += [f"{kind.__name__}.{name}: field" for name in fields]
    published = (Path(__file__).with_name("public_api.txt")).read_text().splitlines()
    assert lines == published


def test_the_lines_of_the_readme_run(tmp_path, monkeypatch):
    """As they are, but for the settings of a quick method."""
    text = (REPOSITORY / "README.md").read_text()
    (lines,) = re.findall(r"## From Python\n.*?```python\n(.*?)```", text, re.DOTALL)
    assert len([line for line in lines.splitlines() if line.strip()]) <= 14
    for name in ("good_scans", "more_good"):
        (tmp_path / name).mkdir()
    for seed in range(6):
        folder = tmp_path / ("good_scans" if seed < 3 else "more_good")
        write_cloud(folder / f"{seed}.ply", PointCloud(block(seed)))
    write_cloud(tmp_path / "scan.ply", PointCloud(block(9, bump=6.0)))
    monkeypatch.chdir(tmp_path)
    honest = dusnet.fit
    monkeypatch.setitem(
        dusnet.__dict__, "fit", lambda *given, **named: honest(*given, **named, detector="nearest", settings=QUICK)
    )
    names: dict[str, object] = {}
    exec(lines, names)  # noqa: S102
    result = names["result"]
    assert isinstance(result, dusnet.Result)
    assert result.verdict.status.value == "NG"
    assert {"scan.json", "scan.scored.ply"} <= {path.name for path in (tmp_path / "results").iterdir()}
    assert isinstance(names["model"], dusnet.Model)


def test_paths_clouds_and_arrays_are_the_same(good, model):
    arrays = [block(seed) for seed in range(3)]
    scan = block(9, bump=6.0)
    expected = model.score(PointCloud(scan))
    for source in (str(good), sorted(good.iterdir()), [PointCloud(one) for one in arrays], np.stack(arrays)):
        found = dusnet.fit(source, detector="nearest", settings=QUICK).score(scan)
        # Files hold 32 bits, arrays 64.
        np.testing.assert_allclose(found.point_scores, expected.point_scores, atol=1e-4)
    np.testing.assert_array_equal(model.score(scan).point_scores, expected.point_scores)


def test_scoring_writes_nothing_and_the_result_is_what_was_measured(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = dusnet.fit(good, detector="nearest", settings=QUICK).score(block(9, bump=6.0))
    assert list(tmp_path.iterdir()) == []
    assert (result.verdict.status.value, result.stem, result.unit) == ("NG", "scan", "mm")
    assert result.point_scores.shape == (1000,)
    worst = result.defects[0]
    np.testing.assert_allclose(worst.center[:2], [20, 20], atol=3)
    assert result.object_score > (result.threshold or 0.0)
    written = result.write("results")
    assert written == Path("results/scan.json")
    again = dusnet.Result.read(written)
    assert again == result
    np.testing.assert_array_equal(again.point_scores, result.point_scores)
    with pytest.raises(ValueError, match="read from its files"):
        again.write("elsewhere")


def test_fit_calibrates_and_calibrate_adds(model, tmp_path):
    (part,) = model.detector.detectors
    before = part.calibration
    assert before is not None
    added = model.calibrate([block(4), block(5)])
    assert (added.counts, added.failures, added.refused) == ((2,), (), ())
    assert part.calibration is not None
    assert part.calibration.added.objects == tuple(sorted(score for score in added.scores if score is not None))
    with pytest.raises(dusnet.BadConfig, match="has learned from all scans or has them in its calibration"):
        model.calibrate(block(4))
    model.save(tmp_path / "block.safetensors")
    again = dusnet.load(str(tmp_path / "block.safetensors"))
    assert again.detector.detectors[0].calibration == part.calibration
    scan = block(9)
    assert again.score(scan).object_score == model.score(scan).object_score
    assert (again.sha256, again.unit) == (model.sha256, "mm")
    assert again.score(scan).model.id == "block.safetensors"
    assert model.score(scan).record["model"] == again.score(scan).record["model"]


def test_the_same_files_are_added_from_python_and_on_the_command_line(model, tmp_path, capsys):
    folder = tmp_path / "more"
    scan = folder / "new.ply"
    write_cloud(scan, PointCloud(block(7)))
    model.score(scan).write(folder)
    (folder / "notes.txt").write_text("by hand")
    assert entries_of(folder, dataset=False) == files_in([folder]) == [scan]
    assert entries_of([scan, folder / "new.scored.ply"]) == [scan]
    with pytest.raises(BadInput, match="no result of dusnet"):
        entries_of(folder / "new.scored.ply")
    file = tmp_path / "m.safetensors"
    model.save(file)
    assert len(model.calibrate(folder).scores) == 1
    assert main(["calibrate", str(file), str(folder), "--quiet"]) == 0
    assert "1 good scan added" in capsys.readouterr().out


def test_a_detector_that_is_not_that_of_the_model_is_one_sentence(model, good, tmp_path, capsys):
    file, scan = tmp_path / "m.safetensors", good / "good0.ply"
    model.save(file)
    for verb in (["score", str(file), str(scan), "--out", str(tmp_path / "out")], ["calibrate", str(file), str(scan)]):
        assert main([*verb, "--detector", "cras"]) == 2
        assert "is a model of the detector nearest, not of cras; leave" in capsys.readouterr().err
    with pytest.raises(BadConfig, match="not of cras"):
        dusnet.load(file, detector="cras")


def test_a_unit_is_that_of_the_scan(model):
    scan = block(9, bump=6.0)
    in_mm, in_cm = model.score(scan), model.score(scan / 10, unit="cm")
    assert in_cm.object_score == pytest.approx(in_mm.object_score, rel=1e-3)
    np.testing.assert_allclose(in_cm.defects[0].center, np.array(in_mm.defects[0].center) / 10, atol=1e-2)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (3, "an object of the type int is no scan; give the path of a file, a PointCloud, or coordinates"),
        (None, "of the type NoneType is no scan"),
        (np.zeros((4, 2)), r"an array of the shape \(4, 2\) is no scan"),
        (np.array([["a", "b", "c"]]), "an array of this kind holds no coordinates"),
        ("nothing.ply", "nothing.ply"),
        (".", "is a folder, but one scan is needed"),
        (np.full((30, 3), np.nan), "NaN"),
        (np.zeros((30, 3)), "identical"),
    ],
    ids=range(8),
)
def test_what_is_no_scan_is_one_sentence(model, wrong, words):
    with pytest.raises(dusnet.BadInput, match=words):
        model.score(wrong)


@pytest.mark.parametrize("source", [[], 3, [3], np.zeros((4, 2)), "nowhere/"])
def test_what_is_no_source_is_one_sentence(source):
    with pytest.raises(dusnet.BadInput):
        dusnet.fit(source, detector="nearest")


def test_settings_are_checked(good):
    for words in ({"settings": {"scoring.gapp": 0}}, {"detector": "nearst"}, {"unit": "parsec"}, {"config": "papr"}):
        with pytest.raises(dusnet.BadConfig):
            dusnet.fit(good, **words)
    with pytest.raises(dusnet.BadConfig, match="given as they are"):
        dusnet.fit(good, config=Settings(), detector="nearest")


def test_a_folder_of_several_classes_is_named(tmp_path):
    for name in ("a", "b"):
        write_cloud(tmp_path / name / "normal" / "0.ply", PointCloud(block(0)))
    with pytest.raises(dusnet.BadInput, match=r"holds 2 classes \(a, b\)"):
        entries_of(tmp_path)


def test_a_frame_holds_the_points(model, monkeypatch):
    result = model.score(block(9))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(dusnet.MissingDependency, match="pip install pandas"):
        result.to_frame()
    monkeypatch.undo()
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = result.to_frame()
    assert list(frame.columns)[:4] == ["x", "y", "z", "anomaly_score"]
    np.testing.assert_array_equal(frame["anomaly_score"].to_numpy(), result.point_scores)


def test_a_setting_that_the_detector_does_not_read_is_refused():
    with pytest.raises(BadConfig, match=r"noise\.alpha"):
        dusnet.fit([np.zeros((10, 3))], settings={"noise.alpha": 0.5})


def test_one_number_is_no_scan():
    with pytest.raises(BadInput):
        dusnet.fit(np.array(3.0))
