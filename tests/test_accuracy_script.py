from __future__ import annotations

import importlib
import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation
from sklearn.metrics import roc_auc_score

from dusnet.cloud import Frame
from dusnet.data import open_dataset
from dusnet.synthesis.likeness.real3d_ad import Real3dAdPlan
from dusnet.synthesis.likeness.real3d_ad_settings import Real3dAdLike
from dusnet.synthesis.settings import BenchmarkSettings
from dusnet.synthesis.specimens import load_parts
from dusnet.synthesis.toys import TOYS
from dusnet.synthesis.writer import write_dataset

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
SMALL = {"seed": 3, "train": 2, "good": 2, "points": 900, "noise": 0.0}


@pytest.fixture(scope="module")
def accuracy() -> Iterator[ModuleType]:
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    script = importlib.import_module("accuracy")
    full = {**SMALL, "layout": "anomaly_shapenet", "pose": "near", "per_kind": 1, "kinds": ("bulge", "broken")}
    single = {**SMALL, "layout": "real3d_ad", "pose": "any", "per_kind": 1, "variation": 0.0}
    monkeypatch.setattr(script, "SETS", {"full-000": {**full, "variation": 0.0}, "single-010": single})
    monkeypatch.setattr(script, "HALVES", {**script.HALVES, "dev": script.Half((), ("hook",), ("hook",))})
    yield script
    monkeypatch.undo()


@pytest.fixture(scope="module")
def truth(accuracy: ModuleType) -> ModuleType:
    return importlib.import_module(accuracy.count_poses.__module__)


@pytest.fixture(scope="module")
def single_views(accuracy: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("views")
    accuracy.make(folder, accuracy.HALVES["dev"], None, ["single-010"], accuracy.Silent())
    return folder


def test_the_halves_share_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    script = runpy.run_path(str(BENCHMARKS / "accuracy.py"))
    halves, settings_of = script["HALVES"], script["settings_of"]
    dev, reported = halves["dev"], halves["reported"]
    assert not set(dev.meshes) & set(reported.meshes)
    assert not {*dev.procedural, *dev.jittered} & {*reported.procedural, *reported.jittered}
    for name in script["SETS"]:
        assert settings_of(name, dev, None).parts == (dev.jittered if name == "jitter" else dev.procedural)


def test_a_likeness_is_written_in_the_classes_of_the_half(accuracy: ModuleType, monkeypatch, tmp_path: Path) -> None:
    asked = []
    monkeypatch.setattr(accuracy, "write_dataset", lambda out, plan, **_: asked.append((out, set(plan.classes()))))
    for half in ("dev", "reported"):
        words = ["--quiet", "make", str(tmp_path / half), "--half", half, "--set", "like-real3d-ad"]
        assert accuracy.main(words) == 0
    assert [out for out, _ in asked] == [tmp_path / half / "like-real3d-ad" for half in ("dev", "reported")]
    assert min(len(classes) for _, classes in asked) >= 8
    assert not asked[0][1] & asked[1][1]


def test_sets_are_written_evaluated_and_tabulated(accuracy: ModuleType, tmp_path: Path, capsys) -> None:
    data, results = tmp_path / "data", tmp_path / "results"
    assert accuracy.main(["--quiet", "make", str(data), "--half", "dev", "--set", "full-000"]) == 0
    dataset = open_dataset(data / "full-000")
    assert [sample.kind for sample in dataset.test("hook")] == ["broken", "bulge", "good", "good"]
    words = ["--quiet", "run", str(data), "--detectors", "nearest", "--seeds", "2", "--out", str(results)]
    assert accuracy.main(words) == 0
    capsys.readouterr()
    assert accuracy.main(["table", str(results)]) == 0
    board, kinds = capsys.readouterr().out.split("O-AUROC / P-AP per kind of defect:")
    rows = json.loads((results / "full-000" / "results.json").read_text())["rows"]
    areas = [row["metrics"]["o_auroc"] for row in rows]
    assert len(areas) == 2
    line = next(line for line in board.splitlines() if line.startswith("| full-000 | nearest | 1 |"))
    assert line.split("|")[4].strip() == f"{np.mean(areas):.3f} ± {np.std(areas, ddof=1):.3f}"
    expected = []
    for row in rows:
        mine = [scan for scan in row["scans"] if scan["kind"] in ("good", "bulge")]
        expected.append(roc_auc_score([s["anomalous"] for s in mine], [s["object_score"] for s in mine]))
    titles = [cell.strip() for cell in kinds.strip().splitlines()[0].split("|")]
    cells = [cell.strip() for cell in kinds.strip().splitlines()[2].split("|")]
    assert cells[titles.index("bulge")].split(" / ")[0] == f"{np.mean(expected):.3f}"
    assert 0.0 < float(cells[titles.index("bulge")].split(" / ")[1]) <= 1.0


def test_the_table_averages_detectors_over_the_sets_that_all_have(accuracy: ModuleType) -> None:
    rows = importlib.import_module("dusnet.evaluation.rows")
    record = {
        "detector": "a",
        "class_name": "hook",
        "seed": 0,
        "metrics": dict.fromkeys(rows.METRICS, 0.5),
        "reasons": {},
        "kinds": (),
        **dict.fromkeys(("train_scans", "test_scans", "test_points"), 1),
        **dict.fromkeys(("train_seconds", "score_seconds", "scans_per_second", "peak_memory_mib", "model_mb"), 2.0),
        "train_resumed": False,
        "peak_memory_scope": "row",
        **dict.fromkeys(("calibrate_seconds", "peak_gpu_mib", "false_alarms", "found", "recognized"), None),
        "device": "cpu",
        "scans": (),
        "fingerprint": "",
    }
    first = rows.Row(**record)
    second = rows.Row(**{**record, "metrics": dict.fromkeys(rows.METRICS, 0.9)})
    other = rows.Row(**{**record, "detector": "b"})
    board = accuracy.leaderboard({"one": [first, other], "two": [second]})
    assert "| mean of sets | a |  | 0.700 | 0.700 | 0.700 | 0.700 | 2.00 | 2.0 |" in board
    assert "| mean of sets | b |" not in board


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["make", "{}/data", "--half", "dev", "--set", "half"], "no set 'half'"),
        (["run", "{}", "--detectors", "nearest", "--out", "{}/out"], "holds no sets"),
        (["table", "{}"], "holds no results"),
        (["poses", "{}"], "holds no sets"),
    ],
)
def test_mistakes_are_named(accuracy: ModuleType, tmp_path: Path, capsys, words: list[str], message: str) -> None:
    assert accuracy.main([word.format(tmp_path) for word in words]) == 2
    assert message in capsys.readouterr().err


def test_missing_meshes_are_named(accuracy: ModuleType, monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setattr(accuracy, "HALVES", {"dev": accuracy.Half(("duck",), ("hook",), ("hook",))})
    words = ["make", str(tmp_path / "data"), "--half", "dev", "--meshes", str(tmp_path)]
    assert accuracy.main(words) == 2
    assert "duck.ply is missing" in capsys.readouterr().err


def distances(mesh, points: np.ndarray) -> np.ndarray:
    surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    return trimesh.proximity.closest_point_naive(surface, points)[1]


def test_the_true_pose_takes_every_scan_off_the_nominal_surface(
    accuracy: ModuleType, truth: ModuleType, single_views: Path
) -> None:
    settings = accuracy.settings_of("single-010", accuracy.HALVES["dev"], None)
    (part,) = load_parts(settings)
    manifest = json.loads((single_views / "single-010" / "benchmark.json").read_text())
    for scan in manifest["scans"]:
        posed = truth.true_pose(part, scan, settings, single_views / "single-010" / scan["file"])
        np.testing.assert_allclose(posed.matrix[:3, :3] @ posed.matrix[:3, :3].T, np.eye(3), atol=1e-12)
        back = (posed.points - posed.matrix[:3, 3]) @ posed.matrix[:3, :3]
        off = distances(part.mesh, back[~posed.labels][:25])
        assert np.median(off) < 1e-3
        # up to a tenth of the amplitude, which is up to a tenth of the radius, a moved point counts as undamaged
        assert off.max() < (1e-3 if scan["kind"] == "good" else 0.01 * part.radius)
    wrong = {**manifest["scans"][0], "entropy": manifest["scans"][1]["entropy"]}
    with pytest.raises(truth.BadInput, match="write the benchmark again"):
        truth.true_pose(part, wrong, settings, single_views / "single-010" / wrong["file"])


def test_the_true_pose_takes_scans_of_a_toy_off_its_nominal_surface(truth: ModuleType, tmp_path: Path) -> None:
    settings = Real3dAdLike.model_validate(
        {"parts": ("heart",), "templates": 1, "good": 1, "defective": 1, "spacing": (0.03, 0.03), "half": "both"}
        | {"density_ratio": (1.0, 1.0), "density_spread": 1.0, "variation": 0.0, "noise": (0.0001, 0.0001)}
    )
    plan = Real3dAdPlan(settings)
    write_dataset(tmp_path, plan)
    scans = {one["file"]: one for one in json.loads((tmp_path / "benchmark.json").read_text())["scans"]}
    mesh = TOYS["heart"]().mesh()
    radius = Frame.of(mesh.vertices).scale
    for planned in plan.scans():
        file = planned.scan.as_posix()
        posed = truth.true_toy_pose(plan, scans[file], planned, tmp_path / file)
        back = (posed.points - posed.matrix[:3, 3]) @ posed.matrix[:3, :3]
        # What is left is the relief, the seam of a template and a rest of the defect.
        assert np.median(distances(mesh, back[~posed.labels][:50])) < 0.01 * radius
        assert np.median(distances(mesh, posed.points[:50])) > 0.05 * radius, "the scan itself lies elsewhere"
    with pytest.raises(truth.BadInput, match="write the benchmark again"):
        truth.true_toy_pose(plan, {**scans[file], "entropy": [0, 1, 2, 3]}, planned, tmp_path / file)


def test_symmetric_poses_are_right_and_others_are_not(truth: ModuleType, tmp_path: Path) -> None:
    box = trimesh.creation.box((40.0, 40.0, 10.0))
    box.export(tmp_path / "block.ply")
    (part,) = load_parts(BenchmarkSettings(parts=(), meshes=(tmp_path / "block.ply",)))
    points = np.asarray(box.sample(2000, seed=0))
    top = points[points[:, 2] > 4.9]
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_rotvec((0.3, 0.2, 0.9)).as_matrix(), (5.0, -3.0, 8.0)
    seen = truth.Posed(top @ pose[:3, :3].T + pose[:3, 3], np.zeros(len(top), dtype=bool), pose)
    judge = truth.PoseJudge(part, np.eye(4))

    def answers(axis: tuple[float, float, float], degrees: float, shift: tuple[float, float, float]) -> list[bool]:
        extra = np.eye(4)
        extra[:3, :3] = Rotation.from_rotvec(np.deg2rad(degrees) * np.array(axis)).as_matrix()
        extra[:3, 3] = shift
        return [distance > truth.MISREGISTERED for distance in judge(seen, extra @ np.linalg.inv(pose))]

    assert answers((0, 0, 1), 0.0, (0, 0, 0)) == [False, False]
    assert answers((0, 0, 1), 90.0, (0, 0, 0)) == [False, False]
    assert answers((1, 0, 0), 180.0, (0, 0, 0)) == [False, False]
    assert answers((0, 0, 1), 45.0, (0, 0, 0)) == [True, True]
    # the top on the bottom's place without being turned: what is visible fits, the rest sticks out
    assert answers((0, 0, 1), 0.0, (0, 0, -10.0)) == [False, True]
    damaged = truth.Posed(np.vstack([seen.points, seen.points + 20.0]), np.repeat([False, True], len(top)), pose)
    assert judge(damaged, np.linalg.inv(pose))[0] < 0.01


def test_wrong_poses_are_counted_per_part(accuracy: ModuleType, single_views: Path, capsys) -> None:
    assert accuracy.main(["--quiet", "poses", str(single_views), "--method", "none"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| hook |"))
    scans, off, whole, flagged, caught = (int(number) for number in re.findall(r"\d+", line)[:5])
    assert scans == off == whole == 4
    assert line.endswith("| 1 of 1 |")
    assert caught == flagged == 0  # the limit follows the training scans, which lie as badly


def test_right_poses_are_not_counted(accuracy: ModuleType, truth: ModuleType, tmp_path: Path) -> None:
    settings = accuracy.settings_of("full-000", accuracy.HALVES["dev"], None)
    accuracy.write_benchmark(tmp_path, settings.model_copy(update={"good": 1, "kinds": ("bulge",)}))
    (found,) = truth.count_poses(tmp_path, "icp", accuracy.Silent())
    assert (found.scans, found.off_surface, found.off_pose, found.flagged, found.train) == (2, 0, 0, 0, (0, 1))
    assert 0.0 < found.residuals.max() < 0.01
