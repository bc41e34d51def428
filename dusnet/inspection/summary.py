"""`summary.csv`: one line per scan of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dusnet.inspection.results import Result
from dusnet.io.marks import Kind, require_replaceable
from dusnet.io.tables import read_table, write_table

SUMMARY = "summary.csv"
SUMMARY_FIELDS: tuple[str, ...] = (
    "stem",
    "scan",
    "verdict",
    "reasons",
    "object_score",
    "threshold",
    "is_anomalous",
    "regions",
    "worst_kind",
    "worst_x",
    "worst_y",
    "worst_z",
    "worst_length",
    "worst_width",
    "worst_depth",
    "worst_peak_score",
    "worst_peak_deviation",
    "unit",
    "points",
    "alignment_residual",
    "seconds",
    "warnings",
    "model",
    "model_sha256",
    "scan_sha256",
    "timestamp",
)


def write_summary(out_dir: Path, results: Iterable[Result]) -> Path:
    """Write `summary.csv`, one line per scan in the order given, atomically; an empty field means "not known".

    A text that a spreadsheet would take for a formula has an apostrophe in front; `read_summary` takes it away.

    Args:
        out_dir: where to write; made when absent.
        results: what `write_result` returned.

    Returns:
        The file.

    Raises:
        BadInput: the file cannot be written, or one of this name was written by others.
    """
    target = out_dir / SUMMARY
    require_replaceable(target, Kind.SUMMARY)
    write_table(target, SUMMARY_FIELDS, map(_summary_line, results))
    return target


def read_summary(path: Path) -> list[dict[str, str]]:
    """The lines of a `summary.csv` by column, with the names as the scans have them.

    Raises:
        BadInput: the file cannot be read or is no table.
    """
    return read_table(path)


def _seconds(timings: Mapping[str, float]) -> float | None:
    """What a detector calls the total, else the sum of its steps."""
    return timings.get("total", sum(timings.values())) if timings else None


def _summary_line(result: Result) -> dict[str, Any]:
    record = result.record
    line = {
        "stem": result.stem,
        "scan": result.scan,
        "verdict": result.verdict.status.value,
        "reasons": " ".join(result.verdict.codes),
        "object_score": record["object_score"],
        "threshold": record["threshold"],
        "is_anomalous": None if result.is_anomalous is None else str(bool(result.is_anomalous)).lower(),
        "regions": record["region_count"],
        "unit": record["unit"],
        "points": record["points"],
        "alignment_residual": None if record["alignment"] is None else record["alignment"]["residual"],
        "seconds": _seconds(record["timings"]),
        "warnings": len(record["warnings"]),
        "model": record["model"]["id"],
        "model_sha256": record["model"]["sha256"],
        "scan_sha256": record["scan"]["sha256"],
        "timestamp": record["timestamp"],
    }
    if result.regions:
        worst = result.regions[0]
        line |= dict(zip(("worst_x", "worst_y", "worst_z"), worst.center.tolist(), strict=True))
        line |= dict(zip(("worst_length", "worst_width", "worst_depth"), worst.size.tolist(), strict=True))
        line |= {
            "worst_kind": None if worst.kind is None else worst.kind.value,
            "worst_peak_score": worst.peak_score,
            "worst_peak_deviation": worst.peak_deviation,
        }
    return line
