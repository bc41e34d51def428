"""How a record comes from a scan that was scored: every key, from the scan, its scores and what is known besides."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dusnet.cloud import PointCloud, Points
from dusnet.inspection import result_parts as parts
from dusnet.inspection.defects import find_defects
from dusnet.inspection.own_limits import NO_LIMITS, OwnLimits
from dusnet.inspection.regions import Region
from dusnet.inspection.result_files import RECONSTRUCTION, SCORED
from dusnet.inspection.result_parts import Defect
from dusnet.inspection.sides import PartSides, SideName
from dusnet.inspection.verdict import Verdict, decide
from dusnet.result.record import MAX_DEFECTS, SCHEMA_VERSION, Record

if TYPE_CHECKING:
    from dusnet.detectors.base import Scores


@dataclass(frozen=True)
class Context:
    """What a result says besides the scan and its scores.

    Attributes:
        model: what scored the scan.
        unit: of the scan's coordinates ("mm", ...), None when nobody said.
        threshold_source: where the threshold comes from, None when nobody said.
        training_residual: fit error of good scans, to be read beside the scan's own.
        own_limits: limits of the user's own, in the unit of the scan.
        part_frame: the frame of the part, None where it is not known.
        comparison: with what and how the scan was compared, where that was a CAD model; its tolerance then paints the
            scan in place of the heat colours.
        warnings: sentences to add to those of the scan and of the scores.
        metadata: what the caller adds; anything JSON can hold.
    """

    model: parts.ModelFile
    unit: str | None = None
    threshold_source: parts.ThresholdGiven | parts.ThresholdCalibrated | None = None
    training_residual: float | None = None
    own_limits: OwnLimits = NO_LIMITS
    part_frame: parts.PartFrame | None = None
    comparison: parts.Comparison | None = None
    warnings: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


AnyRecord = TypeVar("AnyRecord", bound=Record)


def record_of(
    kind: type[AnyRecord], cloud: PointCloud, scores: Scores, context: Context, stem: str, verdict: Verdict | None
) -> AnyRecord:
    """What is stored of a scan that was scored.

    Args:
        kind: of the record.
        cloud: the scan, its own unit and pose, N points.
        scores: what the detector answered, `point_scores` (N,).
        context: what else the result says.
        stem: what the names of its files begin with.
        verdict: the decision before limits of the user's own; None decides from the scores alone.
    """
    comparison, own = context.comparison, context.own_limits
    regions, remark = _regions(cloud, scores, own)
    listed = regions[:MAX_DEFECTS]
    found = tuple(
        Defect.of(region, number, context.part_frame, side=side)
        for number, (region, side) in enumerate(zip(listed, _sides(cloud, listed, context), strict=True), start=1)
    )
    before = verdict if verdict is not None else decide(scores, cloud.points)
    return kind(
        generator="dusnet",
        schema_version=SCHEMA_VERSION,
        object_score=float(scores.object_score),
        threshold=_float(scores.threshold),
        point_threshold=_float(scores.point_threshold),
        is_anomalous=None if scores.is_anomalous is None else bool(scores.is_anomalous),
        verdict=before.with_findings(own.reasons(regions, context.unit)),
        threshold_source=context.threshold_source,
        own_limits=parts.AcceptedDefect(**own.to_json()) if own else None,
        unit=context.unit,
        points=len(cloud),
        stray_points=0 if scores.stray is None else int(scores.stray.sum()),
        region_count=len(regions),
        regions=found,
        point_scores=parts.HighStatistics.of(scores.point_scores),
        distances=None if scores.distances is None else parts.HighStatistics.of(scores.distances),
        deviation=None if scores.deviation is None else parts.SignedStatistics.of(scores.deviation),
        alignment=parts.Fit.of(scores, context.training_residual),
        part_frame=context.part_frame,
        unseen_share=_float(scores.unseen),
        part=parts.RecognisedPart.of(scores),
        model=context.model,
        scan=parts.ScanFile.of(cloud),
        files=parts.Files(
            scored=f"{stem}{SCORED}",
            reconstruction=None if scores.reconstruction is None else f"{stem}{RECONSTRUCTION}",
        ),
        color_range=parts.ColorRange.of(scores),
        color_bands=None if comparison is None else _bands(comparison),
        comparison=comparison,
        versions=_versions(),
        timings=dict(scores.timings),
        warnings=(*cloud.notes, *scores.warnings, *context.warnings, *remark),
        timestamp=datetime.now().astimezone().isoformat(timespec="seconds"),
        metadata=_plain(context.metadata),
    )


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _regions(cloud: PointCloud, scores: Scores, own: OwnLimits) -> tuple[list[Region], tuple[str, ...]]:
    """The defects, worst first, and what to remark where none are listed."""
    if scores.point_threshold is None:
        return [], ("The model has no limit for points, so no regions are listed.",)
    if not np.isfinite(scores.point_scores).all():
        return [], ("Some point scores are NaN or infinite, so no regions are listed.",)
    found = find_defects(cloud.points, scores, own)
    if scores.is_anomalous and not found:
        return [], ("No point stands out, so no region is listed; look at the whole part.",)
    return found, ()


def _sides(cloud: PointCloud, regions: Sequence[Region], context: Context) -> list[SideName]:
    """The side of the part that each region is seen on."""
    if not regions:
        return []
    frame = context.part_frame
    points = cloud.points if frame is None else frame.places(cloud.points)
    sides = PartSides(points)
    return [sides.of(points[region.indices] if len(region.indices) else _placed(region, context)) for region in regions]


def _placed(region: Region, context: Context) -> Points:
    center = region.center[None]
    return center if context.part_frame is None else context.part_frame.places(center)


def _bands(comparison: parts.Comparison) -> tuple[parts.Band, ...]:
    from dusnet.colors.deviation_bands import DeviationBands

    bands = DeviationBands(comparison.tolerance.plus, comparison.tolerance.minus)
    return tuple(parts.Band(**band) for band in bands.record())


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
    return None if isinstance(value, float) and not math.isfinite(value) else value
