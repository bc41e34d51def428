"""GEOREG: anchors of the registered scan against the template points around them, by distance, plane and normal.

After the public project zhangbaozha/GEOREG-AD (GeoReg3DAD, 2026, training-free, no paper). Registration is this
package's own; `docs/peers.md` lists what differs.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet.cloud import PointCloud
from dusnet.detectors import scoring
from dusnet.detectors.base import Scores
from dusnet.detectors.peers.georeg.anchors import Anchors, anchor_scores, spread
from dusnet.detectors.placed_scan import PlacedScan
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.geometry.clean_scan import CleanScan
from dusnet.io import stored
from dusnet.progress import Progress
from dusnet.registration.good_surface import unit_vectors


class GeoReg(RegisteredDetector):
    """Point score = least cost among the nearest template points, carried from the anchors to the points."""

    name: ClassVar[str] = "georeg"
    settings_sections: ClassVar[frozenset[str]] = RegisteredDetector.POOLED | {"georeg"}
    scores_are_lengths: ClassVar[bool] = False

    @property
    def fits_in_seconds(self) -> bool:
        """It trains no network."""
        return True

    def score(self, cloud: PointCloud, *, explain: bool = True, progress: Progress | None = None) -> Scores:
        """Score one scan in every pose of nearly equal fit, up to `georeg.poses`, and keep the lowest object score.

        See `Detector.score`.
        """
        if self.settings.georeg.poses == 1:
            return super().score(cloud, explain=explain, progress=progress)
        start = time.perf_counter()
        clean = CleanScan.of(cloud)
        placed = self.place_all(clean.cloud, self.settings.georeg.poses)
        best = min((self.score_placed(one, explain=explain) for one in placed), key=lambda one: one.object_score)
        timings = best.timings | {"total": time.perf_counter() - start}
        return replace(best, timings=timings).for_scan(clean)

    def _learn(
        self, clouds: list[NDArray[np.float64]], *, progress: Progress, workdir: Path | None, resume: bool
    ) -> None:
        del progress, workdir, resume
        each = [Anchors.of(cloud, self.settings.georeg.voxel) for cloud in clouds]
        self._spacing = each[0].spacing
        points, normals = (np.concatenate([getattr(one, part) for one in each]) for part in ("points", "normals"))
        self._take(torch.from_numpy(points).float(), torch.from_numpy(normals).float())

    def _take(self, points: Tensor, normals: Tensor) -> None:
        self._points, self._normals = points, normals
        self._template = Anchors(points.double().numpy(), normals.double().numpy())

    def _judge(self, scan: PlacedScan) -> FrameScores:
        start = time.perf_counter()
        chosen = self.settings.georeg
        anchors = Anchors.of(scan.points, chosen.voxel)
        costs = anchor_scores(anchors, self._template, self._spacing, chosen)
        scores = torch.from_numpy(spread(scan.points, anchors.points, costs, chosen)).float()
        timings = {"scoring": time.perf_counter() - start}
        pooled = scoring.pool(scores, self.settings.scoring)
        return FrameScores(scores.numpy(), pooled, scan.distances.numpy(), None, timings=timings)

    def _tensors(self) -> dict[str, Tensor]:
        return {"points": self._points, "normals": self._normals}

    def _metadata(self) -> dict[str, Any]:
        return {"spacing": self._spacing}

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self._spacing = stored.length(metadata["spacing"], "spacing")
        points = stored.tensor(tensors, "points", None, 3)
        self._take(points, unit_vectors(tensors, "normals", len(points)))
