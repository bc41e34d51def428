"""The sections of a page of one scan, each from the result to HTML."""

from __future__ import annotations

import math
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
from dusnet.display.report.placed import frame_words
from dusnet.display.report.stills import Stills, data_uri
from dusnet.display.scales import PointField
from dusnet.display.wording import MISSING, coverage, fixed, grouped, number, percent
from dusnet.inspection.regions import DefectKind
from dusnet.inspection.result_parts import Defect
from dusnet.inspection.verdict import Limits
from dusnet.result import COMMENT, PART_NUMBER, Result, kind_words
from dusnet.units import squared
from dusnet.words import counted, plain, verb

if TYPE_CHECKING:
    from dusnet.detectors.calibration import Calibration

_SAID = {PART_NUMBER: "Part number", COMMENT: "Comment"}


def when(timestamp: str) -> str:
    """An ISO 8601 time for people: date, time, and the offset from UTC."""
    moment = datetime.fromisoformat(timestamp)
    zone = moment.strftime("%z")
    return moment.strftime("%Y-%m-%d %H:%M:%S") + (f" UTC{zone[:3]}:{zone[3:5]}" if zone else "")


def under_title(result: Result) -> str:
    """The line under the name of the scan, and the comment of the user under it."""
    said = result.metadata
    number_of_part = (f"part number {said[PART_NUMBER]}",) if said.get(PART_NUMBER) else ()
    unit = f"unit {result.unit}" if result.unit else "unit not stated"
    words = (
        *number_of_part,
        f"model {result.model.id}",
        f"{grouped(result.points)} points",
        unit,
        when(result.timestamp),
    )
    comment = f"<br>{text(said[COMMENT])}" if said.get(COMMENT) else ""
    return " · ".join(map(text, words)) + comment


def toolbar(fields: Sequence[PointField], result: Result, cloud: PointCloud) -> str:
    """What is shown, what it is painted with, and from where; nothing is offered that does not exist."""
    layers = [("input", "Scan", True)]
    if result.reconstruction is not None and len(result.reconstruction):
        layers.append(("reconstruction", "Reconstruction", False))
    if cloud.labels is not None:
        layers.append(("truth", "Ground truth", False))
    if result.defects:
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
        words += f" {grouped(outside)} of them {verb(outside, 'lies', 'lie')} far from the others, outside of the view."
    reconstruction = scene["reconstruction"]
    if reconstruction is not None:
        few, many = reconstruction["shown"], reconstruction["total"]
        part = f", {grouped(few)} are shown" if few < many else ""
        words += f" The reconstruction has {grouped(many)} points{part}."
    return text(f"{words} Point at the scan to read a point's own values. Drag to turn, scroll to zoom.")


def verdict(result: Result) -> str:
    """Every reason for the decision, and what reading and scoring had to remark."""
    status = result.verdict.status.value
    reasons = [reason.text for reason in result.verdict.reasons]
    if not reasons and status == "OK":
        reasons = [f"The score {number(result.object_score)} is not above the limit {number(result.threshold)}."]
    items = "".join(f"<li>{text(reason)}</li>" for reason in reasons)
    notes = "".join(f'<p class="warning">{text(note)}</p>' for note in result.warnings)
    return f'<p>{badge(status)}</p><ul class="reasons">{items}</ul>{notes}'


def key_figures(result: Result, length: Lengths) -> str:
    """The few numbers that decide."""
    score, limit, compared = result.object_score, result.threshold, result.comparison
    rows = [("Score", f"<strong>{number(score)}</strong>"), ("Limit", number(limit))]
    if math.isfinite(score) and limit and compared is None:
        rows.append(("Score / limit", number(score / limit, 3)))
    rows += _own_limits(result, length)
    rows.append(("Defects", grouped(result.region_count)))
    point_limit = result.point_threshold
    if point_limit is not None:
        above = int((np.asarray(result.point_scores) > point_limit).sum())
        share = f"{grouped(above)} ({percent(above / max(result.points, 1))})"
        if compared is not None:
            tolerance = comparison.tolerance(compared.tolerance, length)
            rows += [("Points out of tolerance", share), ("Tolerance", tolerance)]
        else:
            rows += [("Points above the point limit", share), ("Point limit", number(point_limit))]
    highest = result.score_statistics
    rows.append(("Highest point score", number(None if highest is None else highest.max)))
    deviation, distances = result.deviation, result.distance_statistics
    if deviation is not None and np.isfinite(deviation).any():
        for name, value in (("Highest bump", np.nanmax(deviation)), ("Deepest dent", np.nanmin(deviation))):
            rows.append((name, text(length.with_unit(length.deviation(float(value))))))
    elif distances is not None and distances.max is not None:
        for name, value in (("Largest distance", distances.max), ("99 % of distances below", distances.p99)):
            rows.append((name, text(length.with_unit(length.deviation(value, signed=False)))))
    if result.alignment is not None:
        error = length.fit_error(result.alignment.residual, result.scores.score_length)
        rows.append(("Fit error", text(error)))
    return facts(rows)


def _own_limits(result: Result, length: Lengths) -> list[tuple[str, str]]:
    """What the user accepts; nothing where no limit was set."""
    own = result.own_limits
    if own is None:
        return []
    area = None if own.area is None else f"{number(own.area)} {squared(length.unit)}".strip()
    rows = [
        ("Limit of the deepest defect", None if own.deviation is None else length.with_unit(number(own.deviation))),
        ("Limit of the largest area", area),
    ]
    return [(name, text(words)) for name, words in rows if words is not None]


def callout(defect: Defect, unit: str) -> str:
    """What is written beside a defect in a picture: its number, and its deviation where that is known.

    The font of the pictures has no minus sign but the hyphen.
    """
    off = None if defect.kind is DefectKind.MISSING_MATERIAL else defect.peak_deviation
    if off is None:
        return str(defect.id)
    return f"{defect.id}: {plain(off, 3, signed=True)} {unit}".strip()


def defects_title(result: Result) -> str:
    """How many defects there are, and how many are listed."""
    listed, found = len(result.defects), result.region_count
    if not found:
        return "Defects"
    return f"Defects: {found}" if listed == found else f"Defects: the worst {listed} of {found}"


def defects(result: Result, length: Lengths) -> str:
    """The table of defects, worst first; a row moves the camera."""
    if not result.defects:
        if result.point_threshold is None:
            return "<p>The model has no limit for points, so no defects are listed.</p>"
        if result.is_anomalous is False:
            return "<p>The scan is not above its limit, so no defects are listed.</p>"
        return "<p>No region of the scan is above the point limit.</p>"
    columns = _defect_columns(result.defects, length)
    head = "".join([header_cell("No."), *(head for head, _ in columns)])
    rows = []
    for place, defect in enumerate(result.defects):
        cells = "".join([cell(f"<strong>{defect.id}</strong>", defect.id), *(write(defect) for _, write in columns)])
        label = f"Defect {defect.id}: Enter moves the camera there"
        rows.append(f'<tr data-defect="{place}" tabindex="0" aria-label="{label}">{cells}</tr>')
    return (
        f'<div class="scroll"><table id="defects"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        f"{_places_note(result)}"
        '<p class="note screen-only">Choose a row (click, or Tab and Enter) to move the camera to the defect.</p>'
    )


def _places_note(result: Result) -> str:
    """Which frame the places of the table are in, where it is not the scan's own."""
    if result.part_frame is None:
        return ""
    words = f"X, Y and Z are in {frame_words(result.part_frame)}. Under them are those in the scan's own pose."
    return f'<p class="note">{text(words)}</p>'


def _defect_columns(listed: Sequence[Defect], length: Lengths) -> list[tuple[str, Callable[[Defect], str]]]:
    """The head of each column and what writes a defect's cell in it; a column without a value is left out."""
    unit = length.unit

    def column(key: str, title: str, write: Callable[[Any], str], unit: str = unit, hint: str = "") -> Any:
        head = header_cell(title, unit=unit, hint=hint)
        return head, lambda defect: cell(write(getattr(defect, key)), getattr(defect, key))

    def along(key: str, axis: int, title: str, hint: str = "") -> Any:
        head = header_cell(title, unit=unit, hint=hint)
        return head, lambda defect: cell(length.write(getattr(defect, key)[axis]), getattr(defect, key)[axis])

    def place(axis: int) -> Any:
        def write(defect: Defect) -> str:
            own, in_part = defect.center[axis], defect.center_in_part
            if in_part is None:
                return cell(length.write(own), own)
            return cell(
                f'{length.write(in_part[axis])}<br><span class="unit">{length.write(own)}</span>', in_part[axis]
            )

        return header_cell("XYZ"[axis], unit=unit, hint="Centre of the defect"), write

    def kind(defect: Defect) -> str:
        words = None if defect.kind is None else kind_words(defect.kind)
        return cell(words or MISSING, words, kind="l")

    def has(key: str) -> bool:
        return any(getattr(defect, key) is not None for defect in listed)

    signed = "Positive is excess material"
    columns = [(header_cell("Kind"), kind)] if has("kind") else []
    columns += [place(axis) for axis in range(3)]
    columns += [
        along("size", 0, "Length", "Largest extent along the defect's own axes"),
        along("size", 1, "Width"),
        along("size", 2, "Extent", "Smallest extent along the defect's own axes"),
        column("area", "Area", number, squared(unit)),
    ]
    if has("peak_deviation"):
        columns += [
            column("peak_deviation", "Peak dev.", length.deviation, hint=f"Largest deviation. {signed}"),
            column("mean_deviation", "Mean dev.", length.deviation, hint=f"Mean deviation. {signed}"),
        ]
    if has("gap"):
        hint = "Largest distance of missing material from the scan"
        columns.append(column("gap", "Gap", length.write, hint=hint))
    hint = "Sum over its points of (score − point limit) × area"
    return [
        *columns,
        column("peak_score", "Peak score", number, ""),
        column("point_count", "Points", grouped, ""),
        column("severity", "Severity", lambda severity: number(severity, 3), "", hint),
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


def charts(fields: Sequence[PointField], result: Result, calibration: Calibration | None, length: Lengths) -> str:
    """The scan among good scans or beside its CAD model, and its points; a chart without data is left out."""
    good = calibration.good.objects if calibration is not None else ()
    found = []
    objects = object_chart(good, result.object_score, result.threshold)
    if result.comparison is not None:
        shown = comparison.panel(result.comparison, length)
        found.append(_panel("comparison", "Comparison with the CAD model", shown, comparison.NOTE))
    elif objects is not None:
        words = (
            f"The grey bars are {counted(len(good), 'good scan')} ({calibration.source})."
            if calibration is not None
            else "The model is not calibrated. There are no good scans to compare with."
        )
        found.append(_panel("objects", "Score among good scans", objects, words))
    if fields:
        field = next((one for one in fields if one.scale.signed), fields[0])
        usual = calibration.good.points if calibration is not None and field.name == "Anomaly score" else ()
        points = point_chart(field, usual)
        if points is not None:
            unknown = int((~np.isfinite(field.values)).sum())
            counts = f"All {grouped(result.points)} points are counted, on a logarithmic axis."
            words = f"{counts} Values beyond the axis are in the first and last bar."
            if usual:
                words += (
                    f" In good scans one point in a thousand exceeds {number(min(usual), 3)} to {number(max(usual), 3)}"
                    " (ticks on the axis)."
                )
            if unknown:
                words += f" {counted(unknown, 'point')} {verb(unknown, 'has', 'have')} no value."
            found.append(_panel("points", f"{field.name} of all points", points, words))
    return "".join(found)


def _panel(name: str, title: str, chart: str, words: str) -> str:
    return (
        f'<section class="keep" aria-labelledby="h-{name}"><h2 id="h-{name}">{text(title)}</h2>{chart}'
        f'<p class="note">{text(words)}</p></section>'
    )


def registration(result: Result, length: Lengths) -> str:
    """How the scan was brought to the model, and how well it fits."""
    fit, scale = result.alignment, result.scores.score_length
    if fit is None:
        return "<p>The scan was not registered. The detector compares it where it is.</p>"
    usual, own = fit.training_residual, fit.residual
    rows = [("Method", text(fit.method)), ("Fit error", text(length.fit_error(own, scale)))]
    if usual is not None:
        rows.append(("Fit error of good scans", text(length.fit_error(usual, scale))))
        if usual and own is not None:
            rows.append(("Fit error / that of good scans", number(own / usual, 3)))
    if fit.fitness is not None:
        rows.append(("Points near the model", percent(fit.fitness)))
    rows.append(("Pose", text(_pose_words(fit.margin, symmetric=fit.symmetric))))
    if result.unseen_share is not None:
        rows.append(("Coverage", coverage(result.unseen_share)))
    lines = ("".join(f"<td>{fixed(value, 6)}</td>" for value in row) for row in fit.matrix)
    matrix = "".join(f"<tr>{line}</tr>" for line in lines)
    return (
        facts(rows)
        + f'<h3>Matrix from scan to model</h3><div class="scroll"><table class="matrix">{matrix}</table></div>'
    )


def _pose_words(margin: float | None, *, symmetric: bool) -> str:
    """Whether another pose fits as well, and how much worse the next best one does."""
    if symmetric:
        return "equal to another one by a symmetry of the part"
    if margin is None:
        return "unambiguous (no other fits)"
    worse = f"next best fits {number(margin, 2)} times worse"
    return f"unambiguous ({worse})" if margin >= Limits().pose_margin else f"ambiguous ({worse})"


def provenance(result: Result, calibration: Calibration | None) -> str:
    """Everything that is needed to repeat or to audit the inspection."""
    compared = result.comparison is not None
    kind = "CAD model" if compared else "model"
    rows = [
        ("Scan", text(result.scan.file or "not from a file")),
        ("SHA-256 of the scan", _hash(result.scan.sha256)),
        ("Points", grouped(result.points)),
        ("Unit", text(result.unit or "not stated")),
        (kind[0].upper() + kind[1:], text(result.model.id)),
        (f"SHA-256 of the {kind}", _hash(result.model.sha256)),
        ("Inspected", text(when(result.timestamp))),
        ("Versions", text(", ".join(f"{name} {version}" for name, version in result.versions.items()))),
    ]
    if not compared:  # with a CAD model the tolerance decides: there is nothing to calibrate
        rows.append(("Calibrated on", text(calibration.source if calibration is not None else "nothing")))
    if result.seconds is not None:
        rows.append(("Computing time", f"{number(result.seconds, 3)} s"))
    rows += [(_SAID.get(name, name), text(value)) for name, value in result.metadata.items()]
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


def footer(result: Result) -> str:
    """Where the same data are for machines."""
    names = [name for name in (result.files.scored, result.files.reconstruction) if name]
    return text(
        f"dusnet {result.versions['dusnet']} · The same figures for programs are in the JSON file of this scan. "
        f"Every point with its score is in {' and '.join(names)}."
    )


def _hash(digest: str | None) -> str:
    return f'<span class="hash">{text(digest)}</span>' if digest else MISSING
