"""Pages and pictures in the frame of the part: the same sides, thumbnails and places for a scan in any pose."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frame_parts import moved, pose
from PIL import Image
from report_parts import CENTERS, answer, ellipsoid
from test_view3d import unpacked
from written_results import written_result

import dusnet.display.report.page as page_module
import dusnet.display.report.stills as stills_module
from dusnet.cloud import PointCloud
from dusnet.display.loaded_result import read_loaded_result
from dusnet.display.report import ReportPage, write_report
from dusnet.display.report.placed import PlacedResult
from dusnet.display.scene import Scene
from dusnet.inspection.result_parts import PartFrame
from dusnet.registration import Alignment
from dusnet.result import Result

POSES = (1, 2, 3)


def scored(out: Path, seed: int | None, *, known: bool = True, count: int = 3000) -> tuple[Result, PointCloud]:
    """A scan with two defects in a random pose (None: in the frame of the part), with its written result."""
    points, motion = ellipsoid(count), np.eye(4) if seed is None else pose(seed)
    alignment = Alignment(np.linalg.inv(motion), 0.002, 0.99, "global")
    scores = replace(answer(points, 2), reconstruction=moved(points[::3], motion), alignment=alignment)
    cloud = PointCloud(moved(points, motion))
    frame = PartFrame.behind(alignment.matrix, "first training scan") if known else None
    return written_result(out, cloud, scores, stem=f"s{seed}", unit="mm", part_frame=frame), cloud


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[int | str | None, tuple[ReportPage, str]]:
    """Of the scan in each pose; `unknown` is in one of them, and its result knows no frame of the part."""
    found: dict[int | str | None, tuple[ReportPage, str]] = {}
    out = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stills_module, "SIZE", (220, 161))
        patch.setattr(page_module, "_plotly", lambda: "/* plotly */")
        for seed in (None, *POSES, "unknown"):
            scan = scored(out, 1, known=False) if isinstance(seed, str) else scored(out, seed)
            page = write_report(out / f"{seed}.report.html", *scan)
            found[seed] = page, page.path.read_text(encoding="utf-8")
    return found


def scene_of(page: str) -> dict[str, Any]:
    return json.loads(re.findall(r'id="scene">(.*?)</script>', page)[0])


def stills_of(page: str) -> list[np.ndarray]:
    found = re.findall(r'<figure><img alt="[^"]*" src="data:image/jpeg;base64,([^"]*)"', page)
    return [picture(b64decode(jpeg)) for jpeg in found]


def captions(page: str) -> list[str]:
    return re.findall(r"<figcaption>(.*?)</figcaption>", page)


def picture(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(jpeg)).convert("RGB"), dtype=np.float64)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean over the pixels, 0 to 255; infinite for pictures of different sizes."""
    return float(np.abs(one - other).mean()) if one.shape == other.shape else np.inf


def test_sides_and_thumbnails_are_the_same_in_every_pose(pages):
    known, known_page = pages[None]
    assert captions(known_page)[1] == "Right, from +X; defects seen: 2"
    assert captions(known_page)[3] == "Back, from +Y"
    for seed in POSES:
        page, text = pages[seed]
        assert captions(text) == captions(known_page)
        assert difference(picture(page.thumbnail), picture(known.thumbnail)) < 3.0
        for still, same in zip(stills_of(text), stills_of(known_page), strict=True):
            assert difference(still, same) < 3.0
        assert "axes of the frame of the part (that of the first training scan)." in text
    page, text = pages["unknown"]
    assert captions(text) != captions(known_page)
    assert difference(picture(page.thumbnail), picture(known.thumbnail)) > 10.0
    assert "The sides lie along the axes of the scan." in text


def test_the_view_is_that_of_the_part_and_knows_the_way_back_to_the_scan(pages):
    same = scene_of(pages[None][1])
    for seed in POSES:
        scene = scene_of(pages[seed][1])
        for axis, other in zip(scene["axes"], same["axes"], strict=True):
            np.testing.assert_allclose(axis["range"], other["range"], atol=1e-6)
            np.testing.assert_allclose(axis["at"], other["at"], atol=1e-6)
            assert axis["text"] == other["text"]
        places = np.stack([unpacked(scene["points"][axis], "f4") for axis in "xyz"], axis=1) + scene["origin"]
        np.testing.assert_allclose(places, ellipsoid(3000), atol=1e-4)
        np.testing.assert_allclose(scene["toScan"], pose(seed)[:3], atol=1e-9)
        assert scene["sides"] == same["sides"]
        for defect, other in zip(scene["defects"], same["defects"], strict=True):
            np.testing.assert_allclose(np.sort(defect["lines"], axis=0), np.sort(other["lines"], axis=0), atol=1e-3)
            for end in ("center", "eye", "up"):
                found, expected = ([one["camera"][end][axis] for axis in "xyz"] for one in (defect, other))
                np.testing.assert_allclose(found, expected, atol=1e-3)
    assert scene_of(pages["unknown"][1])["toScan"] is None


def test_the_table_has_the_place_in_the_part_over_that_in_the_scan(tmp_path, pages):
    result, page = scored(tmp_path, 2)[0], pages[2][1]
    assert "X, Y and Z are in the frame of the part (that of the first training scan)." in page
    rows = re.findall(r"<tr data-defect.*?</tr>", page)
    cell = re.compile(r'<td data-value="([^"]*)">([−\d.]+)<br><span class="unit">([−\d.]+)</span></td>')
    for row, defect in zip(rows, result.defects, strict=True):
        places = [[float(word.replace("−", "-")) for word in words] for words in cell.findall(row)]
        in_part, own = np.array(places)[:, 1], np.array(places)[:, 2]
        np.testing.assert_allclose(np.array(places)[:, 0], defect.center_in_part)
        np.testing.assert_allclose(in_part, defect.center_in_part, atol=1e-3)
        np.testing.assert_allclose(own, defect.center, atol=1e-3)
        assert np.linalg.norm(CENTERS[:2] - in_part, axis=1).min() < 3.0
        assert np.linalg.norm(own - in_part) > 10.0


def test_defects_are_moved_whole(tmp_path):
    result, cloud = scored(tmp_path, 3)
    placed = PlacedResult.of(result, cloud)
    for defect, before in zip(placed.defects, result.defects, strict=True):
        mine = placed.cloud.points[before.indices]
        np.testing.assert_allclose(defect.bounds.low, mine.min(axis=0), atol=1e-9)
        np.testing.assert_allclose(defect.bounds.high, mine.max(axis=0), atol=1e-9)
        np.testing.assert_allclose(defect.center, mine.mean(axis=0), atol=1e-9)
        np.testing.assert_allclose(np.ptp(mine @ np.array(defect.axes).T, axis=0), defect.size, atol=1e-9)
        np.testing.assert_array_equal(defect.indices, before.indices)


def test_pictures_of_a_result_are_taken_from_one_side_whatever_the_pose(tmp_path):
    """What `dusnet view` and `--png` draw: the camera is turned with the part, the points stay where they are."""
    seen = {}
    for seed in (None, *POSES):
        result, _ = scored(tmp_path, seed)
        scene = Scene(read_loaded_result(result.scored_path))
        seen[seed] = scene.camera.project(scene.loaded.cloud.points)
    for seed in POSES:
        np.testing.assert_allclose(seen[seed], seen[None], atol=1e-5)
    result, _ = scored(tmp_path, 1, known=False)
    scene = Scene(read_loaded_result(result.scored_path))
    assert np.abs(scene.camera.project(scene.loaded.cloud.points) - seen[None]).max() > 0.1
