"""What all detectors learn first: where the parts of a class lie and how big they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet.cloud import Frame, PointCloud
from dusnet.config import RegistrationSettings
from dusnet.detectors.model_file import frame_from_json, frame_to_json
from dusnet.detectors.placed_scan import PlacedScan
from dusnet.detectors.training_scans import bring_together, copies_words, require_one_size
from dusnet.errors import BadInput
from dusnet.geometry.coverage import Coverage, lost_pieces
from dusnet.geometry.part_places import PartPlaces
from dusnet.geometry.sampling import cell_for, thin
from dusnet.io import stored
from dusnet.progress import Progress
from dusnet.registration import Aligner, Alignment, Usual, alone, beside_others
from dusnet.registration.good_surface import unit_vectors

REFERENCE_POINTS = 40_000
SIZE_FACTOR = 3.0
STRAY_FACTOR = 3.0
RESIDUAL_FACTOR = 2.4
"""Residual, in units of what training scans reach beside the others, up to which a scan lies near its part."""
UNLIKE = 1.2
"""How much worse than another one a training scan may lie on the first one before more poses are compared."""
ALONE = 2.0
"""The same beside the points of the first scan itself, which do not show how good parts differ."""
MOST_RESIDUAL = 10.0
"""Of a registration, in radii: no two points of a part are that far from each other."""


class Poses(Protocol):
    """Remembers alignments; see `dusnet.detectors.pose_cache`."""

    def align(self, aligner: Aligner, points: NDArray[np.float64]) -> Alignment:
        """What `aligner.align(points)` answers."""


@dataclass
class ClassFrame:
    """The frame of a class, and how scans get into it.

    Attributes:
        frame: centre and scale.
        reference: aligned training points that registration aligns to, in the unit of the scans, (M, 3) float64.
        residual: the worst registration residual of a training cloud beside the others, fraction of the scale; 0 for a
            single one.
        cost: as `residual`, of the registration cost.
        points: number of points of the smallest training cloud.
        unseen: largest share of the part that a training cloud leaves out in one piece.
        aligner: brings a scan to the reference.
        poses: answers for the aligner where several detectors share their registration, or None.
        places: of a good part in the frame, with what depends on them alone; made from the reference where None.
    """

    frame: Frame
    reference: NDArray[np.float64]
    residual: float
    cost: float
    points: int
    unseen: float
    aligner: Aligner
    poses: Poses | None = None
    places: PartPlaces = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.places is None:
            self.places = _places(self.frame, self.reference)

    @classmethod
    def learn(
        cls, clouds: Sequence[PointCloud], settings: RegistrationSettings, *, seed: int, progress: Progress
    ) -> tuple[ClassFrame, list[NDArray[np.float64]]]:
        """Align the training clouds to the first one and measure them.

        Returns:
            The frame, and the training clouds in it, (N, 3) float64 each.

        Raises:
            BadInput: there is no cloud, one of them cannot be used, or they do not show one part in one unit.
        """
        if not clouds:
            raise BadInput("There is no training scan; give at least one defect-free scan.")
        for cloud in clouds:
            cloud.require_usable(16)
        clouds = [_without_strays(cloud, progress) for cloud in clouds]
        require_one_size(clouds)
        copies = copies_words(clouds)
        if copies is not None:
            progress.log(copies)
        first = clouds[0].points
        scale = Frame.of(first).scale
        aligned, residuals = _onto(first, [cloud.points for cloud in clouds[1:]], settings, seed, progress)
        if settings.method != "none":  # without a search the poses are the user's, and so is how well they fit
            aligned = bring_together(
                clouds,
                aligned,
                residuals,
                scale,
                lambda points: Aligner(points, settings, scale=scale, seed=seed),
                progress=progress,
            )
        everything = np.concatenate(aligned)
        rng = np.random.default_rng(seed)
        cell = cell_for(everything, REFERENCE_POINTS, rng)
        kept = thin(everything, cell, rng)
        reference, frame = everything[kept], Frame.of(everything)
        aligner = Aligner(reference, settings, scale=frame.scale, seed=seed)
        usual = _usual(aligner, aligned, kept, seed=seed, scale=frame.scale)
        fewest = min(len(points) for points in aligned)
        aligner = _expecting(aligner, settings, usual)
        made = cls(frame, reference, usual.residual, usual.cost, fewest, 0.0, aligner)
        in_frame = [frame.apply(points) for points in aligned]
        beside = [made.coverage_of(points) for points in in_frame]
        lost = lost_pieces([one.largest_missing for one in beside])
        if lost:
            made.places = replace(made.places, lost=lost)
            beside = [replace(one, part=made.places) for one in beside]
        made.unseen = max(one.unjudged_share for one in beside)
        return made, in_frame

    def place(self, cloud: PointCloud) -> PlacedScan:
        """A scan in the frame.

        Raises:
            BadInput: the scan cannot be used.
        """
        cloud.require_usable(16)
        alignment = (
            self.aligner.align(cloud.points) if self.poses is None else self.poses.align(self.aligner, cloud.points)
        )
        return self._placed(cloud, alignment)

    def place_all(self, cloud: PointCloud, count: int) -> list[PlacedScan]:
        """A scan in the frame in each of at most `count` poses of nearly equal fit; the first is that of `place`.

        Raises:
            BadInput: the scan cannot be used.
        """
        cloud.require_usable(16)
        return [self._placed(cloud, one) for one in self.aligner.candidates(cloud.points, count)]

    def _placed(self, cloud: PointCloud, alignment: Alignment) -> PlacedScan:
        warnings = list(cloud.notes)
        size = Frame.of(cloud.points).scale
        if not 1 / SIZE_FACTOR <= size / self.frame.scale <= SIZE_FACTOR:
            warnings.append(
                f"{cloud.name} has radius {size:.4g} but the training scans {self.frame.scale:.4g}: "
                "the unit is probably wrong, set it with --unit."
            )
        points = self.frame.apply(cloud.transformed(alignment.matrix).points)
        return PlacedScan(points, alignment, self.places, tuple(warnings))

    def coverage_of(self, points: NDArray[np.float64]) -> Coverage:
        """The places of a good part beside a scan in the frame, (N, 3)."""
        return Coverage.of(torch.from_numpy(points).float(), self.places)

    def send_back(self, points: NDArray[np.float64], alignment: Alignment) -> NDArray[np.float64]:
        """Points of the frame in the unit and pose of the scan that `alignment` belongs to."""
        rotation, translation = alignment.matrix[:3, :3], alignment.matrix[:3, 3]
        back: NDArray[np.float64] = (self.frame.invert(points) - translation) @ rotation
        return back

    def tensors(self) -> dict[str, Tensor]:
        """What a model file stores of this besides `metadata`."""
        return {"reference": torch.from_numpy(self.reference), "outward": self.places.normals}

    def metadata(self) -> dict[str, Any]:
        """Frame, residual and size of the training clouds as JSON."""
        return {
            "frame": frame_to_json(self.frame),
            "training_residual": self.residual,
            "training_cost": self.cost,
            "training_points": self.points,
            "training_unseen": self.unseen,
            "training_lost": self.places.lost,
        }

    @classmethod
    def restore(
        cls, metadata: dict[str, Any], tensors: dict[str, Tensor], settings: RegistrationSettings, *, seed: int
    ) -> ClassFrame:
        """The inverse of `tensors` and `metadata`."""
        frame = frame_from_json(metadata["frame"])
        reference = stored.tensor(tensors, "reference", None, 3, dtype=torch.float64).numpy()
        _require_in_frame(frame, reference)
        residual = stored.number(metadata["training_residual"], "residual of the training", 0, MOST_RESIDUAL)
        cost = stored.number(metadata["training_cost"], "cost of the training", 0, MOST_RESIDUAL)
        aligner = Aligner(reference, settings, scale=frame.scale, seed=seed)
        return cls(
            frame,
            reference,
            residual,
            cost,
            stored.whole(metadata["training_points"], "number of training points", 1),
            stored.number(metadata["training_unseen"], "unseen share", 0, 1),
            _expecting(aligner, settings, Usual(residual, cost)),
            places=_places(
                frame,
                reference,
                unit_vectors(tensors, "outward", len(reference)),
                lost=stored.number(metadata.get("training_lost", 0.0), "piece that training scans leave out", 0, 1),
            ),
        )


def _places(
    frame: Frame, reference: NDArray[np.float64], normals: Tensor | None = None, *, lost: float = 0.0
) -> PartPlaces:
    return PartPlaces(torch.from_numpy(frame.apply(reference)).float(), normals, lost=lost)


def _require_in_frame(frame: Frame, reference: NDArray[np.float64]) -> None:
    """Check that a surface is that of the part whose frame this is.

    Raises:
        Unusable: it lies elsewhere or is much larger or smaller.
        BadInput: it is no surface.
    """
    PointCloud(reference).require_usable(4)
    reach = float(np.linalg.norm(frame.apply(reference), axis=1).max())
    if not 0.5 <= reach <= 2.0:  # 1 up to what thinning has left out
        raise stored.Unusable(f"its surface reaches {reach:.3g} times the radius of its frame")


def _without_strays(cloud: PointCloud, progress: Progress) -> PointCloud:
    """The cloud without points far outside of it, which would decide centre and scale of the class."""
    distance = np.linalg.norm(cloud.points - np.median(cloud.points, axis=0), axis=1)
    kept = distance <= STRAY_FACTOR * np.quantile(distance, 0.99)
    if not kept.all():
        progress.log(f"{cloud.name}: {int((~kept).sum())} stray points far outside of the part are left out.")
    return cloud if kept.all() else cloud.select(kept)


def _onto(
    first: NDArray[np.float64],
    others: Sequence[NDArray[np.float64]],
    settings: RegistrationSettings,
    seed: int,
    progress: Progress,
) -> tuple[list[NDArray[np.float64]], list[float]]:
    """Training clouds aligned to the first one, itself the first, and the residual of each.

    Where one lies on it worse than another does, more poses are compared: all of them come from good parts, and one
    askew would blur the reference.
    """
    scale = Frame.of(first).scale
    aligner = Aligner(first, settings, scale=scale, seed=seed)
    with progress.task("Aligning training scans", 1 + len(others)) as task:
        task.advance()
        found = []
        for points in others:
            found.append(aligner.align(points))
            task.advance()
    if settings.method == "auto" and found:
        least = min(one.cost for one in found)
        if len(found) == 1:
            least = min(least, ALONE * alone(first, scale, seed).cost)
        stricter = aligner.expecting(UNLIKE * least)
        found = [
            one if stricter.believes(one) else stricter.align(points) for one, points in zip(found, others, strict=True)
        ]
    moved = [PointCloud(points).transformed(one.matrix).points for one, points in zip(found, others, strict=True)]
    return [first, *moved], [0.0, *(one.residual for one in found)]


def _usual(
    aligner: Aligner, aligned: Sequence[NDArray[np.float64]], kept: NDArray[np.intp], *, seed: int, scale: float
) -> Usual:
    """What the aligned training clouds reach beside each other; `kept` are the rows of all that are the reference."""
    owners = np.repeat(np.arange(len(aligned)), [len(points) for points in aligned])
    spare = np.ones(len(owners), dtype=bool)
    spare[kept] = False
    starts = np.searchsorted(owners, np.arange(len(aligned)))
    left = [points[spare[start : start + len(points)]] for start, points in zip(starts, aligned, strict=True)]
    return Usual.of(beside_others(aligner, aligned, owners[kept], left), alone(aligned[0], scale, seed))


def _expecting(aligner: Aligner, settings: RegistrationSettings, usual: Usual) -> Aligner:
    """The aligner of a class, which believes a pose where it comes as close as those of the training scans."""
    accept = max(settings.accept_residual, RESIDUAL_FACTOR * usual.residual)
    return aligner.expecting(usual.cost, accept)
