"""A scan as its page shows it: in the frame of the part where that is known. Front is then one side on every page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud, Points
from dusnet.inspection.regions import DefectKind
from dusnet.inspection.result_parts import Bounds, Defect, PartFrame
from dusnet.result import Result

_WHOSE = {
    "first training scan": "that of the first training scan",
    "CAD model": "that of the CAD model",
    "given": "the one that was given",
}


@dataclass(frozen=True)
class PlacedResult:
    """What a page draws, all of it in one frame.

    Attributes:
        cloud: the scan.
        reconstruction: the surface that it was compared with, (M, 3) float64, or None.
        defects: those of the result; places, axes and bounds are of this frame.
        to_scan: rigid motion from this frame to the scan's own pose, (4, 4); None where it is the same.
        frame: what to call the frame in a sentence.
    """

    cloud: PointCloud
    reconstruction: Points | None
    defects: tuple[Defect, ...]
    to_scan: NDArray[np.float64] | None
    frame: str

    @classmethod
    def of(cls, result: Result, cloud: PointCloud) -> PlacedResult:
        """The scan of a result with its scores in memory, in the frame of the part or else in its own pose."""
        frame, rebuilt = result.part_frame, result.reconstruction
        if frame is None:
            return cls(cloud, rebuilt, result.defects, None, frame_words(None))
        motion = frame.motion
        return cls(
            cloud.transformed(motion),
            None if rebuilt is None else frame.places(np.asarray(rebuilt, dtype=np.float64)),
            tuple(_moved(defect, cloud.points, frame) for defect in result.defects),
            np.asarray(np.linalg.inv(motion), dtype=np.float64),
            frame_words(frame),
        )


def frame_words(frame: PartFrame | None) -> str:
    """What to call the frame that a page shows a scan in: `the frame of the part (that of the CAD model)`."""
    return "the scan" if frame is None else f"the frame of the part ({_WHOSE[frame.of]})"


def _moved(defect: Defect, points: Points, frame: PartFrame) -> Defect:
    rotation = frame.motion[:3, :3]
    mine = points[defect.indices]
    if not len(mine) or defect.kind is DefectKind.MISSING_MATERIAL:  # its bounds are not those of its points
        ends = np.array([defect.bounds.low, defect.bounds.high])
        mine = np.stack(np.meshgrid(*ends.T, indexing="ij"), axis=-1).reshape(-1, 3)
    placed = frame.places(mine)
    return defect.model_copy(
        update={
            "center": _vector(frame.places(np.array(defect.center))),
            "peak_point": _vector(frame.places(np.array(defect.peak_point))),
            "axes": tuple(_vector(axis) for axis in np.array(defect.axes) @ rotation.T),
            "bounds": Bounds(low=_vector(placed.min(axis=0)), high=_vector(placed.max(axis=0))),
        }
    )


def _vector(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(values.tolist())
