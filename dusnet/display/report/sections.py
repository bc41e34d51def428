"""The sections of a page of one scan, each from the result's record to HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from dusnet.cloud import PointCloud
from dusnet.display.camera import SIDES
from dusnet.display.report import comparison
from dusnet.display.report.charts import color_bar, object_chart, point_chart
from dusnet.display.report.lengths import Lengths
from dusnet.display.report.markup import badge, cell, facts, flattened, header_cell, text
from dusnet.display.report.stills import Stills, data_uri
from dusnet.display.scales import PointField
from dusnet.display.wording import MISSING, counted, coverage, fixed, grouped, number, percent
from dusnet.inspection.results import Result

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
    words = (f"model {record['model']['id']}", f"{grouped(record['points'])} points", unit, when(record["timestamp"]))
    return " · ".join(map(text, words))


def toolbar(fields: Sequence[PointField], scores: Scores, cloud: PointCloud, has_defects: bool) -> str:
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


def color_bars(fields: Sequence[PointField]) -> str:
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
        f"All {grouped(total)} points are shown."
        if shown == total
        else f"{grouped(shown)} of {grouped(total)} points are shown. Those of defects are kept, the others are evenly "
        "thinned. Figures, charts and the table are computed from all points."
    )
    outside = scene["outside"]
    if outside:
        verb = "lies" if outside == 1 else "lie"
        words += f" {grouped(outside)} of them {verb} far from the others, outside of the view."
    reconstruction = scene["reconstruction"]
    if reconstruction is not None:
        few, many = reconstruction["shown"], reconstruction["total"]
        part = f", {grouped(few)} are shown" if few < many else ""
        words += f" The reconstruction has {grouped(many)} points{part}."
    return text(f"{words} Point at the scan to read a point's own values. Drag to turn, scroll to zoom.")


def verdict(result: Result) -> str:
    """The decision and every reason for it, and what reading and scoring had to remark."""
    status = result.verdict.status.value
    reasons = [reason.text for reason in result.verdict.reasons]
    if not reasons and status == "OK":
        limit = number(result.threshold) if result.threshold is not None else MISSING
        reasons = [f"The object score {number(result.object_score)} is not above the limit {limit}."]
    items = "".join(f"<li>{text(reason)}</li>" for reason in reasons)
    notes = "".join(f'<p class="warning">{text(note)}</p>' for note in result.record["warnings"])
    return f'<p>{badge(status)}</p><ul class="reasons">{items}</ul>{notes}'


def key_figures(record: Mapping[str, Any], scores: Scores, length: Lengths) -> str:
    """The few numbers that decide."""
    score, limit = record["object_score"], record["threshold"]
    rows = [("Object score", f"<strong>{number(score)}</strong>"), ("Limit", number(limit))]
    compared = record["comparison"] is not None
    if score is not None and limit and not compared:
        rows.append(("Score / limit", number(score / limit, 3)))
    rows.append(("Defects", grouped(record["region_count"])))
    point_limit = record["point_threshold"]
    if point_limit is not None:
        above = int((np.asarray(scores.point_scores) > point_limit).sum())
        share = f"{grouped(above)} ({percent(above / max(record['points'], 1))})"
        if compared:
            rows += [("Points out of tolerance", share), ("Tolerance", comparison.tolerance(record, length))]
        else:
            rows += [("Points above point threshold", share), ("Point threshold", number(point_limit))]
    rows.append(("Highest point score", number(record["point_scores"].get("max"))))
    deviation = scores.deviation
    if deviation is not None and np.isfinite(deviation).any():
        for name, value in (("Largest excess", np.nanmax(deviation)), ("Largest lack", np.nanmin(deviation))):
            rows.append((name, text(length.with_unit(length.deviation(float(value))))))
    elif record["distances"]:
        for name, key in (("Largest distance", "max"), ("99 % of distances below", "p99")):
            rows.append((name, text(length.with_unit(length.deviation(record["distances"][key], signed=False)))))
    if record["alignment"] is not None:
        error = length.fit_error(record["alignment"]["residual"], scores.score_length)
        rows.append(("Fit error", text(error)))
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
    columns = _defect_columns(regions, length)
    head = "".join([header_cell("No."), *(head for head, _ in columns)])
    rows = []
    for place, region in enumerate(regions):
        name = text(region.get("id", place + 1))
        cells = "".join([cell(f"<strong>{name}</strong>", name), *(written(region) for _, written in columns)])
        label = f"Defect {name}: Enter moves the camera there"
        rows.append(f'<tr data-defect="{place}" tabindex="0" aria-label="{label}">{cells}</tr>')
    return (
        f'<div class="scroll"><table id="defects"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="note screen-only">Choose a row (click, or Tab and Enter) to move the camera to the defect.</p>'
    )


def _defect_columns(
    regions: Sequence[Mapping[str, Any]], length: Lengths
) -> list[tuple[str, Callable[[Mapping[str, Any]], str]]]:
    """The head of each column and what writes a region's cell in it; a column without a value is left out."""
    unit = length.unit

    def column(key: str, title: str, write: Callable[[Any], str], unit: str = "", hint: str = "") -> Any:
        return header_cell(title, unit=unit, hint=hint), lambda region: cell(write(region.get(key)), region.get(key))

    def along(key: str, axis: int, title: str, hint: str = "") -> Any:
        head = header_cell(title, unit=unit, hint=hint)
        return head, lambda region: cell(length.write(region[key][axis]), region[key][axis])

    def kind(region: Mapping[str, Any]) -> str:
        words = KINDS.get(str(region.get("kind")), region.get("kind"))
        return cell(text(words or MISSING), words, kind="l")

    def has(key: str) -> bool:
        return any(region.get(key) is not None for region in regions)

    signed = "Positive is excess material"
    columns = [(header_cell("Kind"), kind)] if has("kind") else []
    columns += [along("center", axis, name, "Centre of the defect") for axis, name in enumerate("XYZ")]
    columns += [
        along("size", 0, "Length", "Largest extent along the defect's own axes"),
        along("size", 1, "Width"),
        along("size", 2, "Depth", "Smallest extent along the defect's own axes"),
        column("area", "Area", number, unit=f"{unit}²" if unit else ""),
    ]
    if has("peak_deviation"):
        columns += [
            column("peak_deviation", "Peak dev.", length.deviation, unit=unit, hint=f"Largest deviation. {signed}"),
            column("mean_deviation", "Mean dev.", length.deviation, unit=unit, hint=f"Mean deviation. {signed}"),
        ]
    if has("gap"):
        hint = "Largest distance of missing material from the scan"
        columns.append(column("gap", "Gap", length.write, unit=unit, hint=hint))
    hint = "Sum over its points of (score − point threshold) × area"
    return [
        *columns,
        column("peak_score", "Peak score", number),
        column("point_count", "Points", lambda count: grouped(count or 0)),
        column("severity", "Severity", lambda severity: number(severity, 3), hint=hint),
    ]


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
    fields: Sequence[PointField],
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
            f"The grey bars are {counted(len(good), 'good scan')} ({calibration.source})."
            if calibration is not None
            else "The model is not calibrated. There are no good scans to compare with."
        )
        found.append(_panel("objects", "Object score among good scans", objects, words))
    if fields:
        usual = calibration.point_scores if calibration is not None and fields[0].name == "Anomaly score" else ()
        points = point_chart(fields[0], usual)
        if points is not None:
            unknown = int((~np.isfinite(fields[0].values)).sum())
            words = (
                f"All {grouped(record['points'])} points are counted. "
                "Values beyond the scale are in the first and last bar."
            )
            if usual:
                words += (
                    f" In good scans one point in a thousand exceeds {number(min(usual), 3)} to {number(max(usual), 3)}"
                    " (ticks on the axis)."
                )
            if unknown:
                words += f" {counted(unknown, 'point')} {'has' if unknown == 1 else 'have'} no value."
            found.append(_panel("points", f"{fields[0].name} of all points", points, words))
    return "".join(found)


def _panel(name: str, title: str, chart: str, words: str) -> str:
    return (
        f'<section class="keep" aria-labelledby="h-{name}"><h2 id="h-{name}">{text(title)}</h2>{chart}'
        f'<p class="note">{text(words)}</p></section>'
    )


def registration(record: Mapping[str, Any], scale: float | None, length: Lengths) -> str:
    """How the scan was brought to the model, and how well it fits.

    Args:
        record: of the result.
        scale: the part's radius in the unit of the scan, or None.
        length: how lengths are written.
    """
    alignment = record["alignment"]
    if alignment is None:
        return "<p>The scan was not registered. The detector compares it where it is.</p>"
    usual, own = alignment.get("training_residual"), alignment["residual"]
    rows = [("Method", text(alignment["method"])), ("Fit error", text(length.fit_error(own, scale)))]
    if usual is not None:
        rows.append(("Fit error of good scans", text(length.fit_error(usual, scale))))
        if usual and own is not None:
            rows.append(("Fit error / that of good scans", number(own / usual, 3)))
    if alignment["fitness"] is not None:
        rows.append(("Points near the model", percent(alignment["fitness"])))
    margin = alignment.get("margin")
    rows.append(("Next best pose", "none found" if margin is None else f"{number(margin, 3)} times the distance"))
    if alignment.get("symmetric"):
        rows.append(("Symmetry", "another pose is the same by a symmetry of the part"))
    if record.get("unseen_share") is not None:
        rows.append(("Coverage", coverage(record["unseen_share"])))
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
        ("Points", grouped(record["points"])),
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
        f"dusnet {record['versions']['dusnet']} · The same figures for programs are in the JSON file of this scan. "
        f"Every point with its score is in {' and '.join(names)}."
    )


def _hash(digest: str | None) -> str:
    return f'<span class="hash">{text(digest)}</span>' if digest else MISSING
