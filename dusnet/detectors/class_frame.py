"""What all detectors learn first: where the parts of a class lie and how big they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import geometry
from dusnet.cloud import Frame, PointCloud
from dusnet.config import RegistrationSettings
from dusnet.coverage import Coverage, missing
from dusnet.detectors.model_file import frame_from_json, frame_to_json
from dusnet.errors import BadInput
from dusnet.outward import Outward
from dusnet.progress import Progress
from dusnet.registration import Aligner, Alignment

REFERENCE_POINTS = 20_000
SIZE_FACTOR = 3.0
STRAY_FACTOR = 3.0
RESIDUAL_FACTOR = 1.5


class Poses(Protocol):
    """Remembers alignments; see `dusnet.detectors.frame_cache`."""

    def align(self, aligner: Aligner, points: NDArray[np.float64]) -> Alignment:
        """What `aligner.align(points)` answers."""


@dataclass
class ClassFrame:
    """The frame of a class, and how scans get into it.

    Attributes:
        frame: centre and scale.
        reference: aligned training points that registration aligns to, in the unit of the scans, (M, 3) float64.
        residual: the worst registration residual among the training clouds, fraction of the scale.
        points: number of points of the smallest training cloud.
        unseen: largest share of the part that a training cloud leaves out in one piece.
        aligner: brings a scan to the reference.
        poses: answers for the aligner where several detectors share their registration, or None.
    """

    frame: Frame
    reference: NDArray[np.float64]
    residual: float
    points: int
    unseen: float
    aligner: Aligner
    poses: Poses | None = None

    @classmethod
    def learn(
        cls, clouds: Sequence[PointCloud], settings: RegistrationSettings, *, seed: int, progress: Progress
    ) -> tuple[ClassFrame, list[NDArray[np.float64]]]:
        """Align the training clouds to the first one and measure them.

        Returns:
            The frame, and the training clouds in it, (N, 3) float64 each.

        Raises:
            BadInput: there is no cloud, or one of them cannot be used.
        """
        if not clouds:
            raise BadInput("There is no training scan; give at least one defect-free scan.")
        for cloud in clouds:
            cloud.require_usable(16)
        clouds = [_without_strays(cloud, progress) for cloud in clouds]
        first = clouds[0].points
        aligner = Aligner(first, settings, scale=Frame.of(first).scale, seed=seed)
        aligned, residual = [first], 0.0
        with progress.task("Aligning training scans", len(clouds)) as task:
            task.advance()
            for cloud in clouds[1:]:
                alignment = aligner.align(cloud.points)
                residual = max(residual, alignment.residual)
                aligned.append(cloud.transformed(alignment.matrix).points)
                task.advance()
        everything = np.concatenate(aligned)
        rng = np.random.default_rng(seed)
        cell = geometry.cell_for(everything, REFERENCE_POINTS, rng)
        reference = everything[geometry.thin(everything, cell, rng)]
        frame = Frame.of(everything)
        fewest = min(len(points) for points in aligned)
        made = cls(frame, reference, residual, fewest, 0.0, _aligner(reference, settings, frame, residual, seed))
        in_frame = [frame.apply(points) for points in aligned]
        made.unseen = max(made.unseen_in(points) for points in in_frame)
        return made, in_frame

    def bring(self, cloud: PointCloud) -> tuple[NDArray[np.float64], Alignment, tuple[str, ...]]:
        """A scan in the frame, how it got there, and what the user should know about it.

        Raises:
            BadInput: the scan cannot be used.
        """
        cloud.require_usable(16)
        warnings = list(cloud.notes)
        size = Frame.of(cloud.points).scale
        if not 1 / SIZE_FACTOR <= size / self.frame.scale <= SIZE_FACTOR:
            warnings.append(
                f"{cloud.name} has radius {size:.4g} but the training scans {self.frame.scale:.4g}: "
                "the unit is probably wrong, set it with --unit."
            )
        alignment = (
            self.aligner.align(cloud.points) if self.poses is None else self.poses.align(self.aligner, cloud.points)
        )
        return self.frame.apply(cloud.transformed(alignment.matrix).points), alignment, tuple(warnings)

    def coverage(self, points: NDArray[np.float64]) -> Coverage:
        """A scan in the frame, (N, 3), beside the places of a good part."""
        return Coverage.of(torch.from_numpy(points).float(), self.surface(), outward=lambda: self.outward)

    def unseen_in(self, points: NDArray[np.float64]) -> float:
        """Share of the part that a scan in the frame leaves out in one piece, 0 to 1."""
        return self.coverage(points).unseen_share

    def lost(self, points: NDArray[np.float64], beside: Coverage) -> NDArray[np.float64]:
        """Places of a good part in the frame that were looked at and are not there, (K, 3).

        Args:
            points: the scan in the frame, (N, 3).
            beside: what `coverage` said of it.
        """
        cloud = torch.from_numpy(points).float()
        places: NDArray[np.float64] = beside.places[missing(cloud, beside)].double().numpy()
        return places

    def surface(self) -> Tensor:
        """Places of a good part in the frame, (M, 3) float32."""
        return torch.from_numpy(self.frame.apply(self.reference)).float()

    @cached_property
    def outward(self) -> Outward:
        """The surface with normals that point away from the material."""
        return Outward.of(self.surface())

    def send_back(self, points: NDArray[np.float64], alignment: Alignment) -> NDArray[np.float64]:
        """Points of the frame in the unit and pose of the scan that `alignment` belongs to."""
        rotation, translation = alignment.matrix[:3, :3], alignment.matrix[:3, 3]
        back: NDArray[np.float64] = (self.frame.invert(points) - translation) @ rotation
        return back

    def tensors(self) -> dict[str, Tensor]:
        """What a model file stores of this besides `metadata`."""
        return {"reference": torch.from_numpy(self.reference)}

    def metadata(self) -> dict[str, Any]:
        """Frame, residual and size of the training clouds as JSON."""
        return {
            "frame": frame_to_json(self.frame),
            "training_residual": self.residual,
            "training_points": self.points,
            "training_unseen": self.unseen,
        }

    @classmethod
    def restore(
        cls, metadata: dict[str, Any], tensors: dict[str, Tensor], settings: RegistrationSettings, *, seed: int
    ) -> ClassFrame:
        """The inverse of `tensors` and `metadata`."""
        frame, reference = frame_from_json(metadata["frame"]), tensors["reference"].numpy()
        residual = float(metadata["training_residual"])
        return cls(
            frame,
            reference,
            residual,
            int(metadata["training_points"]),
            float(metadata["training_unseen"]),
            _aligner(reference, settings, frame, residual, seed),
        )


def _without_strays(cloud: PointCloud, progress: Progress) -> PointCloud:
    """The cloud without points far outside of it, which would decide centre and scale of the class."""
    distance = np.linalg.norm(cloud.points - np.median(cloud.points, axis=0), axis=1)
    kept = distance <= STRAY_FACTOR * np.quantile(distance, 0.99)
    if not kept.all():
        progress.log(f"{cloud.name}: {int((~kept).sum())} stray points far outside of the part are left out.")
    return cloud if kept.all() else cloud.select(kept)


def _aligner(
    reference: NDArray[np.float64], settings: RegistrationSettings, frame: Frame, residual: float, seed: int
) -> Aligner:
    """The aligner of a class, which believes ICP where it comes as close as it does for the training scans."""
    accept = max(settings.accept_residual, RESIDUAL_FACTOR * residual)
    return Aligner(reference, settings.model_copy(update={"accept_residual": accept}), scale=frame.scale, seed=seed)
