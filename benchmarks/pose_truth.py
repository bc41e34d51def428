"""Where the scans of a written synthetic benchmark really lie, and how many of them registration puts elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dusnet.cloud import Frame, PointCloud
from dusnet.config import RegistrationSettings
from dusnet.data import open_dataset
from dusnet.detectors.frame import ClassFrame
from dusnet.errors import BadInput
from dusnet.inspection.verdict import Limits
from dusnet.io import Mesh, read_cloud, sample_mesh
from dusnet.progress import Progress, Silent, Task
from dusnet.synthesis import scanner, specimens
from dusnet.synthesis.benchmark import MANIFEST
from dusnet.synthesis.likeness import real3d_ad
from dusnet.synthesis.likeness.real3d_ad_settings import Real3dAdLike
from dusnet.synthesis.settings import BenchmarkSettings
from dusnet.synthesis.surface import Floats, LabelledSurface
from dusnet.synthesis.toys import TOYS
from dusnet.synthesis.writer import PlannedScan

MISREGISTERED = 0.03
"""A scan is misregistered when the 90th percentile of a distance exceeds this many bounding radii; see `PoseJudge`."""
_WHOLE_PART = 4000
_NOMINAL = 60_000


@dataclass(frozen=True)
class Posed:
    """A scan with what only its maker knows.

    Attributes:
        points: as the file holds them, (N, 3) float64, mm.
        labels: True where defective, (N,) bool.
        matrix: the (4, 4) motion from where the nominal part lies to where the scan lies.
    """

    points: Floats
    labels: NDArray[np.bool_]
    matrix: Floats


@dataclass(frozen=True)
class Nominal:
    """The undamaged part of a class.

    Attributes:
        name: of the class.
        mesh: its surface, mm.
        radius: bounding radius, mm.
    """

    name: str
    mesh: Mesh
    radius: float


@contextmanager
def _recorded_poses() -> Iterator[list[tuple[PointCloud, Floats]]]:
    """Every cloud that is scanned meanwhile, with the motion that took its part away from the nominal place."""
    found: list[tuple[PointCloud, Floats]] = []
    honest_scan, honest_pose = specimens.scan, scanner.random_pose
    drawn: list[Floats] = []

    def random_pose(*words: Any) -> Floats:
        drawn.append(honest_pose(*words))
        return drawn[-1]

    def scan(surface: LabelledSurface, *words: Any, **options: Any) -> PointCloud:
        cloud = honest_scan(surface, *words, **options)
        center, matrix = -Frame.of(surface.points).translation, drawn[-1].copy()
        matrix[:3, 3] += center - matrix[:3, :3] @ center
        found.append((cloud, matrix))
        return cloud

    with patch.object(specimens, "scan", scan), patch.object(scanner, "random_pose", random_pose):
        yield found


def true_pose(part: specimens.PartClass, scan: dict[str, Any], settings: BenchmarkSettings, file: Path) -> Posed:
    """Make a scan of a written benchmark once more to learn its pose.

    Args:
        part: its class.
        scan: its entry in the manifest.
        settings: of the benchmark.
        file: the scan, to make sure that it is the same.

    Raises:
        BadInput: the file holds other points.
    """
    generator = np.random.default_rng(scan["entropy"])
    with _recorded_poses() as recorded:
        cloud = specimens.make_scan(part, scan["kind"], generator, settings, train=file.parent.name == "train")
    matrix = next(matrix for other, matrix in recorded if other is cloud)
    return _as_written(file, cloud, matrix)


def true_toy_pose(plan: real3d_ad.Real3dAdPlan, scan: dict[str, Any], planned: PlannedScan, file: Path) -> Posed:
    """Make a scan of a likeness of Real3D-AD once more to learn its pose.

    Args:
        plan: of the set.
        scan: its entry in the manifest.
        planned: what the plan says of it.
        file: the scan, to make sure that it is the same.

    Raises:
        BadInput: the file holds other points.
    """
    if tuple(scan["entropy"]) != planned.entropy:
        raise BadInput(f"{file} has another seed than its plan; write the benchmark again.")
    drawn: list[Floats] = []

    def random_pose(*words: Any) -> Floats:
        drawn.append(scanner.random_pose(*words))
        return drawn[-1]

    with patch.object(real3d_ad, "random_pose", random_pose):
        cloud = plan.make(planned)
    matrix, center = drawn[-1].copy(), _toy(planned.class_name).center
    matrix[:3, 3] += center - matrix[:3, :3] @ center
    return _as_written(file, cloud, matrix)


def _as_written(file: Path, cloud: PointCloud, matrix: Floats) -> Posed:
    stored = read_cloud(file).points
    if stored.shape != cloud.points.shape or not np.allclose(stored, cloud.points, atol=1e-3):
        raise BadInput(f"{file} is not what its seed makes today; write the benchmark again.")
    labels = np.zeros(len(cloud), dtype=bool) if cloud.labels is None else cloud.labels
    return Posed(stored, labels, matrix)


@dataclass(frozen=True)
class _Toy(Nominal):
    """A toy with the middle of its bounding box, (3,) mm."""

    center: Floats


@cache
def _toy(name: str) -> _Toy:
    mesh = TOYS[name]().mesh()
    frame = Frame.of(mesh.vertices[np.unique(mesh.faces)])
    return _Toy(name, mesh, frame.scale, -frame.translation)


class PoseJudge:
    """How far a registration puts scans of one part from where they belong.

    Neither answer asks for the very pose that a scan was made in: a gear turned by a tooth is as good.

    Args:
        part: the class.
        to_nominal: (4, 4), the true motion from the reference of the registration to the nominal part.
    """

    def __init__(self, part: Nominal, to_nominal: Floats) -> None:
        self._radius, self._to_nominal = part.radius, to_nominal
        self._surface = cKDTree(sample_mesh(part.mesh, _NOMINAL, np.random.default_rng(1))[0])
        self._whole = sample_mesh(part.mesh, _WHOLE_PART, np.random.default_rng(2))[0]

    def __call__(self, posed: Posed, motion: Floats) -> tuple[float, float]:
        """Two 90th percentiles of distances to the nominal surface, in bounding radii.

        Args:
            posed: the scan.
            motion: (4, 4), the estimated motion from the scan to the reference.

        Returns:
            That of the scan's undamaged points after the estimated motion; and that of points of the whole nominal
            surface, placed by the scan's true pose and taken along: large, too, where the visible side fits but the
            rest of the part would lie elsewhere.
        """
        estimated = self._to_nominal @ motion
        return (
            self._high(_moved(posed.points[~posed.labels], estimated)),
            self._high(_moved(self._whole, estimated @ posed.matrix)),
        )

    def _high(self, points: Floats) -> float:
        return float(np.quantile(self._surface.query(points)[0], 0.9)) / self._radius


def _moved(points: Floats, matrix: Floats) -> Floats:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


@dataclass(frozen=True)
class PoseCounts:
    """What became of the scans of one part.

    Attributes:
        name: the part.
        train: misregistered training scans, and how many there are besides the reference.
        scans: test scans.
        off_surface: test scans whose visible undamaged points lie off the nominal surface.
        off_pose: test scans whose whole part would lie off it.
        flagged: test scans whose residual exceeds the limit that `dusnet score` warns at.
        caught: flagged ones among those off the surface.
        residuals: of the test scans, fractions of the radius.
        seconds: per test scan.
    """

    name: str
    train: tuple[int, int]
    scans: int
    off_surface: int
    off_pose: int
    flagged: int
    caught: int
    residuals: Floats
    seconds: float


def count_poses(folder: Path, method: str | None, progress: Progress) -> Iterator[PoseCounts]:
    """Register every test scan of a written set as detectors do and compare with the truth, one part after another.

    Args:
        folder: what `write_benchmark` wrote, in any layout, or a likeness of Real3D-AD of toys.
        method: of registration; None takes the default.
        progress: where to report.

    Raises:
        BadInput: the folder holds no benchmark, or scans that its seeds do not make.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{folder} holds no benchmark; name a folder that `make` wrote.") from error
    registration = RegistrationSettings() if method is None else RegistrationSettings.model_validate({"method": method})
    dataset, scans = open_dataset(folder), {(folder / one["file"]).resolve(): one for one in manifest["scans"]}
    for part, truth in _parts(manifest["settings"]):
        training = [sample.path for sample in dataset.train(part.name)]
        tests = [sample.path for sample in dataset.test(part.name)]
        with progress.task(f"poses of {part.name}", 2 * len(tests) + len(training)) as task:
            posed = []
            for path in [*training, *tests]:
                posed.append(truth(scans[path.resolve()], path))
                task.advance()
            yield _count(part, posed[: len(training)], posed[len(training) :], registration, task)


def _parts(stored: dict[str, Any]) -> Iterator[tuple[Nominal, Callable[[dict[str, Any], Path], Posed]]]:
    """The parts of a written set, each with what tells the true pose of one of its scans."""
    if "density_ratio" in stored:
        like = Real3dAdLike.model_validate(stored)
        if like.meshes or like.scale_error:
            raise BadInput(
                "poses are counted for toys of the right size; write the set without meshes and scale_error."
            )
        plan = real3d_ad.Real3dAdPlan(like)
        planned = {one.scan.as_posix(): one for one in plan.scans()}
        for name in dict.fromkeys(one.class_name for one in planned.values()):
            yield _toy(name), lambda scan, file: true_toy_pose(plan, scan, planned[scan["file"]], file)
        return
    settings = BenchmarkSettings.model_validate(stored)
    for part in specimens.load_parts(settings):
        nominal = Nominal(part.name, part.mesh, part.radius)
        yield nominal, partial(_true_pose_of, part, settings)


def _true_pose_of(part: specimens.PartClass, settings: BenchmarkSettings, scan: dict[str, Any], file: Path) -> Posed:
    return true_pose(part, scan, settings, file)


def _count(
    part: Nominal, training: list[Posed], tests: list[Posed], registration: RegistrationSettings, task: Task
) -> PoseCounts:
    frame, _ = ClassFrame.learn([PointCloud(one.points) for one in training], registration, seed=0, progress=Silent())
    judge = PoseJudge(part, np.linalg.inv(training[0].matrix))
    learned = [judge(one, frame.place(PointCloud(one.points)).alignment.matrix)[1] for one in training[1:]]
    off, residuals, seconds = [], [], []
    for one in tests:
        start = time.perf_counter()
        alignment = frame.place(PointCloud(one.points)).alignment
        seconds.append(time.perf_counter() - start)
        off.append([distance > MISREGISTERED for distance in judge(one, alignment.matrix)])
        residuals.append(alignment.residual)
        task.advance()
    limits = Limits()
    surface_off, pose_off = np.array(off).T
    flags = np.array(residuals) > max(limits.residual_factor * frame.residual, limits.residual_floor)
    return PoseCounts(
        name=part.name,
        train=(sum(distance > MISREGISTERED for distance in learned), len(learned)),
        scans=len(tests),
        off_surface=int(surface_off.sum()),
        off_pose=int(pose_off.sum()),
        flagged=int(flags.sum()),
        caught=int((flags & surface_off).sum()),
        residuals=np.array(residuals),
        seconds=float(np.mean(seconds)),
    )


def pose_table(counts: Sequence[PoseCounts]) -> str:
    """The counts as a Markdown table with a line for all parts."""
    titles = ["part", "scans", "misregistered", "whole part off", "flagged", "misregistered and flagged"]
    titles += ["residual median", "90 %", "largest", "s per scan", "training misregistered"]
    lines = ["| " + " | ".join(titles) + " |", "|---|" + "---:|" * (len(titles) - 1)]
    for one in counts:
        middle, high, most = np.quantile(one.residuals, (0.5, 0.9, 1.0))
        lines.append(
            f"| {one.name} | {one.scans} | {one.off_surface} | {one.off_pose} | {one.flagged} | {one.caught} "
            f"| {middle:.4f} | {high:.4f} | {most:.4f} | {one.seconds:.2f} | {one.train[0]} of {one.train[1]} |"
        )
    together = [sum(numbers) for numbers in zip(*(_numbers(one) for one in counts), strict=True)]
    lines.append("| all | " + " | ".join(map(str, together[:5])) + f" | | | | | {together[5]} of {together[6]} |")
    return "\n".join(lines) + "\n"


def _numbers(one: PoseCounts) -> tuple[int, ...]:
    return one.scans, one.off_surface, one.off_pose, one.flagged, one.caught, *one.train
