"""Offset regression: a network is shown training clouds with pseudo-defects and learns to undo them.

After PO3AD (Ye et al., "PO3AD: Predicting Point Offsets toward Better 3D Point Cloud Anomaly Detection", CVPR 2025),
with the local kernels of AF3AD (ECCV 2026, arXiv 2606.29181) for the pseudo-defects. Backbone, registration and
grouping are this package's own; `docs/peers.md` lists what differs.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import ops
from dusnet.config import StageSettings
from dusnet.detectors import scoring
from dusnet.detectors.peers.offset.network import OffsetNet
from dusnet.detectors.peers.offset.stage import OffsetSource, OffsetStage, damaged_clouds
from dusnet.detectors.placed_scan import PlacedScan
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.geometry.sampling import cell_for, thin
from dusnet.geometry.spacing import interpolate
from dusnet.io import stored
from dusnet.nn.chunks import through_chunks
from dusnet.nn.grouping import neighbor_index, supports_of
from dusnet.progress import Progress
from dusnet.training.loop import Run, fingerprint, train_stage


class Offset(RegisteredDetector):
    """Point score = sum of the absolute components of the predicted offset, smoothed and pooled as in DUS-Net.

    PO3AD does not smooth and takes the mean of all points as object score: `scoring.smoothing` 1,
    `scoring.pooling` top and `scoring.pooling_fraction` 1.
    """

    name: ClassVar[str] = "offset"
    settings_sections: ClassVar[frozenset[str]] = RegisteredDetector.SMOOTHED | {
        "grouping",
        "offset",
        "scoring.max_centers",
        "training.precision",
        "training.points",
        "training.checkpoint_every",
        *(f"training.down.{key}" for key in StageSettings.model_fields if key != "batch"),
    }

    def _learn(
        self, clouds: list[NDArray[np.float64]], *, progress: Progress, workdir: Path | None, resume: bool
    ) -> None:
        settings, training = self.settings, self.settings.training
        trained_on = [[len(cloud), float(cloud.sum())] for cloud in clouds]
        run = Run(
            device=str(self.device),
            precision=training.precision,
            seed=self.seed,
            fingerprint=fingerprint(self.name, settings.model_dump(mode="json"), self.seed, trained_on),
            workdir=workdir,
            resume=resume,
            checkpoint_every=training.checkpoint_every,
            progress=progress,
        )
        supports, self._cell = supports_of(clouds, settings.grouping, training.points, seed=self.seed)
        damaged = damaged_clouds(supports, settings.offset, settings.grouping, seed=self.seed, progress=progress)
        radius = float(np.mean([support.patch_radius for support in supports]))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self._network = OffsetNet(settings.offset, patch_radius=radius)
        source = OffsetSource(damaged, settings.grouping, settings.offset)
        train_stage(OffsetStage(self._network, source, batch=settings.offset.batch), training.down, run)

    def _judge(self, scan: PlacedScan) -> FrameScores:
        start = time.perf_counter()
        # In one fixed order, so that thinning and chunks do not depend on that of the file.
        order = np.lexsort(scan.points.T)
        cloud = torch.from_numpy(scan.points[order]).float()
        with torch.inference_mode():
            offsets = self._offsets(cloud)
        predicted = time.perf_counter()
        scores = scoring.smooth_over(
            ops.PointIndex(cloud[None]), offsets.abs().sum(dim=1), self.settings.scoring.smoothing
        )
        timings = {"offset_net": predicted - start, "scoring": time.perf_counter() - predicted}
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return FrameScores(
            scores.numpy()[back],
            scoring.pool(scores, self.settings.scoring),
            offsets.norm(dim=1).numpy()[back],
            (cloud + offsets).double().numpy()[back],
            -offsets.numpy()[back],
            timings,
        )

    def _offsets(self, cloud: Tensor) -> Tensor:
        """The offset of every point of a scan, (N, 3); between centres where the scan has more than `max_centers`."""
        rng = np.random.default_rng(self.seed)
        points = cloud.double().numpy()
        support = cloud[torch.from_numpy(thin(points, self._cell, rng))]
        limit = self.settings.scoring.max_centers
        if not self.settings.grouping.dense:
            limit = min(limit, self.settings.grouping.groups)
            chosen = ops.farthest_point_sample(cloud.unsqueeze(0), min(limit, len(cloud)))[0]
        elif len(cloud) > limit:
            chosen = torch.from_numpy(thin(points, cell_for(points, limit, rng), rng))
        else:
            chosen = torch.arange(len(cloud))
        centers = cloud[chosen]
        offsets = self._of_centers(centers, support)
        if len(centers) == len(cloud):
            return offsets
        return interpolate(offsets, centers, cloud)

    def _of_centers(self, centers: Tensor, support: Tensor) -> Tensor:
        neighbors = neighbor_index(centers, support, self.settings.grouping)
        generator = torch.Generator().manual_seed(self.seed)
        (offsets,) = through_chunks(
            self._network.to(self.device).eval(),
            (centers, support[neighbors]),
            self.settings.grouping.groups,
            generator,
            device=self.device,
        )
        return offsets

    def _tensors(self) -> dict[str, Tensor]:
        return dict(self._network.state_dict())

    def _metadata(self) -> dict[str, Any]:
        return {"cell": self._cell}

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self._cell = stored.length(metadata["cell"], "cell")
        radius = stored.length(float(tensors["patch_radius"]), "radius of a patch")
        build = partial(OffsetNet, self.settings.offset, patch_radius=radius)
        stored.require_network(build, tensors, "network")
        self._network = build()
        self._network.load_state_dict(tensors)
        self._network.eval()
