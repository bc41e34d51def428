"""Result files of a scan: `STEM.scored.ply`, `STEM.reconstruction.ply` and `STEM.json`."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.inspection.defects import find_defects
from dusnet.inspection.regions import Region, minimum_region
from dusnet.inspection.verdict import Verdict, decide
from dusnet.io import printable, remove_file, write_cloud, write_json
from dusnet.io.marks import GENERATOR, Kind, require_replaceable

if TYPE_CHECKING:
    from dusnet.detectors.base import Scores
    from dusnet.display.deviation_bands import DeviationBands

SCHEMA_VERSION = 2
SCORED, RECONSTRUCTION = ".scored.ply", ".reconstruction.ply"
STRAY_COLOR = (128, 128, 128)
"""Of points that have no score."""
MAX_REGIONS = 50
HIGH = {"median": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
BOTH_SIDES = {"min": 0.0, "p1": 0.01, "median": 0.5, "p99": 0.99, "max": 1.0}
"""Quantiles that a record gives of values whose high ones count, and of values of either sign."""


def result_files(out_dir: Path, stem: str) -> dict[Path, Kind]:
    """The files of a result and what each may replace; the JSON first, which the clouds belong to."""
    return {
        out_dir / f"{stem}.json": Kind.RECORD,
        out_dir / f"{stem}{SCORED}": Kind.SCORED,
        out_dir / f"{stem}{RECONSTRUCTION}": Kind.RECONSTRUCTION,
    }


def remove_result(out_dir: Path, stem: str) -> None:
    """Remove what `write_result` wrote for a scan, where it did.

    Raises:
        BadInput: a file of that name was written by others, or cannot be removed; none is removed then.
    """
    files = result_files(out_dir, stem)
    # A reconstruction of an earlier version is known by the scored scan beside it, so all are looked at first.
    for path, kind in files.items():
        require_replaceable(path, kind)
    for path in files:
        remove_file(path)


@dataclass(frozen=True)
class Result:
    """What was written for one scan.

    Attributes:
        stem: what the names of its files begin with.
        scan: file name of the scan, or None.
        verdict: the decision.
        object_score: one number for the scan.
        threshold: what it was compared with, or None.
        is_anomalous: whether it is greater, None without a threshold.
        regions: worst first.
        json_path: the JSON file.
        scored_path: the scan with scores and colours.
        reconstruction_path: the anomaly-free surface, or None.
        record: the contents of the JSON file.
    """

    stem: str
    scan: str | None
    verdict: Verdict
    object_score: float
    threshold: float | None
    is_anomalous: bool | None
    regions: tuple[Region, ...]
    json_path: Path
    scored_path: Path
    reconstruction_path: Path | None
    record: dict[str, Any]


def write_result(
    out_dir: Path,
    cloud: PointCloud,
    scores: Scores,
    *,
    model_id: str,
    model_sha256: str | None = None,
    unit: str | None = None,
    stem: str | None = None,
    verdict: Verdict | None = None,
    training_residual: float | None = None,
    threshold_source: Mapping[str, Any] | None = None,
    color_range: tuple[float, float] | None = None,
    bands: DeviationBands | None = None,
    comparison: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
    timestamp: datetime | None = None,
) -> Result:
    """Write the result files of one scan, each atomically, the JSON last: where it is, the others are complete.

    Files of an earlier result with the same stem are replaced; its reconstruction is removed when there is none now.

    Args:
        out_dir: where to write; made when absent.
        cloud: the scan that was scored, its own unit and pose, N points.
        scores: what the detector answered, `point_scores` (N,).
        model_id: how people call the model, such as its file name.
        model_sha256: hash of the model file, see `dusnet.io.file_sha256`.
        unit: unit of the scan's coordinates ("mm", ...), or None when nobody said.
        stem: what file names begin with, see `dusnet.inspection.stems`; None takes the name of the cloud's file.
        verdict: the decision; None decides with `verdict.decide` from the scores alone.
        training_residual: alignment residual of good scans, to be read beside the scan's own.
        threshold_source: where the threshold comes from, as JSON; None when nobody said.
        color_range: point scores that the first and the last colour stand for. None takes 0 to twice the point
            threshold, the same for all scans of a model; without a (positive) one, the scan's own median to maximum.
        bands: paint `scores.deviation` in these bands instead of the point scores as heat.
        comparison: what a scan was compared with and how, where that was a CAD model; kept under `comparison`.
        warnings: sentences to add to those of `cloud.notes` and `scores.warnings`.
        metadata: what else to keep under `metadata`; anything JSON can hold.
        timestamp: when the scan was inspected, with a time zone; None takes now.

    Returns:
        What was written and where.

    Raises:
        BadInput: a file cannot be written, or one of the same name was written by others.
        ValueError: scores and points differ in number, there is neither a stem nor a path to take it from, or there are
            bands but no deviation.
    """
    name = stem if stem is not None else cloud.path.stem if cloud.path is not None else None
    if not name:
        raise ValueError("a cloud without a path needs a stem")
    if len(scores.point_scores) != len(cloud):
        raise ValueError(f"one score per point is needed, got {len(scores.point_scores)} for {len(cloud)} points")
    if timestamp is not None and timestamp.tzinfo is None:
        raise ValueError("timestamp must have a time zone, for example datetime.now().astimezone()")
    if bands is not None and scores.deviation is None:
        raise ValueError("bands paint deviations, and these scores have none")
    decision = verdict if verdict is not None else decide(scores, cloud.points)
    regions, remark = _regions(cloud, scores)
    low, high, source = _color_range(scores, color_range)
    scored = out_dir / f"{name}{SCORED}"
    rebuilt = out_dir / f"{name}{RECONSTRUCTION}" if scores.reconstruction is not None else None
    record = {
        "generator": GENERATOR,
        "schema_version": SCHEMA_VERSION,
        **_decision_record(scores, decision),
        "threshold_source": None if threshold_source is None else dict(threshold_source),
        "unit": unit,
        "points": len(cloud),
        "stray_points": 0 if scores.stray is None else int(scores.stray.sum()),
        "region_count": len(regions),
        "regions": [region.record(number) for number, region in enumerate(regions[:MAX_REGIONS], start=1)],
        "point_scores": _statistics(scores.point_scores, HIGH),
        "distances": None if scores.distances is None else _statistics(scores.distances, HIGH),
        "deviation": None if scores.deviation is None else _statistics(scores.deviation, BOTH_SIDES),
        "alignment": _alignment_record(scores, training_residual),
        "unseen_share": scores.unseen,
        "part": None if scores.part is None else {"name": scores.part, "likeness": dict(scores.likeness)},
        "model": {"id": model_id, "sha256": model_sha256},
        "scan": _scan_record(cloud),
        "files": {"scored": scored.name, "reconstruction": None if rebuilt is None else rebuilt.name},
        "color_range": {"low": low, "high": high, "source": source},
        "color_bands": None if bands is None else bands.record(),
        "comparison": None if comparison is None else dict(comparison),
        "versions": _versions(),
        "timings": dict(scores.timings),
        "warnings": [*cloud.notes, *scores.warnings, *warnings, *remark],
        "timestamp": (timestamp or datetime.now().astimezone()).isoformat(timespec="seconds"),
        "metadata": dict(metadata or {}),
    }
    clean: dict[str, Any] = _plain(record)
    target = out_dir / f"{name}.json"
    colors = _colors(scores, (low, high), bands)
    remove_result(out_dir, name)  # where the JSON is, the clouds beside it belong to it
    _write_clouds(replace(cloud, colors=colors, labels=None), scores, scored, rebuilt)
    write_json(target, clean)
    return Result(
        stem=name,
        scan=None if cloud.path is None else printable(cloud.path.name),
        verdict=decision,
        object_score=scores.object_score,
        threshold=scores.threshold,
        is_anomalous=scores.is_anomalous,
        regions=tuple(regions),
        json_path=target,
        scored_path=scored,
        reconstruction_path=rebuilt,
        record=clean,
    )


def _write_clouds(
    cloud: PointCloud,
    scores: Scores,
    scored: Path,
    rebuilt: Path | None,
) -> None:
    values = np.asarray(scores.point_scores, dtype=np.float32)
    scalars: dict[str, NDArray[Any]] = {"anomaly_score": values}
    if scores.distances is not None:
        scalars["distance"] = np.asarray(scores.distances, dtype=np.float32)
    if scores.deviation is not None:
        scalars["deviation"] = np.asarray(scores.deviation, dtype=np.float32)
    if scores.stray is not None:
        scalars["stray"] = scores.stray
    write_cloud(scored, cloud, scalars=scalars, result=Kind.SCORED)
    if rebuilt is not None and scores.reconstruction is not None:
        surface = PointCloud(np.asarray(scores.reconstruction, dtype=np.float64))
        write_cloud(rebuilt, surface, result=Kind.RECONSTRUCTION)


def _colors(scores: Scores, span: tuple[float, float], bands: DeviationBands | None) -> NDArray[np.uint8]:
    from dusnet.display.color_maps import heat_colors

    if bands is not None and scores.deviation is not None:
        colors = bands.colors(scores.deviation)
    else:
        colors = heat_colors(np.asarray(scores.point_scores, dtype=np.float32), *span)
    if scores.stray is not None:
        colors[scores.stray] = STRAY_COLOR
    return colors


def _regions(cloud: PointCloud, scores: Scores) -> tuple[list[Region], list[str]]:
    if scores.point_threshold is None:
        return [], ["The model has no threshold for points, so no regions are listed."]
    if not np.isfinite(scores.point_scores).all():
        return [], ["Some point scores are NaN or infinite, so no regions are listed."]
    found = find_defects(cloud.points, scores)
    if scores.is_anomalous and not found:
        least = minimum_region(len(cloud))
        return [], [
            f"No connected region of at least {least} points is above the point threshold; look at the colours."
        ]
    return found, []


def _color_range(scores: Scores, given: tuple[float, float] | None) -> tuple[float, float, str]:
    if given is not None:
        return float(given[0]), float(given[1]), "given"
    limit = scores.point_threshold
    if limit is not None and limit > 0 and math.isfinite(limit):
        return 0.0, 2.0 * float(limit), "point_threshold"
    finite = np.asarray(scores.point_scores, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return 0.0, 1.0, "scan"
    low, high = float(np.median(finite)), float(finite.max())
    return low, high if high > low else low + 1.0, "scan"


def _decision_record(scores: Scores, verdict: Verdict) -> dict[str, Any]:
    return {
        "object_score": float(scores.object_score),
        "threshold": scores.threshold,
        "point_threshold": scores.point_threshold,
        "is_anomalous": scores.is_anomalous,
        "verdict": verdict.record(),
    }


def _alignment_record(scores: Scores, training_residual: float | None) -> dict[str, Any] | None:
    if scores.alignment is None:
        return None
    return {
        "method": scores.alignment.method,
        "residual": float(scores.alignment.residual),
        "training_residual": training_residual,
        "fitness": float(scores.alignment.fitness),
        "symmetric": scores.alignment.symmetric,
        "margin": float(scores.alignment.margin) if math.isfinite(scores.alignment.margin) else None,
        "matrix": np.asarray(scores.alignment.matrix).tolist(),
    }


def _scan_record(cloud: PointCloud) -> dict[str, Any]:
    if cloud.path is None:
        return {"file": None, "sha256": None}
    return {"file": printable(cloud.path.name), "sha256": cloud.sha256}


def _statistics(values: NDArray[Any], shares: Mapping[str, float]) -> dict[str, float]:
    """The mean and some quantiles by name; nothing of no values."""
    exact = np.asarray(values, dtype=np.float64)
    if not len(exact):
        return {}
    found = np.quantile(exact, list(shares.values())).tolist()
    return {"mean": float(exact.mean()), **dict(zip(shares, found, strict=True))}


def _versions() -> dict[str, str]:
    import torch

    from dusnet import __version__

    return {
        "dusnet": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it: NumPy numbers become Python's, paths text, and NaN and infinity null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
