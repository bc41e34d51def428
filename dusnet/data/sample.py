"""What a dataset on disk gives to everything else: named samples that load as labelled clouds."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud, Points
from dusnet.errors import BadInput
from dusnet.geometry.neighbors import Neighbors
from dusnet.io import read_cloud, read_labelled_points, read_scalars

Split = Literal["train", "test"]
Source = Literal["ground_truth", "scan"]

GOOD = "good"
UNKNOWN = "unknown"
MATCH_TOLERANCE = 1e-4  # of the cloud's diagonal: above what text files round away, far below the spacing of points


@dataclass(frozen=True)
class Sample:
    """One scan of a dataset.

    Attributes:
        path: the scan.
        class_name: the class of parts that it belongs to.
        split: "train" (defect-free) or "test".
        kind: "good", the kind of defect ("bulge", "crack", ...), or "unknown" when nothing on disk tells.
        ground_truth: the text file with one `x y z label` row per point, or None.
    """

    path: Path
    class_name: str
    split: Split
    kind: str
    ground_truth: Path | None = None

    @property
    def name(self) -> str:
        """The scan's file name without its suffix; unique within a class and split of the public archives."""
        return self.path.stem

    @property
    def anomalous(self) -> bool:
        """Whether the part has a defect.

        Raises:
            BadInput: nothing on disk says whether the part is good.
        """
        if self.kind == UNKNOWN:
            raise BadInput(
                f"nothing says whether {self.path} is good or defective; move it to test/good or test/<kind of defect> "
                f"or add a ground truth."
            )
        return self.kind != GOOD

    def load(self, source: Source = "ground_truth") -> PointCloud:
        """Read the scan with its labels.

        A good test scan is labelled False everywhere. A defective one that has a ground-truth file takes its points
        and labels from there, as all published loaders do, or with `source="scan"` its points from the scan and the
        label of each point from the nearest row of the ground truth. A defective scan without a ground-truth file
        has the labels that its own file carries, or none. Training scans have no labels.

        Args:
            source: the file that points come from, "ground_truth" or "scan".

        Returns:
            The cloud in the unit of the file, at least one point; labels as above.

        Raises:
            BadInput: a file is missing, damaged or empty, or scan and ground truth do not hold the same points.
        """
        if source not in ("ground_truth", "scan"):
            raise ValueError(f"source must be 'ground_truth' or 'scan', got {source!r}")
        if self.ground_truth is not None and self.split == "test" and self.kind != GOOD:
            return self._load_labelled(self.ground_truth, source)
        if self.split == "test" and self.kind != GOOD:
            labelled = read_with_labels(self.path)
            if labelled is not None:
                return labelled
        cloud = read_cloud(self.path)
        if self.split == "test" and self.kind == GOOD:
            return replace(cloud, labels=np.zeros(len(cloud), dtype=np.bool_))
        return cloud

    def _load_labelled(self, ground_truth: Path, source: Source) -> PointCloud:
        if not ground_truth.is_file():
            raise BadInput(
                f"the ground truth of {self.path} is missing, expected {ground_truth}; unpack the archive again."
            )
        points, labels = read_labelled_points(ground_truth)
        if source == "ground_truth":
            return PointCloud(points, labels=labels, path=ground_truth)
        scan = read_cloud(self.path)
        return replace(scan, labels=match_labels(scan, points, labels, ground_truth))


def read_with_labels(path: Path) -> PointCloud | None:
    """A PLY file that carries its own ground truth in a scalar `label` (`scalar_label` from some editors).

    Args:
        path: the scan; files of other formats, and PLY files without that scalar, give None.

    Returns:
        The cloud, its labels True where the scalar is above 0.5.

    Raises:
        BadInput: the file cannot be read.
    """
    if path.suffix.lower() != ".ply":
        return None
    cloud, scalars = read_scalars(path)
    label = next((values for name, values in scalars.items() if name.lower().removeprefix("scalar_") == "label"), None)
    return None if label is None else replace(cloud, labels=label > 0.5)


def match_labels(scan: PointCloud, points: Points, labels: NDArray[np.bool_], ground_truth: Path) -> NDArray[np.bool_]:
    """Labels of the points of `scan` from a ground truth whose rows may be rounded and in another order.

    Args:
        scan: the cloud to label, N points.
        points: coordinates of the ground truth, (N, 3) float64, same unit and pose.
        labels: (N,) bool.
        ground_truth: the file that they come from, for messages.

    Returns:
        (N,) bool in the order of the scan.

    Raises:
        BadInput: the counts differ, or a point has no row within `MATCH_TOLERANCE` of the diagonal.
    """
    if len(scan) != len(points):
        notes = f" ({'; '.join(scan.notes)})" if scan.notes else ""
        raise BadInput(
            f"{scan.name} has {len(scan)} points{notes} but its ground truth {ground_truth} has {len(points)} rows; "
            f"take the points from the ground truth or leave the scan out."
        )
    tolerance = MATCH_TOLERANCE * float(np.linalg.norm(np.ptp(scan.points, axis=0)))
    if np.linalg.norm(scan.points - points, axis=1).max() <= tolerance:
        return labels  # same order, the usual case, and the only one that tells coinciding points apart

    distance, row = Neighbors(points).nearest(scan.points)
    stray = distance > tolerance
    if stray.any():
        raise BadInput(
            f"{int(stray.sum())} of {len(scan)} points of {scan.name} are not in its ground truth {ground_truth} "
            f"(the farthest is {distance.max():.3g} away); the two files do not belong together."
        )
    matched: NDArray[np.bool_] = labels[row]
    return matched


Lister = Callable[[str, Path], "list[Sample]"]


@dataclass(frozen=True)
class Dataset:
    """Classes of parts on disk.

    Attributes:
        name: "Real3D-AD" or "Anomaly-ShapeNet" when every class is one of theirs, else the name of the folder.
        root: the folder that was opened.
        layout: one of `dusnet.data.LAYOUTS`.
        folders: class name -> its folder, in natural order of names.
        list_train: how this layout lists the training scans of one class folder.
        list_test: how it lists the test scans.
    """

    name: str
    root: Path
    layout: str
    folders: Mapping[str, Path]
    list_train: Lister
    list_test: Lister

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in natural order."""
        return tuple(self.folders)

    def train(self, class_name: str) -> list[Sample]:
        """The defect-free scans to learn from, at least one.

        Raises:
            BadInput: the class is unknown, or has no training scans.
        """
        return self.list_train(class_name, self.folder(class_name))

    def test(self, class_name: str) -> list[Sample]:
        """The scans to score, good and defective; empty only in a folder that has no test part.

        Raises:
            BadInput: the class is unknown, or its files cannot be understood.
        """
        return self.list_test(class_name, self.folder(class_name))

    def folder(self, class_name: str) -> Path:
        """The folder of a class.

        Raises:
            BadInput: there is no such class; the nearest names are said.
        """
        if class_name in self.folders:
            return self.folders[class_name]
        near = difflib.get_close_matches(class_name, self.classes, n=3, cutoff=0.5)
        more = len(self.classes) - 12
        some = ", ".join(self.classes[:12]) + (f" and {more} more" if more > 0 else "")
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {some}."
        raise BadInput(f"{self.root} has no class {class_name!r}; {hint}")
