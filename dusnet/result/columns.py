"""The columns of `summary.csv`, and where in a result they come from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from dusnet.result.record import COMMENT, PART_NUMBER, Record


def _of_worst(name: str, place: int | None = None) -> Callable[[Record], Any]:
    """What reads a field of the worst defect, or one number of it; None where there is no defect."""

    def value(result: Record) -> Any:
        found = getattr(result.defects[0], name) if result.defects else None
        return found if found is None or place is None else found[place]

    return value


def _said(name: str) -> Callable[[Record], Any]:
    """What reads something that the user said of the part; None where nothing was."""
    return lambda result: result.metadata.get(name)


COLUMNS: dict[str, Callable[[Record], Any]] = {
    "stem": lambda result: result.stem,
    "scan": lambda result: result.scan.file,
    "verdict": lambda result: result.verdict.status.value,
    "reasons": lambda result: " ".join(result.verdict.codes),
    "object_score": lambda result: result.object_score if math.isfinite(result.object_score) else None,
    "threshold": lambda result: result.threshold,
    "is_anomalous": lambda result: None if result.is_anomalous is None else str(result.is_anomalous).lower(),
    "regions": lambda result: result.region_count,
    "worst_kind": lambda result: kind.value if (kind := _of_worst("kind")(result)) is not None else None,
    **{f"worst_{axis}": _of_worst("center", place) for place, axis in enumerate("xyz")},
    **{f"worst_part_{axis}": _of_worst("center_in_part", place) for place, axis in enumerate("xyz")},
    **{f"worst_{extent}": _of_worst("size", place) for place, extent in enumerate(("length", "width", "depth"))},
    "worst_area": _of_worst("area"),
    "worst_volume": _of_worst("volume"),
    "worst_peak_score": _of_worst("peak_score"),
    "worst_peak_deviation": _of_worst("peak_deviation"),
    "unit": lambda result: result.unit,
    "points": lambda result: result.points,
    "alignment_residual": lambda result: None if result.alignment is None else result.alignment.residual,
    "seconds": lambda result: result.seconds,
    "warnings": lambda result: len(result.warnings),
    "model": lambda result: result.model.id,
    "model_sha256": lambda result: result.model.sha256,
    "scan_sha256": lambda result: result.scan.sha256,
    "timestamp": lambda result: result.timestamp,
    PART_NUMBER: _said(PART_NUMBER),
    COMMENT: _said(COMMENT),
}
