"""COSSAD-like: features of a place beside those of good scans at the same place, as Cohen's d.

After A. Tarvo et al., "The Good, the Bad, and the Template: Contrastive Anomaly Detection in 3D" (COSSAD), ICPR 2026,
and its public code (alextarvo/cossad), with FPFH in place of the contrastive encoder, as in the code's own ablation.
`docs/peers.md` lists what differs.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from dusnet.detectors.descriptors import FPFH_SIZE, Thinned, density_cell, farthest, fpfh
from dusnet.detectors.peers.cossad.effects import PlaceBank, carried
from dusnet.detectors.placed_scan import PlacedScan
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.geometry.neighbors import Neighbors
from dusnet.io import stored
from dusnet.progress import Progress

PATCH_POINTS = 512
"""Points of a patch at most (public code of COSSAD)."""
RADIUS_CELLS = 4
"""Edges of a thinning cell that the radius of a patch spans at least: a smaller ball holds too few points."""


class Cossad(RegisteredDetector):
    """Effect size per place; a point has the mean of those around it, the scan the largest."""

    name: ClassVar[str] = "cossad"
    settings_sections: ClassVar[frozenset[str]] = RegisteredDetector.FOR_ALL | {"cossad"}
    scores_are_lengths: ClassVar[bool] = False

    def _learn(
        self, clouds: list[NDArray[np.float64]], *, progress: Progress, workdir: Path | None, resume: bool
    ) -> None:
        del workdir, resume
        chosen = self.settings.cossad
        if len(clouds) == 1:
            clouds = _halves(clouds[0], seed=self.seed)
        self._cell = density_cell(clouds, chosen.points, seed=self.seed)
        thinned = [self._thin(cloud) for cloud in clouds]
        first = thinned[0]
        places = first.in_frame(first.tensor[farthest(first.tensor, chosen.places)])
        features = []
        with progress.task("Describing training scans", len(thinned)) as task:
            for scan in thinned:
                features.append(self._features(scan, places)[0])
                task.advance()
        self._bank = PlaceBank(torch.stack(features), places, chosen.neighbors)

    def _judge(self, scan: PlacedScan) -> FrameScores:
        start = time.perf_counter()
        bank = self._bank
        features, counted = self._features(self._thin(scan.points), bank.places)
        described = time.perf_counter()
        effects = bank.effects(features)[counted]
        scores = carried(scan.cloud, bank.places[counted], effects, self.settings.cossad.radius).float()
        timings = {"features": described - start, "scoring": time.perf_counter() - described}
        return FrameScores(scores.numpy(), float(effects.max()), scan.distances.numpy(), None, timings=timings)

    def _thin(self, points: NDArray[np.float64]) -> Thinned:
        return Thinned.of(points, self._cell, self.settings.cossad.points, seed=self.seed)

    def _features(self, scan: Thinned, places: Tensor) -> tuple[Tensor, Tensor]:
        """The feature of the scan's point nearest to each place, (P, C), and which places count, (P,) bool."""
        radius = max(self.settings.cossad.radius, RADIUS_CELLS * self._cell)
        features = fpfh(scan.points, neighbors=(PATCH_POINTS,), radius=radius, away_from=-scan.centroid)
        asked = places.double().numpy() - scan.centroid
        found = features[torch.from_numpy(Neighbors(scan.points).nearest(asked)[1])]
        counted = torch.ones(len(places), dtype=torch.bool)
        if self.settings.cossad.full_patches:
            held = cKDTree(scan.points).query_ball_point(asked, radius, return_length=True)
            counted = torch.from_numpy(held >= held.sum() / max(1, np.count_nonzero(held)))
            counted[int(held.argmax())] = True
        return found, counted

    def _tensors(self) -> dict[str, Tensor]:
        return {"features": self._bank.features, "places": self._bank.places}

    def _metadata(self) -> dict[str, Any]:
        return {"cell": self._cell}

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self._cell = stored.length(metadata["cell"], "cell")
        places = stored.tensor(tensors, "places", None, 3)
        features = stored.tensor(tensors, "features", None, len(places), FPFH_SIZE)
        if len(features) < 2:
            raise stored.Unusable("its features are those of one good scan and cannot be compared")
        self._bank = PlaceBank(features, places, self.settings.cossad.neighbors)


def _halves(cloud: NDArray[np.float64], *, seed: int) -> list[NDArray[np.float64]]:
    """A single good scan, dealt out into two, so that there is something to compare."""
    ordered = cloud[np.lexsort(cloud.T[::-1])]
    dealt = np.random.default_rng(seed).permutation(len(ordered))
    return [ordered[dealt[::2]], ordered[dealt[1::2]]]
