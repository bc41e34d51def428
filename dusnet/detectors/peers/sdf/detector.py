"""Signed distance function: a network per class learns the distance to the good surface; the score is what it says.

After PASDF (B. Zheng et al., "Bridging 3D Anomaly Localization and Repair via High-Quality Continuous Geometric
Representation", ICCV 2025, arXiv 2505.24431) and its public code (ZZZBBBZZZ/PASDF). Registration, good surface and
training loop are this package's own; `docs/peers.md` lists what differs.
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

from dusnet.detectors.peers.sdf.network import SDFNet
from dusnet.detectors.peers.sdf.samples import Samples
from dusnet.detectors.peers.sdf.stage import SDFStage
from dusnet.detectors.placed_scan import PlacedScan
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.io import stored
from dusnet.progress import Progress
from dusnet.training.loop import Run, train_stage

BLOCK = 16_384
"""Points that the network sees at once: bounds the memory."""


class SDF(RegisteredDetector):
    """Point score = absolute value of the learned distance; object score = the highest point score."""

    name: ClassVar[str] = "sdf"
    settings_sections: ClassVar[frozenset[str]] = RegisteredDetector.FOR_ALL | {
        "sdf",
        "training.precision",
        "training.checkpoint_every",
    }

    def _learn(
        self, clouds: list[NDArray[np.float64]], *, progress: Progress, workdir: Path | None, resume: bool
    ) -> None:
        chosen = self.settings.sdf
        run = Run.of(
            self.settings.training,
            self.name,
            self.settings.model_dump(mode="json"),
            self.seed,
            [[len(cloud), float(cloud.sum())] for cloud in clouds],
            device=self.device,
            seed=self.seed,
            workdir=workdir,
            resume=resume,
            progress=progress,
        )
        samples = Samples.draw(clouds, surface=chosen.surface, box=chosen.box, volume=chosen.volume, seed=self.seed)
        if not samples.signed:
            progress.log("The good scans show no closed surface: the distances are learned without a sign.")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self._network = self._build()
        train_stage(SDFStage(self._network, samples, batch=chosen.batch, clamp=chosen.clamp), chosen.stage, run)

    def _judge(self, scan: PlacedScan) -> FrameScores:
        start = time.perf_counter()
        # In one fixed order, so that the blocks do not depend on that of the file.
        order = np.lexsort(scan.points.T)
        places = scan.cloud[torch.from_numpy(order)]
        network = self._network.to(self.device).eval()
        with torch.inference_mode():
            found = torch.cat([network(block.to(self.device)).float().cpu() for block in places.split(BLOCK)])
        scores = torch.empty_like(found)
        scores[torch.from_numpy(order)] = found.abs()
        timings = {"sdf": time.perf_counter() - start}
        return FrameScores(scores.numpy(), float(scores.max()), scores.numpy(), None, timings=timings)

    def _build(self) -> SDFNet:
        return SDFNet(self.settings.sdf.width, encoding=self.settings.sdf.encoding)

    def _tensors(self) -> dict[str, Tensor]:
        return dict(self._network.state_dict())

    def _metadata(self) -> dict[str, Any]:
        return {}

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        del metadata
        build = partial(SDFNet, self.settings.sdf.width, encoding=self.settings.sdf.encoding)
        stored.require_network(build, tensors, "network")
        self._network = build()
        self._network.load_state_dict(tensors)
        self._network.eval()
