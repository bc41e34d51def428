"""What `view` shows of files, and the window."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from written_results import result_of

from dusnet.cloud import PointCloud
from dusnet.detectors.base import Scores
from dusnet.display.loaded_result import LoadedResult, read_loaded_result, viewable_files
from dusnet.display.panels import Panel
from dusnet.display.scene import Scene
from dusnet.display.view import view
from dusnet.display.window.viewer import arrange, open_window
from dusnet.errors import BadInput
from dusnet.io import write_cloud

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def sphere(count: int = 1500) -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.fixture
def result(tmp_path) -> Path:
    """A folder with the result of one scan."""
    folder = tmp_path / "results"
    points = sphere()
    scores = np.where(points[:, 2] > 0.85, 3.0, 0.2).astype(np.float32)
    write_cloud(folder / "part.scored.ply", PointCloud(points), scalars={"anomaly_score": scores})
    write_cloud(folder / "part.reconstruction.ply", PointCloud(points[::3]))
    given = Scores(scores, 2.5, threshold=1.0, point_threshold=0.9, is_anomalous=True)
    record = result_of(PointCloud(points), given, stem="part").record
    (folder / "part.json").write_text(json.dumps(record))
    return folder


def test_a_result_shows_scan_and_reconstruction(result):
    scene = Scene(read_loaded_result(result / "part.scored.ply"))
    scan, rebuilt = scene.panels()
    assert (scan.title, rebuilt.title) == ("part", "without defects")
    assert scan.caption.startswith("NG: defect, ")
    assert scan.caption.endswith(" 1,500 points")
    assert scan.values is not None
    np.testing.assert_allclose(sorted(set(scan.values)), [0.2, 3.0], rtol=1e-6)
    assert (scene.threshold, scene.heat_limits) == (0.9, (0.0, 1.8))
    assert len(Scene(read_loaded_result(result / "part.scored.ply", reconstruction=False)).panels()) == 1


def test_without_json_and_reconstruction_the_scores_are_shown(result):
    (result / "part.json").unlink()
    (result / "part.reconstruction.ply").unlink()
    scene = Scene(read_loaded_result(result / "part.scored.ply"))
    assert len(scene.panels()) == 1
    assert scene.loaded.point_threshold is None


def test_files_that_folders_and_results_stand_for(result, tmp_path):
    assert viewable_files([result]) == [result / "part.scored.ply"]
    assert viewable_files([result / "part.json"]) == [result / "part.scored.ply"]
    write_cloud(tmp_path / "scans" / "b.ply", PointCloud(sphere(20)))
    write_cloud(tmp_path / "scans" / "a.pcd", PointCloud(sphere(20)))
    assert [path.name for path in viewable_files([tmp_path / "scans"])] == ["a.pcd", "b.ply"]


def test_pictures_of_results_and_scans(result, tmp_path):
    scan = tmp_path / "scan.ply"
    write_cloud(scan, PointCloud(sphere(), colors=np.full((1500, 3), 90, np.uint8)))
    view([result, scan], png=tmp_path / "mixed.png", width=500)
    view([scan, scan, scan, scan, scan], png=tmp_path / "grid.png", width=400)
    mixed, grid = (np.asarray(Image.open(tmp_path / name)) for name in ("mixed.png", "grid.png"))
    assert mixed.shape[1] == 500
    assert grid.shape[1] == 400
    assert grid.std() > 10
    assert (mixed[:, :250, 0].astype(int) - mixed[:, :250, 2] > 60).sum() > 50
    ink = (grid != 255).any(axis=-1)
    assert ink[len(ink) // 2 :, :100].any()
    assert not ink[len(ink) * 3 // 5 :, 110:].any()  # the fifth stands alone in the second row


def test_ground_truth_is_a_panel(tmp_path):
    points = sphere()
    path = tmp_path / "labelled.ply"
    write_cloud(path, PointCloud(points), scalars={"label": (points[:, 0] > 0.9).astype(np.uint8)})
    panels = Scene(read_loaded_result(path)).panels()
    assert [panel.title for panel in panels] == ["labelled.ply", "ground truth"]
    assert panels[1].caption.startswith(f"{int((points[:, 0] > 0.9).sum()):,} of 1,500")


def test_bad_files_are_named(result, tmp_path):
    write_cloud(tmp_path / "bare.scored.ply", PointCloud(sphere(20)))
    with pytest.raises(BadInput, match=r"bare\.scored\.ply has no property anomaly_score"):
        read_loaded_result(tmp_path / "bare.scored.ply")
    (result / "part.json").write_text("{")
    with pytest.raises(BadInput, match=r"part\.json is no valid JSON"):
        read_loaded_result(result / "part.scored.ply")
    (result / "part.json").write_text("[]")
    with pytest.raises(BadInput, match=r"part\.json is no result"):
        read_loaded_result(result / "part.scored.ply")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="empty holds no scans"):
        viewable_files([tmp_path / "empty"])
    with pytest.raises(BadInput, match=r"other\.scored\.ply"):
        viewable_files([tmp_path / "other.json"])
    with pytest.raises(BadInput, match="does not exist"):
        viewable_files([tmp_path / "nothing.ply"])


def test_panels_in_a_window_do_not_touch():
    points = sphere(300) * [3.0, 1.0, 0.5]
    panels = [Panel("a", points), Panel("b", points), Panel("c", points, scene=1)]
    first, second, third = arrange(panels)
    assert first[:, 0].max() < second[:, 0].min()
    assert third[:, 1].max() < first[:, 1].min()
    np.testing.assert_allclose(first - first[0], second - second[0], atol=1e-12)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="displays are X11's on Linux only")
@pytest.mark.parametrize("display", ["", ":97"])
def test_without_a_display_the_way_out_is_named(monkeypatch, display):
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(BadInput, match="--png FILE"):
        open_window([Scene(LoadedResult("a", PointCloud(sphere(50))))])


@pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="xvfb-run is not installed (apt-get install xvfb)")
def test_the_window_opens_and_closes(result):
    code = (
        "import sys; from pathlib import Path; from dusnet.display.loaded_result import read_loaded_result;"
        "from dusnet.display.scene import Scene; from dusnet.display.window.viewer import open_window;"
        "open_window([Scene(read_loaded_result(Path(sys.argv[1])))], threshold=0.9, seconds=0.5); print('closed')"
    )
    environment = {name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"}
    command = ["xvfb-run", "-a", sys.executable, "-c", code, str(result / "part.scored.ply")]
    run = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().endswith("closed")
