"""What `dusnet check` reports: whether scans can be used, what they hold, and what looks wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.errors import DusnetError
from dusnet.geometry.clean_scan import CleanScan
from dusnet.geometry.neighbors import Neighbors
from dusnet.geometry.scan_sizes import size_groups, size_of, size_problem, size_words, unit_words
from dusnet.io.clouds import read_raw, usable_rows
from dusnet.io.columns import RawCloud
from dusnet.io.mesh import Mesh, sample_mesh
from dusnet.progress import Progress, Silent

# The diagonal of a part that somebody inspects, in millimetres.
_SMALLEST_MM, _LARGEST_MM = 5.0, 5000.0
_UNITS_MM = {"mm": 1.0, "cm": 10.0, "in": 25.4, "m": 1000.0}
_SPACING_SAMPLES = 5000  # points whose nearest one is looked up: enough for a median
_SIZE_SAMPLES = 2000  # points that a mesh is sampled with to measure its size
_MANY_DUPLICATES = 0.05  # share of repeated points that is worth a warning: merged exports have half
_MANY_DROPPED = 0.5  # share of rows without a place that is worth a warning
_FEW_POINTS = 500  # below, a small defect has no points
_COUNT_FACTOR = 10.0  # of the usual count, either way, beyond which a scan stands out


@dataclass(frozen=True)
class ScanReport:
    """What one file holds. Lengths are in the unit of the file.

    Attributes:
        path: the file.
        error: why it cannot be used, or None.
        points: usable points; of a mesh, its vertices.
        triangles: triangles of a mesh, 0 for a cloud.
        non_finite: rows with NaN or infinite coordinates, which reading drops.
        empty: rows that are exactly 0, 0, 0, a scanner's empty pixels, which reading drops where there are several.
        duplicates: share of the points that repeat another, 0 to 1.
        stray: points far from all others, which are not measured.
        extent: size of the bounding box along x, y and z.
        diagonal: of the bounding box.
        size: half the diagonal along the main axes, without stray points; see `dusnet.geometry.scan_sizes`.
        spacing: median distance from a point to the nearest different one, or None (mesh, unusable).
        normals: whether there are normals.
        colors: whether there are colours.
        plausible_units: units in which the diagonal is that of a part between 5 mm and 5 m.
        notes: what reading does to the file.
        warnings: what looks wrong, although the file can be used.
        digest: equal for files with equal points.
    """

    path: Path
    error: str | None = None
    points: int = 0
    triangles: int = 0
    non_finite: int = 0
    empty: int = 0
    duplicates: float = 0.0
    stray: int = 0
    extent: tuple[float, float, float] = (0.0, 0.0, 0.0)
    diagonal: float = 0.0
    size: float = 0.0
    spacing: float | None = None
    normals: bool = False
    colors: bool = False
    plausible_units: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    digest: str = ""

    @property
    def usable(self) -> bool:
        """Whether the file can be trained on or scored."""
        return self.error is None

    def as_dict(self) -> dict[str, Any]:
        """The report for a JSON file."""
        return {**asdict(self), "path": str(self.path), "usable": self.usable}

    def lines(self) -> list[str]:
        """The report for people, one finding per line."""
        if self.error is not None:
            return [f"{self.path}: UNUSABLE", f"  {self.error}"]
        kind = (
            f"mesh, {self.triangles} triangles, {self.points} vertices" if self.triangles else f"{self.points} points"
        )
        extras = [name for name, present in (("normals", self.normals), ("colours", self.colors)) if present]
        size = " x ".join(f"{length:.4g}" for length in self.extent)
        lines = [f"{self.path}: {', '.join([kind, *extras])}", f"  size {size}, diagonal {self.diagonal:.4g}"]
        if self.spacing is not None:
            lines[-1] += f", point spacing {self.spacing:.3g}"
        if self.plausible_units:
            lines.append(f"  unit not stored; a part of this size would be in {' or '.join(self.plausible_units)}")
        lines += [f"  note: {note}" for note in self.notes]
        return lines + [f"  warning: {warning}" for warning in self.warnings]


@dataclass(frozen=True)
class InputReport:
    """What several files hold.

    Attributes:
        scans: one report per file, in the order given.
        warnings: what looks wrong when the files are compared.
    """

    scans: tuple[ScanReport, ...]
    warnings: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether there are files and every one can be used."""
        return bool(self.scans) and all(scan.usable for scan in self.scans)

    def as_dict(self) -> dict[str, Any]:
        """The report for a JSON file."""
        scans = [scan.as_dict() for scan in self.scans]
        return {"usable": self.usable, "warnings": list(self.warnings), "scans": scans}

    def lines(self) -> list[str]:
        """The report for people: every file, then what a comparison shows, then the sum."""
        lines = [line for scan in self.scans for line in scan.lines()]
        lines += [f"warning: {warning}" for warning in self.warnings]
        bad = sum(not scan.usable for scan in self.scans)
        return [*lines, f"{len(self.scans)} files, {bad} unusable"]


def inspect_scan(path: Path) -> ScanReport:
    """Read one scan and report on it; a file that cannot be used is reported, not raised.

    Args:
        path: a file in one of the formats of `dusnet.io`.
    """
    try:
        return _report(path, read_raw(path))
    except DusnetError as error:
        return ScanReport(path, error=str(error))


def inspect_scans(paths: Iterable[Path], *, progress: Progress | None = None) -> InputReport:
    """Report on every scan and compare them.

    Args:
        paths: files in one of the formats of `dusnet.io`, such as the scans of a dataset.
        progress: where to report to.
    """
    files = list(paths)
    reports: list[ScanReport] = []
    with (progress or Silent()).task("check", len(files)) as task:
        for path in files:
            reports.append(inspect_scan(path))
            task.advance()
    return InputReport(tuple(reports), tuple(_comparison([report for report in reports if report.usable])))


def plausible_units(diagonal: float) -> tuple[str, ...]:
    """The units in which a diagonal is that of a part between 5 mm and 5 m.

    Args:
        diagonal: of the bounding box, in an unknown unit.

    Example:
        >>> plausible_units(0.2)
        ('in', 'm')
    """
    return tuple(unit for unit, mm in _UNITS_MM.items() if _SMALLEST_MM <= diagonal * mm <= _LARGEST_MM)


def _report(path: Path, raw: RawCloud) -> ScanReport:
    kept, non_finite, empty = usable_rows(path, raw)
    points = raw.points[kept]
    triangles = 0 if raw.faces is None else len(raw.faces)
    surface = points
    if triangles and raw.faces is not None:
        # Refuses a mesh without a surface. Vertices lie where the shape is intricate, and tell little about its size.
        surface, _ = sample_mesh(Mesh(raw.points, raw.faces, path), _SIZE_SAMPLES, np.random.default_rng(0))
        clean = CleanScan(PointCloud(points))
    else:
        clean = CleanScan.of(PointCloud(points, path=path))
    extent = np.ptp(clean.cloud.points, axis=0)
    diagonal = float(np.linalg.norm(extent))
    notes = [*raw.notes]
    if non_finite:
        notes.append(f"{non_finite} of {len(kept)} points have NaN or infinite coordinates and are dropped")
    if empty:
        notes.append(f"{empty} of {len(kept)} points are exactly 0, 0, 0, a scanner's empty pixels, and are dropped")
    notes += [note.rstrip(".") for note in clean.notes]
    if triangles:
        notes.append("a mesh: points are drawn from its surface")
    report = ScanReport(
        path,
        points=len(points),
        triangles=triangles,
        non_finite=non_finite,
        empty=empty,
        duplicates=clean.repeated / len(points),
        stray=clean.stray,
        extent=(float(extent[0]), float(extent[1]), float(extent[2])),
        diagonal=diagonal,
        size=size_of(surface),
        spacing=None if triangles else _spacing(clean.cloud.points),
        normals=raw.normals is not None,
        colors=raw.colors is not None,
        plausible_units=plausible_units(diagonal),
        notes=tuple(notes),
        digest=hashlib.sha256(points.tobytes()).hexdigest(),
    )
    return replace(report, warnings=tuple(_scan_warnings(report, points)))


def _spacing(distinct: NDArray[np.float64]) -> float:
    """Median distance from points, evenly picked, to their nearest other point."""
    queries = distinct[:: max(1, len(distinct) // _SPACING_SAMPLES)]
    distances, _ = Neighbors(distinct).knn(queries, 2)
    return float(np.median(distances[:, 1]))


def _scan_warnings(report: ScanReport, points: NDArray[np.float64]) -> list[str]:
    warnings = []
    if not report.triangles and report.points < _FEW_POINTS:
        warnings.append(f"only {report.points} points; small defects cannot be seen, scan it more densely")
    if not report.triangles and report.duplicates > _MANY_DUPLICATES:
        warnings.append(f"{report.duplicates:.0%} of the points repeat another one")
    dropped = report.non_finite + report.empty
    if dropped > _MANY_DROPPED * (report.points + dropped):
        warnings.append("more than half of the points have no finite coordinates or are exactly 0, 0, 0")
    if not report.plausible_units:
        warnings.append(f"a diagonal of {report.diagonal:.4g} is no usual part in any of {', '.join(_UNITS_MM)}")
    if report.spacing is not None and (points.astype(np.float32) == points).all():
        step = float(np.spacing(np.abs(points).max().astype(np.float32)))
        if step > 0.1 * report.spacing:
            warnings.append(
                f"coordinates are stored in single precision with steps of {step:.2g} at a spacing of "
                f"{report.spacing:.2g}; move the part to the origin before exporting or export as double"
            )
    return warnings


def _odd_sizes(scans: list[ScanReport]) -> list[str]:
    """The scans that are not as large as most are; where no size has the majority, the sizes that there are."""
    sizes = [scan.size for scan in scans]
    problem = size_problem([str(scan.path) for scan in scans], sizes)
    if problem is None:
        return []
    groups = size_groups(sizes)
    if len(groups[0]) == len(groups[1]):
        return [f"{problem}; training refuses them together"]
    usual = float(np.median([sizes[index] for index in groups[0]]))
    odd = sorted(index for group in groups[1:] for index in group)
    return [
        f"{scans[index].path} is {size_words(sizes[index] / usual)} than the median"
        f"{unit_words(sizes[index] / usual)}; training refuses them together, is its unit the same?"
        for index in odd
    ]


def _comparison(scans: list[ScanReport]) -> list[str]:
    if len(scans) < 2:
        return []
    warnings = _odd_sizes(scans)
    clouds = [scan for scan in scans if not scan.triangles]
    count = float(np.median([scan.points for scan in clouds])) if clouds else 0.0
    warnings += [
        f"{scan.path} has {scan.points} points where the median is {count:.0f}"
        for scan in clouds
        if not count / _COUNT_FACTOR <= scan.points <= count * _COUNT_FACTOR
    ]
    if clouds and len(clouds) < len(scans):
        warnings.append(f"{len(scans) - len(clouds)} of {len(scans)} files are meshes, the others are point clouds")
    first: dict[str, Path] = {}
    for scan in scans:
        if scan.digest in first:
            warnings.append(f"{scan.path} holds the same points as {first[scan.digest]}")
        first.setdefault(scan.digest, scan.path)
    return warnings
