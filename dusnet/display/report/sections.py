"""The sections of a page of one scan, each from the result's record to HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from dusnet.cloud import PointCloud
from dusnet.display.report import comparison
from dusnet.display.report.charts import color_bar, object_chart, point_chart
from dusnet.display.report.lengths import Lengths
from dusnet.display.report.markup import (
    MISSING,
    badge,
    cell,
    facts,
    fixed,
    flattened,
    header_cell,
    number,
    percent,
    text,
)
from dusnet.display.report.scales import Field
from dusnet.display.report.stills import SIDES, Stills, data_uri
from dusnet.result import Result

if TYPE_CHECKING:
    from dusnet.detectors.base import Calibration, Scores

KINDS = {
    "protrusion": "protrusion",
    "depression": "depression",
    "missing_material": "missing material",
    "deformation": "deformation",
}


def when(timestamp: str) -> str:
    """An ISO 8601 time for people: date, time, and the offset from UTC."""
    moment = datetime.fromisoformat(timestamp)
    zone = moment.strftime("%z")
    return moment.strftime("%Y-%m-%d %H:%M:%S") + (f" UTC{zone[:3]}:{zone[3:5]}" if zone else "")


def under_title(record: Mapping[str, Any]) -> str:
    """The line under the name of the scan."""
    unit = f"unit {record['unit']}" if record["unit"] else "unit not stated"
    words = (f"model {record['model']['id']}", f"{_count(record['points'])} points", unit, when(record["timestamp"]))
    return " · ".join(map(text, words))


def toolbar(fields: Sequence[Field], scores: Scores, cloud: PointCloud, has_defects: bool) -> str:
    """What is shown, what it is painted with, and from where; nothing is offered that does not exist."""
    layers = [("input", "Scan", True)]
    if scores.reconstruction is not None and len(scores.reconstruction):
        layers.append(("reconstruction", "Reconstruction", False))
    if cloud.labels is not None:
        layers.append(("truth", "Ground truth", False))
    if has_defects:
        layers.append(("defects", "Defects", True))
    boxes = "".join(
        f'<label><input type="checkbox" data-show="{key}"{" checked" if on else ""}>{name}</label>'
        for key, name, on in layers
    )
    options = "".join(f'<option value="{place}">{text(field.name)}</option>' for place, field in enumerate(fields))
    views = "".join(
        f'<button type="button" data-view="{key}" title="{text(tip)}">{text(name)}</button>'
        for key, name, tip in [("", "Whole part", "The view at the beginning")]
        + [(side.name, side.name.capitalize(), f"Seen from {side.seen_from}") for side in SIDES]
    )
    zoom = (
        '<button type="button" data-zoom="0.8" aria-label="Nearer">+</button>'
        '<button type="button" data-zoom="1.25" aria-label="Farther">−</button>'
    )
    return (
        f"<fieldset><legend>Show</legend>{boxes}</fieldset>"
        f'<label>Colour by <select id="field">{options}<option value="-1">Nothing (grey)</option></select></label>'
        f'<fieldset class="views"><legend>Look from</legend>{views}{zoom}</fieldset>'
    )


def color_bars(fields: Sequence[Field]) -> str:
    """A bar per field; only the first is seen until another is chosen."""
    return "".join(
        f'<div class="bar" data-bar="{place}"{" hidden" if place else ""}>'
        f'<p class="note"><strong>{text(field.name)}{text(f" [{field.unit}]" if field.unit else "")}</strong></p>'
        f'{color_bar(field)}<p class="note">{text(f"{field.explanation} {field.scale.remark}".strip())}</p></div>'
        for place, field in enumerate(fields)
    )


def shown_note(shown: int, total: int, scene: Mapping[str, Any]) -> str:
    """How much of the data the page carries, and how much of that the view shows."""
    words = (
        f"All {_count(total)} points are shown."
        if shown == total
        else f"{_count(shown)} of {_count(total)} points are shown: those of the defects, and the others evenly "
        "thinned. Figures, charts and the table are computed from all points."
    )
    outside = scene["outside"]
    if outside:
        verb = "lies" if outside == 1 else "lie"
        words += f" {_count(outside)} of them {verb} far from the others, outside of the view."
    reconstruction = scene["reconstruction"]
    if reconstruction is not None:
        few, many = reconstruction["shown"], reconstruction["total"]
        part = f", {_count(few)} are shown" if few < many else ""
        words += f" The reconstruction has {_count(many)} points{part}."
    return text(f"{words} Point at the scan to read a point's own values; drag to turn, scroll to zoom.")


def verdict(result: Result) -> str:
    """The decision and every reason for it, and what reading and scoring had to remark."""
    status = result.verdict.status.value
    reasons = [reason.text for reason in result.verdict.reasons]
    if not reasons and status == "OK":
        limit = number(result.threshold) if result.threshold is not None else MISSING
        reasons = [f"The object score {number(result.object_score)} is not above the threshold {limit}."]
    items = "".join(f"<li>{text(reason)}</li>" for reason in reasons)
    notes = "".join(f'<p class="warning">{text(note)}</p>' for note in result.record["warnings"])
    return f'<p>{badge(status)}</p><ul class="reasons">{items}</ul>{notes}'


def key_figures(record: Mapping[str, Any], scores: Scores, length: Lengths) -> str:
    """The few numbers that decide."""
    score, limit = record["object_score"], record["threshold"]
    rows = [("Object score", f"<strong>{number(score)}</strong>"), ("Threshold", number(limit))]
    compared = record["comparison"] is not None
    if score is not None and limit and not compared:
        rows.append(("Score / threshold", number(score / limit, 3)))
    rows.append(("Defects", _count(record["region_count"])))
    point_limit = record["point_threshold"]
    if point_limit is not None:
        above = int((np.asarray(scores.point_scores) > point_limit).sum())
        share = f"{_count(above)} ({percent(above / max(record['points'], 1))})"
        if compared:
            rows += [("Points out of tolerance", share), ("Tolerance", comparison.tolerance(record, length))]
        else:
            rows += [("Points above threshold", share), ("Point threshold", number(point_limit))]
    rows.append(("Highest point score", number(record["point_scores"].get("max"))))
    deviation = scores.deviation
    if deviation is not None and np.isfinite(deviation).any():
        for name, value in (("Largest excess", np.nanmax(deviation)), ("Largest lack", np.nanmin(deviation))):
            rows.append((name, text(length.with_unit(length.deviation(float(value))))))
    elif record["distances"]:
        for name, key in (("Largest distance", "max"), ("99 % of distances below", "p99")):
            rows.append((name, text(length.with_unit(length.deviation(record["distances"][key], signed=False)))))
    if record["alignment"] is not None:
        rows.append(("Registration residual", number(record["alignment"]["residual"], 3)))
    return facts(rows)


def defects_title(record: Mapping[str, Any]) -> str:
    """How many defects there are, and how many are listed."""
    listed, found = len(record["regions"]), record["region_count"]
    if not found:
        return "Defects"
    return f"Defects: {found}" if listed == found else f"Defects: the worst {listed} of {found}"


def defects(record: Mapping[str, Any], length: Lengths) -> str:
    """The table of regions, worst first; a row moves the camera."""
    regions = record["regions"]
    if not regions:
        if record["point_threshold"] is None:
            return "<p>The model has no threshold for points, so no defects are listed.</p>"
        return "<p>No region of the scan is above the point threshold.</p>"
    has_kind = any(region.get("kind") for region in regions)
    has_moved = any(region.get("peak_deviation") is not None for region in regions)
    has_gap = any(region.get("gap") is not None for region in regions)
    unit = length.unit
    head = [header_cell("No.")]
    if has_kind:
        head.append(header_cell("Kind"))
    head += [
        header_cell("X", unit=unit, hint="Centre of the defect"),
        header_cell("Y", unit=unit, hint="Centre of the defect"),
        header_cell("Z", unit=unit, hint="Centre of the defect"),
        header_cell("Length", unit=unit, hint="Largest extent along the defect's own axes"),
        header_cell("Width", unit=unit),
        header_cell("Depth", unit=unit, hint="Smallest extent along the defect's own axes"),
        header_cell("Area", unit=f"{unit}²" if unit else ""),
    ]
    if has_moved:
        head.append(header_cell("Peak dev.", unit=unit, hint="Largest deviation; positive is excess material"))
        head.append(header_cell("Mean dev.", unit=unit, hint="Mean deviation; positive is excess material"))
    if has_gap:
        head.append(header_cell("Gap", unit=unit, hint="Of missing material: largest distance to the scan"))
    head += [header_cell("Peak score"), header_cell("Points")]
    head.append(header_cell("Severity", hint="Sum over its points of (score − point threshold) × area"))
    rows = []
    for place, region in enumerate(regions):
        name = str(region.get("id", place + 1))
        cells = [cell(f"<strong>{text(name)}</strong>", name)]
        if has_kind:
            kind = region.get("kind")
            words = KINDS.get(str(kind), str(kind)) if kind else MISSING
            cells.append(cell(text(words), words if kind else None, kind="l"))
        cells += [cell(length.write(value), value) for value in (*region["center"], *region["size"])]
        cells.append(cell(number(region.get("area")), region.get("area")))
        if has_moved:
            for key in ("peak_deviation", "mean_deviation"):
                value = region.get(key)
                cells.append(cell(length.deviation(value), value))
        if has_gap:
            cells.append(cell(length.write(region.get("gap")), region.get("gap")))
        cells.append(cell(number(region.get("peak_score")), region.get("peak_score")))
        cells.append(cell(_count(region.get("point_count", 0)), region.get("point_count")))
        cells.append(cell(number(region.get("severity"), 3), region.get("severity")))
        rows.append(
            f'<tr data-defect="{place}" tabindex="0" aria-label="Defect {text(name)}: Enter moves the camera there">'
            f"{''.join(cells)}</tr>"
        )
    return (
        f'<div class="scroll"><table id="defects"><thead><tr>{"".join(head)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="note screen-only">Choose a row (click, or Tab and Enter) to move the camera to the defect.</p>'
    )


def still_figures(stills: Stills) -> str:
    """The six pictures with what they show."""
    found = []
    for still in stills.sides:
        seen = ", ".join(map(str, still.shown[:12]))
        words = f"{still.side.name.capitalize()}, from {still.side.seen_from}"
        with_defects = f"{words}; defects seen: {seen}" if seen else words
        found.append(
            f'<figure><img alt="{text(f"The part from {still.side.seen_from}")}" src="{data_uri(still.jpeg)}">'
            f"<figcaption>{text(with_defects)}</figcaption></figure>"
        )
    return "".join(found)


def charts(
    fields: Sequence[Field],
    record: Mapping[str, Any],
    scores: Scores,
    calibration: Calibration | None,
    length: Lengths,
) -> str:
    """The scan among good scans or beside its CAD model, and its points; a chart without data is left out."""
    good = calibration.object_scores if calibration is not None else ()
    found = []
    objects = object_chart(good, float(scores.object_score), record["threshold"])
    if record["comparison"] is not None:
        shown = comparison.panel(record, length)
        found.append(_panel("comparison", "Comparison with the CAD model", shown, comparison.NOTE))
    elif objects is not None:
        words = (
            f"{len(good)} good scans ({calibration.source}) give the grey bars."
            if calibration is not None
            else "The model is not calibrated: there are no good scans to compare with."
        )
        found.append(_panel("objects", "Object score among good scans", objects, words))
    if fields:
        usual = calibration.point_scores if calibration is not None and fields[0].name == "Anomaly score" else ()
        points = point_chart(fields[0], usual)
        if points is not None:
            unknown = int((~np.isfinite(fields[0].values)).sum())
            words = f"All {_count(record['points'])} points; values beyond the scale are in the first and last bar."
            if usual:
                words += (
                    f" In good scans one point in a thousand exceeds {number(min(usual), 3)} to {number(max(usual), 3)}"
                    " (ticks on the axis)."
                )
            if unknown:
                words += f" {_count(unknown)} points have no value."
            found.append(_panel("points", f"{fields[0].name} of all points", points, words))
    return "".join(found)


def _panel(name: str, title: str, chart: str, words: str) -> str:
    return (
        f'<section class="keep" aria-labelledby="h-{name}"><h2 id="h-{name}">{text(title)}</h2>{chart}'
        f'<p class="note">{text(words)}</p></section>'
    )


def registration(record: Mapping[str, Any]) -> str:
    """How the scan was brought to the model, and how well it fits."""
    alignment = record["alignment"]
    if alignment is None:
        return "<p>The scan was not registered: the detector compares it where it is.</p>"
    rows = [
        ("Method", text(alignment["method"])),
        ("Residual", f"{number(alignment['residual'], 3)} of the part's radius"),
    ]
    usual, own = alignment.get("training_residual"), alignment["residual"]
    if usual is not None:
        ratio = f"; this one is {number(own / usual, 3)} times that" if usual and own is not None else ""
        rows.append(("Residual of good scans", f"{number(usual, 3)}{ratio}"))
    if alignment["fitness"] is not None:
        rows.append(("Points near the model", percent(alignment["fitness"])))
    margin = alignment.get("margin")
    rows.append(("Next best pose", "none found" if margin is None else f"{number(margin, 3)} times the distance"))
    if alignment.get("symmetric"):
        rows.append(("Symmetry", "another pose is the same by a symmetry of the part"))
    if record.get("unseen_share") is not None:
        rows.append(("Part not in the scan", percent(record["unseen_share"])))
    matrix = "".join(
        "<tr>" + "".join(f"<td>{fixed(value, 6)}</td>" for value in row) + "</tr>" for row in alignment["matrix"]
    )
    return (
        facts(rows)
        + f'<h3>Matrix from scan to model</h3><div class="scroll"><table class="matrix">{matrix}</table></div>'
    )


def provenance(record: Mapping[str, Any], calibration: Calibration | None) -> str:
    """Everything that is needed to repeat or to audit the inspection."""
    scan, model = record["scan"], record["model"]
    compared = record["comparison"] is not None
    kind = "CAD model" if compared else "model"
    rows = [
        ("Scan", text(scan["file"] or "not from a file")),
        ("SHA-256 of the scan", _hash(scan["sha256"])),
        ("Points", _count(record["points"])),
        ("Unit", text(record["unit"] or "not stated")),
        (kind[0].upper() + kind[1:], text(model["id"])),
        (f"SHA-256 of the {kind}", _hash(model["sha256"])),
        ("Inspected", text(when(record["timestamp"]))),
        ("Versions", text(", ".join(f"{name} {version}" for name, version in record["versions"].items()))),
    ]
    if not compared:  # with a CAD model the tolerance decides: there is nothing to calibrate
        rows.append(("Calibrated on", text(calibration.source if calibration is not None else "nothing")))
    if record["timings"]:
        total = record["timings"].get("total", sum(record["timings"].values()))
        rows.append(("Computing time", f"{number(total, 3)} s"))
    rows += [(str(name), text(value)) for name, value in record["metadata"].items()]
    return facts(rows)


def settings(values: Mapping[str, Any] | None) -> str:
    """The settings of the model, folded away."""
    if not values:
        return ""
    rows = [(name, text(value)) for name, value in flattened(values)]
    return (
        f'<section class="screen-only"><details><summary>Settings of the model ({len(rows)})</summary>'
        f'<div class="settings">{facts(rows)}</div></details></section>'
    )


def footer(record: Mapping[str, Any]) -> str:
    """Where the same data are for machines."""
    names = [name for name in (record["files"]["scored"], record["files"]["reconstruction"]) if name]
    return text(
        f"dusnet {record['versions']['dusnet']} · the same figures for programs are in the JSON file of this scan; "
        f"every point with its score is in {' and '.join(names)}."
    )


def _hash(digest: str | None) -> str:
    return f'<span class="hash">{text(digest)}</span>' if digest else MISSING


def _count(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")
