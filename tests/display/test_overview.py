"""The index of a folder is made from the results and pages that are there."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from written_results import written_result

from dusnet.cloud import PointCloud
from dusnet.detectors.base import Scores
from dusnet.display.report import page as pages
from dusnet.display.report import renew_overview, stills, write_report
from dusnet.io import read_cloud, write_cloud
from dusnet.io.marks import kind_of
from dusnet.result import Result
from dusnet.summary import stored_results


@pytest.fixture(autouse=True)
def _quick_pages(monkeypatch):
    monkeypatch.setattr(stills, "SIZE", (110, 80))
    monkeypatch.setattr(pages, "_plotly", lambda: "")


def result_of(out: Path, name: str, *, report: bool = True):
    """A result with a dent, and its page."""
    points = np.stack(np.meshgrid(np.arange(15.0), np.arange(15.0), [0.0], indexing="ij"), axis=-1).reshape(-1, 3)
    path = out.parent / f"{name}.ply"
    write_cloud(path, PointCloud(points))
    cloud = read_cloud(path)
    dent = (points[:, :2] < 4).all(axis=1)
    scores = Scores(np.where(dent, 3.0, 0.1).astype(np.float32), 3.0, threshold=1.0, point_threshold=1.0)
    scores = replace(scores, is_anomalous=True, deviation=np.where(dent, -0.5, 0.0).astype(np.float32))
    found = written_result(out, cloud, scores, unit="mm")
    if report:
        write_report(out / f"{name}.report.html", found, cloud)
    return found


def test_pages_of_earlier_runs_keep_their_link_and_thumbnail(tmp_path):
    out = tmp_path / "out"
    for name in ("a", "b"):
        result_of(out, name)
    assert renew_overview(out, index=True) == []
    first = (out / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'href="\./(\w)\.report\.html">\w', first) == ["a", "b"]
    pictures = re.findall(r'src="(data:image/jpeg;base64,[^"]+)"', first)
    assert len(pictures) == 2
    result_of(out, "c", report=False)
    renew_overview(out, failures=["d.ply is empty."])
    second = (out / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'src="(data:image/jpeg;base64,[^"]+)"', second) == pictures
    assert "c.ply" in second
    assert "d.ply is empty." in second
    assert len((out / "summary.csv").read_text().splitlines()) == 4


def test_an_index_of_others_is_left_alone_and_none_is_made_unasked(tmp_path):
    out = tmp_path / "out"
    result_of(out, "a", report=False)
    renew_overview(out)
    assert not (out / "index.html").exists()
    (out / "index.html").write_text("<html>mine</html>")
    renew_overview(out)
    assert (out / "index.html").read_text() == "<html>mine</html>"


def test_a_result_that_is_read_back_is_the_one_that_was_written(tmp_path):
    written = result_of(tmp_path / "out", "a", report=False)
    read = Result.read(written.json_path)
    same = (
        "stem",
        "scan",
        "verdict",
        "object_score",
        "threshold",
        "is_anomalous",
        "json_path",
        "scored_path",
        "record",
    )
    assert [getattr(read, name) for name in same] == [getattr(written, name) for name in same]
    assert read.defects == written.defects
    assert len(read.defects) == 1
    for name in ("point_scores", "deviation"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))


def test_a_thousand_results_are_listed(tmp_path):
    out = tmp_path / "out"
    text = result_of(out, "a", report=False).json_path.read_text()
    for number in range(1000):
        (out / f"p{number}.json").write_text(text.replace('"a.scored.ply"', f'"p{number}.scored.ply"'))
    results, trouble = stored_results(out)
    assert (len(results), trouble) == (1001, [])
    renew_overview(out)
    assert len((out / "summary.csv").read_text().splitlines()) == 1002


def test_folder_without_results_gets_no_overview(tmp_path):
    assert renew_overview(tmp_path, index=True) == []
    assert renew_overview(tmp_path / "absent") == []
    assert list(tmp_path.iterdir()) == []
    assert kind_of(tmp_path / "index.html") is None
