"""The page of one scan: `STEM.report.html`, which needs no server, no network and no file beside it."""

from __future__ import annotations

import math
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dusnet.cloud import PointCloud
from dusnet.display.report import sections
from dusnet.display.report.lengths import Lengths
from dusnet.display.report.markup import asset, badge, data_script, fill, page_head, text
from dusnet.display.report.markup import plotly_script as _plotly
from dusnet.display.report.placed import PlacedResult
from dusnet.display.report.stills import Callout, Stills, data_uri, draw_stills
from dusnet.display.report.view3d import MOST_DEFECT_POINTS, MOST_POINTS, view_data
from dusnet.display.scales import PointField, ScaleMark, heat_scale, round_limit, signed_scale
from dusnet.display.thinning import shown_points
from dusnet.inspection.result_parts import Defect
from dusnet.io import write_text
from dusnet.io.marks import FileKind, kind_of, require_replaceable
from dusnet.result import Result

if TYPE_CHECKING:
    from dusnet.detectors.calibration import Calibration

REPORT = ".report.html"
"""What follows the stem in the name of a page. Not `.html` alone: a scan may be called `index`."""
_HEAD = 1 << 16
_THUMBNAIL = re.compile(rb'<body data-thumbnail="data:image/jpeg;base64,([0-9A-Za-z+/=]*)">')


@dataclass(frozen=True)
class ReportPage:
    """A page that was written.

    Attributes:
        path: the file.
        thumbnail: JPEG of the side that shows most of the defects, a few kilobytes; empty in pages of earlier versions.
    """

    path: Path
    thumbnail: bytes


def write_report(
    path: Path,
    result: Result,
    cloud: PointCloud,
    *,
    calibration: Calibration | None = None,
    settings: Mapping[str, Any] | None = None,
    fields: Sequence[PointField] | None = None,
    color_range: float | None = None,
    title: str = "Inspection report",
) -> ReportPage:
    """Write the page of one scan, atomically. It shows the scan in the frame of the part where the result knows that.

    Args:
        path: the file to write.
        result: of the scan, with its scores in memory.
        cloud: the scan, N >= 1 points, its own unit and pose; its labels are shown as ground truth.
        calibration: of the model, to show good scans beside this one.
        settings: of the model, as plain nested values.
        fields: what the points are painted with, N values each, the first at the beginning; None takes the anomaly
            score and the deviation or distance where the detector measured one.
        color_range: deviation of the last colour, either way, in the unit of the scan; None takes twice the limit, or
            where there is none the data. Of no effect on `fields`.
        title: what kind of page this is.

    Returns:
        The file and its thumbnail.

    Raises:
        BadInput: the file cannot be written, or one of this name was written by others.
        ValueError: a field has another number of values than the scan has points, or the result is one that was read.
    """
    placed, unit, name = PlacedResult.of(result, cloud), result.unit or "", result.name
    painted = list(fields) if fields is not None else fields_of(result, color_range)
    for field in painted:
        if len(field.values) != len(cloud):
            raise ValueError(f"{field.name} needs {len(cloud)} values, got {len(field.values)}")
    flagged = np.zeros(len(cloud), dtype=np.bool_)
    for defect in result.defects:
        flagged[defect.indices] = True
    index = shown_points(placed.cloud.points, flagged, MOST_POINTS, MOST_DEFECT_POINTS)
    stills = _stills(placed.cloud, index, painted, placed.defects, unit)
    length = Lengths.of(placed.cloud.points, result)
    view = view_data(placed.cloud, index, painted, placed.defects, reconstruction=placed.reconstruction, unit=unit)
    to_scan = None if placed.to_scan is None else placed.to_scan[:3].tolist()
    view |= {"decimals": length.decimals, "scored": result.files.scored, "toScan": to_scan}
    status = result.verdict.status.value
    page = fill(
        "page.html",
        {
            "head": page_head(f"{title}: {name}, {status}", result.versions["dusnet"], images="data: blob:"),
            "thumbnail": text(data_uri(stills.thumbnail)),
            "title": text(title),
            "name": text(name),
            "under": sections.under_title(result),
            "finding": text(result.finding),
            "status": text(status.lower()),
            "badge": badge(status).replace('class="badge', 'class="badge large', 1),
            "view_title": text(f"Scan coloured by {painted[0].name.lower()}" if painted else "Scan"),
            "toolbar": sections.toolbar(painted, result, cloud),
            "view_label": text(f"Interactive view of {name}. The pictures of the six sides have the same colours."),
            "bars": sections.color_bars(painted),
            "shown": sections.shown_note(len(index), len(cloud), view),
            "verdict": sections.verdict(result),
            "figures": sections.key_figures(result, length),
            "defects_title": text(sections.defects_title(result)),
            "defects": sections.defects(result, length),
            "stills": sections.still_figures(stills),
            "stills_note": text(
                f"The sides lie along the axes of {placed.frame}. All are at one scale and in the colours of the bar. "
                "The numbers are those of the table; beside them are the deviations."
            ),
            "charts": sections.charts(painted, result, calibration, length),
            "registration": sections.registration(result, length),
            "provenance": sections.provenance(result, calibration),
            "settings": sections.settings(settings),
            "footer": sections.footer(result),
            "data": data_script("scene", view),
            "plotly": _plotly(),
            "script": asset("sort.js") + asset("report.js"),
        },
    )
    require_replaceable(path, FileKind.PAGE)
    write_text(path, page)
    return ReportPage(path, stills.thumbnail)


def read_report(path: Path) -> ReportPage | None:
    """A page that `write_report` wrote, with its thumbnail; None where there is none or it was written by others."""
    if kind_of(path) is not FileKind.PAGE:
        return None
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    found = _THUMBNAIL.search(head)
    try:
        return ReportPage(path, b64decode(found[1], validate=True) if found else b"")
    except ValueError:
        return ReportPage(path, b"")


def fields_of(result: Result, color_range: float | None = None) -> list[PointField]:
    """What a scored scan can be painted with: the anomaly score, then the signed deviation or else the distance.

    Grey is what lies below the limit. `color_range` is as for `write_report`.
    """
    span, limit, unit = result.color_range, result.point_threshold, result.unit or ""
    remark = {
        "point_threshold": "The bar ends at twice the point limit. It is the same for every scan of this model.",
        "scan": "From the median to the maximum of this scan. Colours of different scans cannot be compared.",
    }.get(span.source, "The range was given.")
    marks = (ScaleMark(limit, "point limit"),) if limit is not None and span.low <= limit <= span.high else ()
    score = PointField(
        "Anomaly score",
        np.asarray(result.point_scores, dtype=np.float32),
        heat_scale(span.low, span.high, marks, remark, neutral=limit if marks and limit is not None else -math.inf),
        explanation="Distance to the defect-free surface as a fraction of the part's bounding radius.",
    )
    if result.deviation is not None:
        return [score, deviation_field(result, color_range)]
    if result.distances is not None:
        values = np.asarray(result.distances, dtype=np.float32)
        ends = "The end is the round number that 99.8 % of this scan's distances stay below."
        return [score, PointField("Distance", values, heat_scale(0.0, round_limit(values), (), ends), unit)]
    return [score]


def deviation_field(result: Result, color_range: float | None = None) -> PointField:
    """The signed deviation of every point, grey within the limit; `color_range` is as for `write_report`."""
    values, allowed = np.asarray(result.deviation, dtype=np.float32), _allowed_deviation(result)
    if color_range is not None:
        end, remark = color_range, "The range was given."
    elif allowed is not None:
        end, remark = 2.0 * allowed, "The bar ends at twice the limit."
    else:
        end, remark = (
            round_limit(values),
            "The ends are the round number that 99.8 % of this scan's deviations stay within.",
        )
    shown = allowed if allowed is not None and allowed <= end else None
    marks = (
        (ScaleMark(-shown, "limit"), ScaleMark(shown, "limit")) if shown is not None else (ScaleMark(0.0, "nominal"),)
    )
    neutral = 0.0 if allowed is None else min(allowed, end)
    words = "Positive is excess material, negative is missing." + (" Grey is within the limit." if allowed else "")
    return PointField("Deviation", values, signed_scale(end, marks, remark, neutral=neutral), result.unit or "", words)


def _allowed_deviation(result: Result) -> float | None:
    """What a point may deviate: the smaller tolerance, the limit of the user's own, or the point limit as a length."""
    if result.comparison is not None:
        return min(result.comparison.tolerance.plus, result.comparison.tolerance.minus)
    if result.own_limits is not None and result.own_limits.deviation is not None:
        return result.own_limits.deviation
    limit, length = result.point_threshold, result.scores.score_length
    return limit * length if limit is not None and limit > 0.0 and length is not None else None


def _stills(
    cloud: PointCloud, index: Any, fields: Sequence[PointField], defects: Sequence[Defect], unit: str
) -> Stills:
    points = cloud.points[index]
    grey = np.full(len(points), np.nan, dtype=np.float32)
    scale = fields[0].scale if fields else heat_scale(0.0, 1.0)
    values = fields[0].values[index] if fields else grey
    # What makes a side worth a thumbnail is what lies beyond the outermost marks of the scale.
    beyond = max((abs(mark.value) for mark in scale.marks), default=math.inf)
    weight = np.clip(np.nan_to_num(np.abs(values), nan=0.0, posinf=0.0) - beyond, 0.0, None)
    labels = [
        Callout(defect.id, sections.callout(defect, unit), np.array(defect.peak_point), defect.side)
        for defect in defects
    ]
    return draw_stills(points, scale.paint(values), weight, labels, unit)
