"""What there is to show of one scan, read from its files: points, scores, verdict, defects, reconstruction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.colors.deviation_bands import DeviationBands
from dusnet.errors import BadInput
from dusnet.inspection.result_files import RECONSTRUCTION, SCORED
from dusnet.inspection.result_parts import Defect
from dusnet.io import find_clouds, read_cloud, read_scalars
from dusnet.result import Result

Array = NDArray[np.float64]


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
        finding: what was found, in one sentence, None when nobody decided.
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
        part_motion: from the scan to the frame of the part, (4, 4), or None where the frame is not known.
    """

    name: str
    cloud: PointCloud
    scores: Array | None = None
    deviation: Array | None = None
    bands: DeviationBands | None = None
    reconstruction: PointCloud | None = None
    verdict: str | None = None
    finding: str | None = None
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
    part_motion: Array | None = None


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
    rebuilt = path.with_name(f"{stem}{RECONSTRUCTION}")
    loaded = LoadedResult(
        name=stem,
        cloud=_usable(_labelled(cloud, scalars), heat=True),
        scores=scalars["anomaly_score"],
        deviation=scalars.get("deviation"),
        reconstruction=_usable(read_scalars(rebuilt)[0]) if reconstruction and rebuilt.is_file() else None,
        stray=scalars["stray"] > 0.5 if "stray" in scalars else None,
    )
    return _told(loaded, Result.read(source)) if source.is_file() else loaded


def _told(loaded: LoadedResult, result: Result) -> LoadedResult:
    """The scan with what its result says of it."""
    compared, span = result.comparison, result.color_range
    bands = None if compared is None else DeviationBands(compared.tolerance.plus, compared.tolerance.minus)
    limit = result.point_threshold
    return replace(
        loaded,
        bands=bands if loaded.deviation is not None else None,
        verdict=result.verdict.status.value,
        finding=result.finding,
        reasons=tuple(one.text for one in result.verdict.reasons),
        object_score=result.object_score if math.isfinite(result.object_score) else None,
        threshold=result.threshold,
        point_threshold=limit if limit is not None and limit > 0 else None,
        color_range=(span.low, span.high) if span.low < span.high else None,
        unit=result.unit,
        defects=result.defects,
        defect_count=max(len(result.defects), result.region_count),
        remarks=result.warnings,
        part_motion=None if result.part_frame is None else result.part_frame.motion,
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
