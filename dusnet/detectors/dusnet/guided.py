"""The guided way: networks that know no part, beside the warped good surface of the part (see `docs/method.md`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dusnet import ops, scoring
from dusnet.config import Settings, shown
from dusnet.detectors.dusnet.down_net import GuidedDownNet
from dusnet.detectors.dusnet.groups import GuidedScan
from dusnet.detectors.dusnet_paper.reconstruction import TOKENS_AT_ONCE, in_halves
from dusnet.detectors.registered import FrameScores
from dusnet.errors import BadModel
from dusnet.geometry import coverage
from dusnet.geometry.sampling import thin_to
from dusnet.geometry.slits import slits
from dusnet.geometry.spacing import interpolate, neighbor_spacing
from dusnet.io import file_mark, stored
from dusnet.io.tensors import read_tensors, under
from dusnet.nn.grouping import random_chunks
from dusnet.nn.up_net import UpNet
from dusnet.progress import Progress
from dusnet.registration.good_surface import Comparison, GoodSurface

FORMAT = "dusnet-guided-weights"
"""What the metadata of a weights file call themselves."""
MADE_FOR = {
    "guide": ("neighbors", "stride", "places", "patch_width", "width", "layers", "heads", "fourier_octaves"),
    "up_net": ("gamma", "neighbors", "widths", "head"),
}
"""Settings that weights are good for only with the value that they were made with."""

_MISFIT = (
    "The weights of the guided networks lack a part or have another shape; use the guide and up_net settings that they "
    "were made with."
)

MOST_CENTERS = 4096
"""Centres that the Up-Net rebuilds the dense cloud from."""


class Guided:
    """The good surface of a part, and the two networks that judge scans beside it.

    Args:
        surface: of the part.
        weights: of both networks, by name.
        settings: everything.
        device: where the networks run.
        seed: of the thinning and the chunks; the same scan always gets the same scores.
    """

    def __init__(
        self,
        surface: GoodSurface,
        weights: dict[str, Tensor],
        settings: Settings,
        *,
        device: torch.device,
        seed: int,
    ) -> None:
        self._surface, self._weights, self._settings = surface, weights, settings
        self._device, self._seed = device, seed
        builds: dict[str, Callable[[], nn.Module]] = {
            "down": partial(GuidedDownNet, settings.guide),
            "up": partial(UpNet, settings.up_net, spacing=1.0),
        }
        try:
            for prefix, build in builds.items():
                stored.require_network(build, under(prefix, weights), f"{prefix} network")
        except (KeyError, stored.Unusable) as error:
            raise BadModel(_MISFIT) from error
        self._down, self._up = GuidedDownNet(settings.guide), UpNet(settings.up_net, spacing=1.0)
        for prefix, network in (("down", self._down), ("up", self._up)):
            try:
                network.load_state_dict(under(prefix, weights))
            except RuntimeError as error:
                raise BadModel(_MISFIT) from error
            network.to(device).eval()

    @classmethod
    def learn(
        cls, clouds: list[NDArray[Any]], settings: Settings, *, device: torch.device, seed: int, progress: Progress
    ) -> Guided:
        """Learn the good surface from clouds in the frame, (N, 3) each; the networks come as they are.

        Raises:
            BadModel: the weights do not fit the settings.
        """
        with progress.task("Learning the good surface", 1) as task:
            tensors = [torch.from_numpy(cloud).float() for cloud in clouds]
            surface = GoodSurface.learn(tensors, settings.warp, seed=seed)
            task.advance()
        return cls(surface, _weights(settings), settings, device=device, seed=seed)

    @torch.inference_mode()
    def judge(self, cloud: Tensor) -> FrameScores:
        """Score a scan in the frame, (N, 3) float32.

        Of a scan with more than `guide.centers` points an evenly thinned choice is judged, and the others get scores
        between those of their neighbours.
        """
        start = time.perf_counter()
        chosen = self._settings.scoring
        index = self._choose(cloud)
        found = self._surface.compare(cloud[index])
        warped = time.perf_counter()
        predicted, doubt = self._centers(found)
        down = time.perf_counter()
        # What is missing is looked for beside all points: a slit is narrower than the space between thinned ones.
        shaped = found.shaped if len(index) == len(cloud) else found.warp.remove(cloud)
        beside = coverage.Coverage.of(shaped, self._surface.places)
        lost = coverage.missing(shaped, beside)
        dense = self._dense(torch.cat([predicted, self._surface.points[lost]]))
        up = time.perf_counter()
        offsets = found.shaped - predicted
        distances = offsets.norm(dim=1)
        scores = scoring.smooth_over(found.points, distances + chosen.doubt * doubt, chosen.smoothing)
        if len(index) < len(cloud):
            values = torch.cat([torch.stack([scores, distances], dim=1), offsets], dim=1)
            values = interpolate(values, found.points, cloud)
            scores, distances, offsets = values[:, 0].contiguous(), values[:, 1].contiguous(), values[:, 2:]
        if chosen.gap:
            deep = coverage.depth(shaped, dense, known=beside)
            absent = torch.maximum(coverage.carried(shaped, beside, lost), deep)
            scores = scores + chosen.gap * absent
        if self._settings.guide.slits:
            scores = scores + self._settings.guide.slits * slits(shaped, beside)
        object_score = scoring.pool(scores, chosen)
        rebuilt = found.warp.restore(dense).double().numpy()
        timings = {
            "warp": warped - start,
            "down_net": down - warped,
            "up_net": up - down,
            "scoring": time.perf_counter() - up,
        }
        return FrameScores(scores.numpy(), object_score, distances.numpy(), rebuilt, offsets.numpy(), timings)

    def _choose(self, cloud: Tensor) -> Tensor:
        limit = self._settings.guide.centers
        if len(cloud) <= limit:
            return torch.arange(len(cloud))
        return torch.from_numpy(thin_to(cloud.double().numpy(), limit, np.random.default_rng(self._seed)))

    def _centers(self, found: Comparison) -> tuple[Tensor, Tensor]:
        """Anomaly-free centres of all points, (N, 3), and how likely each belongs to a defect, (N,).

        Every point is a centre once, in random groups of G that attend to each other.
        """
        guide = self._settings.guide
        scan = GuidedScan.of(found, self._surface, guide, seed=self._seed)
        generator = torch.Generator().manual_seed(self._seed)
        count = len(found.points)
        seen = [self._patches(scan, part, generator) for part in torch.arange(count).split(TOKENS_AT_ONCE)]
        shown = tuple(torch.cat(parts) for parts in zip(*seen, strict=True))
        chunks = random_chunks(count, self._settings.grouping.groups, generator)
        said = [
            in_halves(self._down.judge, tuple(part[batch].to(self._device) for part in shown))
            for batch in chunks.split(max(1, TOKENS_AT_ONCE // chunks.shape[1]))
        ]
        # The chunks begin with every centre once; what fills the last one is judged a second time and dropped.
        order = chunks.flatten()[:count]
        centers, doubt = torch.empty(count, 3), torch.empty(count)
        centers[order] = torch.cat([moved for moved, _ in said]).flatten(0, 1)[:count]
        doubt[order] = torch.cat([logit for _, logit in said]).flatten()[:count].sigmoid()
        return centers, doubt

    def _patches(self, scan: GuidedScan, index: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Centres, displacements, axes and embedded patches of some points, each for itself."""
        groups = scan.groups(index, 2 * torch.pi * torch.rand(len(index), generator=generator))
        inputs = tuple(part[0].to(self._device) for part in (groups.scan, groups.places, groups.about))
        (embedded,) = in_halves(self._down.patches, inputs)
        return groups.centers[0], groups.displacement[0], groups.axes[0], embedded

    def _dense(self, centers: Tensor) -> Tensor:
        """Rebuild gamma points around each centre, in units of the centres' own spacing."""
        groups = min(self._settings.grouping.groups, len(centers))
        order = ops.farthest_point_sample(centers[None], min(len(centers), MOST_CENTERS))[0]
        chunks = max(1, len(order) // groups)
        dealt = centers[order[: chunks * groups].view(groups, chunks).T]
        middle = dealt.mean(dim=1, keepdim=True)
        unit = torch.tensor([neighbor_spacing(one) for one in dealt]).view(-1, 1, 1).clamp_min(1e-6)
        rebuilt = [
            in_halves(self._up, (batch.to(self._device),))[0]
            for batch in ((dealt - middle) / unit).split(max(1, TOKENS_AT_ONCE // groups))
        ]
        return (torch.cat(rebuilt) * unit + middle).flatten(0, 1)

    def tensors(self) -> dict[str, Tensor]:
        """The surface and the weights, so that a model file needs nothing beside it."""
        return self._surface.tensors() | {f"weights.{name}": value for name, value in self._weights.items()}

    def metadata(self) -> dict[str, Any]:
        """What `restore` needs besides the tensors."""
        return self._surface.metadata()

    @classmethod
    def restore(
        cls,
        metadata: dict[str, Any],
        tensors: dict[str, Tensor],
        settings: Settings,
        *,
        device: torch.device,
        seed: int,
    ) -> Guided:
        """The inverse of `tensors` and `metadata`."""
        surface = GoodSurface.restore(metadata, tensors, settings.warp, seed=seed)
        return cls(surface, under("weights", tensors), settings, device=device, seed=seed)


def weights_mark(settings: Settings) -> str:
    """A hash of the weights file, whether or not it can be used."""
    with _weights_file(settings) as path:
        return file_mark(path)


def _weights(settings: Settings) -> dict[str, Tensor]:
    with _weights_file(settings) as path:
        return _read(path, settings)


def _weights_file(settings: Settings) -> AbstractContextManager[Path]:
    """The weights that the settings name, or those that the package brings."""
    named = settings.guide.weights
    return as_file(files("dusnet") / "weights" / "guided.safetensors") if named is None else nullcontext(named)


def _read(path: Path, settings: Settings) -> dict[str, Tensor]:
    if not path.is_file():
        raise BadModel(f"There is no weights file {path}; give one that tools/train_guided.py wrote.")
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise BadModel(f"{path} holds no guided networks; give a file that tools/train_guided.py wrote.")
    course = metadata.get("course")
    made = course.get("settings") if isinstance(course, dict) else None
    for section, keys in MADE_FOR.items():
        wanted = getattr(settings, section).model_dump(mode="json")
        values = made.get(section) if isinstance(made, dict) else None
        if not isinstance(values, dict) or any(key not in values for key in keys):
            raise BadModel(f"{path} does not say which settings its networks were made with; train them again.")
        for key in keys:
            if values[key] != wanted[key]:
                raise BadModel(
                    f"The weights in {path} were made with {section}.{key} {shown(values[key])}, not {wanted[key]}; "
                    "use that value, or weights of your own."
                )
    return tensors
