"""DUS-Net on a part that it was not trained on: networks that know no part, beside the warped good surface.

After the two-stage network of ACM MM 2025 (arXiv 2507.03903), which is the detector `dusnet_paper`; `docs/method.md`
says what is different and why.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import ops
from dusnet.detectors import scoring
from dusnet.detectors.dusnet.groups import GuidedScan
from dusnet.detectors.dusnet.weights import networks_of, read_weights, weights_mark
from dusnet.detectors.placed_scan import PlacedScan
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.detectors.settings import Settings
from dusnet.geometry.coverage import Coverage
from dusnet.geometry.sampling import thin_to
from dusnet.geometry.slits import slits
from dusnet.geometry.spacing import interpolate, neighbor_spacing
from dusnet.io.tensors import under
from dusnet.nn.chunks import TOKENS_AT_ONCE, dealt_chunks, in_halves, through_chunks
from dusnet.progress import Progress
from dusnet.registration.good_surface import GoodSurface, ScanComparison

MOST_CENTERS = 4096
"""Centres that the Up-Net rebuilds the dense cloud from."""


class DUSNet(RegisteredDetector):
    """The good surface of a part, and two networks that judge scans beside it.

    A scan in the frame is warped onto the surface; the Down-Net says of every point where a good part would have it and
    how likely it belongs to a defect; the Up-Net rebuilds the dense anomaly-free cloud; distances, gaps and slits are
    the scores.
    """

    name: ClassVar[str] = "dusnet"
    good_spread: ClassVar[float] = 1.0  # an accidental void that looks like a slit is ten times a usual score
    settings_sections: ClassVar[frozenset[str]] = RegisteredDetector.SMOOTHED | {
        "warp.degree",
        "warp.cutoff",
        "warp.ridge",
        "grouping.groups",
        "guide",
        "up_net",
        "scoring.gap",
        "scoring.defect_weight",
    }

    def __init__(self, settings: Settings, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(settings, seed=seed, device=device)
        self._surface: GoodSurface
        self._weights: dict[str, Tensor]

    @property
    def fits_in_seconds(self) -> bool:
        """Networks that know no part need no training."""
        return True

    @classmethod
    def weights_digest(cls, settings: Settings) -> str | None:
        """A hash of the weights that it starts from."""
        return weights_mark(settings)

    def _learn(self, clouds: list[NDArray[Any]], *, progress: Progress, workdir: Path | None, resume: bool) -> None:
        del workdir, resume
        with progress.task("Learning the good surface", 1) as task:
            tensors = [torch.from_numpy(cloud).float() for cloud in clouds]
            surface = GoodSurface.learn(tensors, self.settings.warp, seed=self.seed)
            task.advance()
        self._take(surface, read_weights(self.settings))

    def _take(self, surface: GoodSurface, weights: dict[str, Tensor]) -> None:
        self._surface, self._weights = surface, weights
        self._down, self._up = networks_of(weights, self.settings, self.device)

    @torch.inference_mode()
    def _judge(self, scan: PlacedScan) -> FrameScores:
        """See `RegisteredDetector._judge`.

        Of a scan with more than `guide.centers` points an evenly thinned choice is judged, and the others get scores
        between those of their neighbours.
        """
        start = time.perf_counter()
        cloud, chosen = scan.cloud, self.settings.scoring
        index = self._choose(cloud)
        everything = len(index) == len(cloud)
        found = self._surface.compare(cloud[index])
        warped = time.perf_counter()
        predicted, defective = self._centers(found)
        down = time.perf_counter()
        # What is missing is looked for beside all points: a slit is narrower than the space between thinned ones.
        # Points off the surface cover the place below them: what is displaced is not missing.
        beside = found if everything else self._surface.beside(cloud, found.warp)
        feet = beside.foot
        coverage = Coverage.from_index(ops.PointIndex(feet[None]), self._surface.places)
        dense = self._dense(torch.cat([predicted, self._surface.points[coverage.missing]]))
        up = time.perf_counter()
        distances = (found.shaped - predicted).norm(dim=1)
        measured = scan.search if everything else ops.PointIndex(found.points[None])
        smooth = scoring.smooth_over(measured, torch.stack([distances, defective], dim=1), chosen.smoothing)
        # Squared: what the probability is on good scans, about .1, counts for little, and its scatter for less.
        scores = smooth[:, 0] + chosen.defect_weight * smooth[:, 1].square()
        if not everything:
            values = interpolate(torch.stack([scores, distances], dim=1), found.points, cloud)
            scores, distances = values[:, 0].contiguous(), values[:, 1].contiguous()
        if chosen.gap:
            scores = scores + chosen.gap * coverage.gap
        if self.settings.guide.slits:
            scores = scores + self.settings.guide.slits * slits(coverage)
        object_score = scoring.pool(scores, chosen)
        rebuilt = found.warp.restore(dense).double().numpy()
        timings = {
            "warp": warped - start,
            "down_net": down - warped,
            "up_net": up - down,
            "scoring": time.perf_counter() - up,
        }
        return FrameScores(
            scores.numpy(),
            object_score,
            distances.numpy(),
            rebuilt,
            timings=timings,
            deviation=scan.outside(beside.distance, beside.normals).numpy(),
        )

    def _choose(self, cloud: Tensor) -> Tensor:
        limit = self.settings.guide.centers
        if len(cloud) <= limit:
            return torch.arange(len(cloud))
        return torch.from_numpy(thin_to(cloud.double().numpy(), limit, np.random.default_rng(self.seed)))

    def _centers(self, found: ScanComparison) -> tuple[Tensor, Tensor]:
        """Anomaly-free centres of all points, (N, 3), and how likely each belongs to a defect, (N,).

        Every point is a centre once, in random groups of G that attend to each other.
        """
        guide = self.settings.guide
        scan = GuidedScan.of(found, self._surface, guide, seed=self.seed)
        generator = torch.Generator().manual_seed(self.seed)
        everything = torch.arange(len(found.points))
        seen = [self._patches(scan, part, generator) for part in everything.split(TOKENS_AT_ONCE)]
        shown = tuple(torch.cat(parts) for parts in zip(*seen, strict=True))
        centers, defective = through_chunks(
            self._down.judge,
            shown,
            self.settings.grouping.groups,
            generator,
            device=self.device,
            finish=lambda moved, logits: (moved, logits.sigmoid()),
        )
        return centers, defective

    def _patches(self, scan: GuidedScan, index: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Centres, displacements, axes and embedded patches of some points, each for itself."""
        groups = scan.groups(index, 2 * torch.pi * torch.rand(len(index), generator=generator))
        inputs = tuple(part[0].to(self.device) for part in (groups.scan, groups.places, groups.about))
        (embedded,) = in_halves(self._down.patches, inputs)
        return groups.centers[0], groups.displacement[0], groups.axes[0], embedded

    def _dense(self, centers: Tensor) -> Tensor:
        """Rebuild gamma points around each centre, in units of the centres' own spacing."""
        dealt = centers[dealt_chunks(centers, self.settings.grouping.groups, MOST_CENTERS)]
        middle = dealt.mean(dim=1, keepdim=True)
        unit = torch.tensor([neighbor_spacing(one) for one in dealt]).view(-1, 1, 1).clamp_min(1e-6)
        rebuilt = [
            in_halves(self._up, (batch.to(self.device),))[0]
            for batch in ((dealt - middle) / unit).split(max(1, TOKENS_AT_ONCE // dealt.shape[1]))
        ]
        return (torch.cat(rebuilt) * unit + middle).flatten(0, 1)

    def _tensors(self) -> dict[str, Tensor]:
        # With the weights, so that a model file needs nothing beside it.
        return self._surface.tensors() | {f"weights.{name}": value for name, value in self._weights.items()}

    def _metadata(self) -> dict[str, Any]:
        return self._surface.metadata()

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        surface = GoodSurface.restore(metadata, tensors, self.settings.warp, seed=self.seed)
        self._take(surface, under("weights", tensors))
