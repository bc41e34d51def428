"""What there is to show of one scan, read from its files: points, scores, verdict, defects, reconstruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.display.deviation_bands import DeviationBands
from dusnet.errors import BadInput
from dusnet.inspection.regions import Region
from dusnet.inspection.results import RECONSTRUCTION, SCORED
from dusnet.io import find_clouds, parse_json, read_cloud, read_scalars

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Defect:
    """A region above the point threshold as a list shows it, in the scan's unit and pose.

    Attributes:
        center: middle of its points, (3,).
        size: extents along its own axes, longest first, (3,).
        low: smallest x, y and z, (3,).
        high: largest x, y and z, (3,).
        point_count: points in it, None when the result does not say.
        peak_score: highest point score, None when the result does not say.
        kind: what the result calls it, such as "bulge", or None.
    """

    center: Array
    size: Array
    low: Array
    high: Array
    point_count: int | None
    peak_score: float | None
    kind: str | None = None

    @classmethod
    def of(cls, region: Region) -> Defect:
        """The defect that a region found anew stands for."""
        return cls(region.center, region.size, region.low, region.high, region.point_count, region.peak_score)


@dataclass(frozen=True)
class LoadedResult:
    """One scan with everything that is known of it, at full resolution.

    Attributes:
        name: what to call it.
        cloud: the scan, N points; its colours are the input's own, None where the file holds heat colours instead.
        scores: (N,) float64, None for a scan that was not scored.
        deviation: signed, (N,) float64 in the scan's unit, or None.
        bands: what paints the deviations of a comparison with a CAD model in place of the heat; None elsewhere.
        reconstruction: the surface without defects, or None.
        verdict: "OK", "NG" or "RECHECK", None when nobody decided.
        reasons: sentences that say why.
        object_score: one number for the scan, or None.
        threshold: what the object score was compared with, or None.
        point_threshold: point score above which a point is part of a defect, or None.
        color_range: point scores of the palest and the darkest colour, or None.
        unit: of the coordinates, or None.
        defects: as the result lists them, worst first; None when there is no list.
        defect_count: how many the scan has; a result lists the worst only.
        remarks: what was noted when the scan was read or scored.
        stray: points that were not measured, (N,) bool, or None where the result says of none.
    """

    name: str
    cloud: PointCloud
    scores: Array | None = None
    deviation: Array | None = None
    bands: DeviationBands | None = None
    reconstruction: PointCloud | None = None
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    object_score: float | None = None
    threshold: float | None = None
    point_threshold: float | None = None
    color_range: tuple[float, float] | None = None
    unit: str | None = None
    defects: tuple[Defect, ...] | None = None
    defect_count: int = 0
    remarks: tuple[str, ...] = ()
    stray: NDArray[np.bool_] | None = None


def viewable_files(paths: Sequence[Path]) -> list[Path]:
    """The scans and scored scans that files and folders stand for, in order.

    In a folder of results these are its scored scans; in any other, all clouds. `STEM.json` stands for the scored scan
    beside it.

    Raises:
        BadInput: a path does not exist or a folder holds nothing to show.
    """
    found: list[Path] = []
    for path in paths:
        scored = sorted(path.glob(f"*{SCORED}")) if path.is_dir() else []
        if scored:
            found += scored
        elif path.suffix == ".json":
            beside = path.with_name(f"{path.stem}{SCORED}")
            if not beside.is_file():
                raise BadInput(f"{path} has no {beside.name} beside it; name a scan or a result of `dusnet score`.")
            found.append(beside)
        else:
            clouds = find_clouds(path)
            if not clouds:
                raise BadInput(f"{path} holds no scans and no results; name a scan, a result or a folder of them.")
            found += clouds
    return found


def read_loaded_result(path: Path, *, reconstruction: bool = True) -> LoadedResult:
    """What there is to show of one scan or scored scan.

    Args:
        path: a cloud, a mesh, or `STEM.scored.ply` with `STEM.json` and `STEM.reconstruction.ply` beside it or not.
        reconstruction: whether to read the latter.

    Raises:
        BadInput: a file cannot be read or is damaged.
    """
    stem = path.name.removesuffix(SCORED)
    if stem == path.name:
        return _plain(path)
    cloud, scalars = read_scalars(path)
    if "anomaly_score" not in scalars:
        raise BadInput(f"{path} has no property anomaly_score; score the scan again or rename it to end in {stem}.ply.")
    source = path.with_name(f"{stem}.json")
    record = _record(source)
    rebuilt = path.with_name(f"{stem}{RECONSTRUCTION}")
    surface = _usable(read_scalars(rebuilt)[0]) if reconstruction and rebuilt.is_file() else None
    decision = record.get("verdict")
    decision = decision if isinstance(decision, dict) else {}
    defects = _defects(record.get("regions"), source)
    count = _number(record.get("region_count"))
    return LoadedResult(
        name=stem,
        cloud=_usable(_labelled(cloud, scalars), heat=True),
        scores=scalars["anomaly_score"],
        deviation=scalars.get("deviation"),
        bands=_bands(record) if "deviation" in scalars else None,
        reconstruction=surface,
        verdict=str(decision["status"]) if decision.get("status") else None,
        reasons=tuple(_texts(decision.get("reasons"))),
        object_score=_number(record.get("object_score")),
        threshold=_number(record.get("threshold")),
        point_threshold=_positive(record.get("point_threshold")),
        color_range=_range(record.get("color_range")),
        unit=record["unit"] if isinstance(record.get("unit"), str) else None,
        defects=defects,
        defect_count=max(len(defects or ()), 0 if count is None else int(count)),
        remarks=tuple(_texts(record.get("warnings"))),
        stray=scalars["stray"] > 0.5 if "stray" in scalars else None,
    )


def _plain(path: Path) -> LoadedResult:
    if path.suffix.lower() in (".ply", ".pcd"):
        cloud, scalars = read_scalars(path)
        if "anomaly_score" in scalars:
            scored = _usable(_labelled(cloud, scalars))
            return LoadedResult(path.name, scored, scores=scalars["anomaly_score"], remarks=cloud.notes)
        if "label" in scalars:
            return LoadedResult(path.name, _usable(_labelled(cloud, scalars)), remarks=cloud.notes)
    cloud = _usable(read_cloud(path))
    return LoadedResult(path.name, cloud, remarks=cloud.notes)


def _labelled(cloud: PointCloud, scalars: Mapping[str, NDArray[np.float64]]) -> PointCloud:
    """The cloud with its ground truth where the file has a property `label`, true above 0.5."""
    labels = scalars["label"] > 0.5 if "label" in scalars else None
    return PointCloud(cloud.points, cloud.normals, cloud.colors, labels, cloud.path, cloud.notes)


def _usable(cloud: PointCloud, *, heat: bool = False) -> PointCloud:
    cloud.require_usable()
    normals = cloud.normals if cloud.normals is None or np.isfinite(cloud.normals).all() else None
    colors = None if heat else cloud.colors
    return PointCloud(cloud.points, normals, colors, cloud.labels, cloud.path, cloud.notes)


def _record(path: Path) -> dict[str, Any]:
    """The result's JSON, empty where there is none."""
    if not path.is_file():
        return {}
    try:
        record = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    except ValueError as error:
        raise BadInput(f"{path} is no valid JSON; score the scan again or remove the file.") from error
    if not isinstance(record, dict) or "object_score" not in record:
        raise BadInput(f"{path} is no result of `dusnet score`; move it away from the scan of the same name.")
    return record


def _bands(record: dict[str, Any]) -> DeviationBands | None:
    """The bands of a comparison with a CAD model, None for every other result."""
    comparison = record.get("comparison")
    tolerance = comparison.get("tolerance") if isinstance(comparison, dict) else None
    if not isinstance(tolerance, dict):
        return None
    plus, minus = _positive(tolerance.get("plus")), _positive(tolerance.get("minus"))
    return None if plus is None or minus is None else DeviationBands(plus, minus)


def _texts(value: object) -> list[str]:
    """Sentences of a list of sentences or of records with a `text`."""
    entries = value if isinstance(value, list) else []
    return [str(one.get("text", one.get("code", ""))) if isinstance(one, dict) else str(one) for one in entries]


def _defects(value: object, path: Path) -> tuple[Defect, ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(_defect(region, path) for region in value)


def _defect(region: object, path: Path) -> Defect:
    entry = region if isinstance(region, dict) else {}
    center, size = _triple(entry.get("center")), _triple(entry.get("size"))
    if center is None or size is None:
        raise BadInput(f"{path} lists a region without center and size; score the scan again.")
    bounds = entry.get("bounds")
    bounds = bounds if isinstance(bounds, dict) else {}
    low, high = _triple(bounds.get("low")), _triple(bounds.get("high"))
    count = _number(entry.get("point_count"))
    return Defect(
        center=center,
        size=size,
        low=center - size / 2.0 if low is None else low,
        high=center + size / 2.0 if high is None else high,
        point_count=None if count is None else int(count),
        peak_score=_number(entry.get("peak_score")),
        kind=entry["kind"] if isinstance(entry.get("kind"), str) else None,
    )


def _triple(value: object) -> Array | None:
    if not isinstance(value, list) or len(value) != 3 or any(_number(one) is None for one in value):
        return None
    return np.array(value, dtype=np.float64)


def _number(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
    return float(value) if known else None  # type: ignore[arg-type]


def _positive(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _range(value: object) -> tuple[float, float] | None:
    if not isinstance(value, dict):
        return None
    low, high = _number(value.get("low")), _number(value.get("high"))
    return (low, high) if low is not None and high is not None and low < high else None
