"""A batch that judges by the height of the first point, so that tests of batches need no model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cli_parts import write_ascii_ply
from written_results import result_of

from dusnet.batch import Batch, Output
from dusnet.cli._streams import show
from dusnet.cloud import PointCloud
from dusnet.detectors.base import Scores
from dusnet.display.report import ReportPage, write_report
from dusnet.progress import Silent
from dusnet.result import Result


class ByHeight(Batch):
    """A scan scores what the z of its first point is; the threshold is 1.

    Args:
        out: folder of the results.
        report: whether to write pages.
        pictures: whether to draw.
        act: called with the name of every scan before it is judged.
    """

    def __init__(self, out: Path, *, report: bool = False, pictures: bool = False, act=lambda _: None) -> None:
        super().__init__(Output(out, Silent(), show, report=report, pictures=pictures))
        self._act = act

    def _score(self, cloud: PointCloud, stem: str) -> Result:
        assert cloud.path is not None
        self._act(cloud.path.name)
        score = float(cloud.points[0, 2])
        values = np.full(len(cloud), score, dtype=np.float32)
        scores = Scores(values, score, threshold=1.0, point_threshold=1.0, is_anomalous=score > 1.0)
        return result_of(cloud, scores, model="height", unit="mm", stem=stem)

    def _page(self, page: Path, result: Result, cloud: PointCloud) -> ReportPage:
        return write_report(page, result, cloud)


def scan(path: Path, score: float = 0.5) -> Path:
    """A scan that scores so much."""
    points = np.random.default_rng(1).normal(size=(150, 3))
    points[0, 2] = score
    return write_ascii_ply(path, points)
