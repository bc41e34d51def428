"""The page of a process: `trend.html`, charts over time of all results of one folder or several."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from dusnet.colors.color_maps import INK, VERDICT_MARKS, css
from dusnet.display.report.markup import (
    asset,
    badge,
    cell,
    data_script,
    fill,
    header_cell,
    page_head,
    plotly_script,
    text,
)
from dusnet.display.report.page import REPORT
from dusnet.display.report.sections import when
from dusnet.display.wording import MISSING, number
from dusnet.errors import BadInput
from dusnet.inspection.control_chart import ControlLimits, control_limits, moving_share
from dusnet.io import write_text
from dusnet.io.marks import FileKind, kind_of, require_replaceable
from dusnet.result import Result
from dusnet.words import counted, verb

TREND = "trend.html"
MOST_POINTS = 5000
"""So many marks of a kind, and points of a line, a chart draws; a browser stays quick with them."""
_LISTED = 200
_SYMBOLS = {"OK": "circle", "NG": "square", "RECHECK": "triangle-up"}
_LOGARITHMIC = 30.0
"""Scores that span more than so many times are drawn on a logarithmic axis, as in the index."""


@dataclass(frozen=True)
class _Part:
    """One result as the charts need it; `page` is where its page lies, relative to the trend, or empty."""

    result: Result
    time: str
    page: str

    @property
    def status(self) -> str:
        return self.result.verdict.status.value

    @property
    def score(self) -> float:
        return self.result.object_score

    @property
    def deviation(self) -> float:
        """The largest deviation of a point, either way; NaN where none is measured."""
        found = self.result.deviation_statistics
        if found is None or found.min is None or found.max is None:
            return math.nan
        return max(abs(found.min), abs(found.max))

    @property
    def own_limit(self) -> float | None:
        return None if self.result.own_limits is None else self.result.own_limits.deviation


@dataclass(frozen=True)
class _Phase:
    """The parts that one model judged, in the order of time, and where they lie while the process stays as it is."""

    parts: list[_Part]
    score: ControlLimits | None
    deviation: ControlLimits | None

    @classmethod
    def of(cls, parts: list[_Part]) -> _Phase:
        good = [part for part in parts if part.status == "OK"]
        return cls(
            parts,
            control_limits([part.score for part in good if math.isfinite(part.score)]),
            control_limits([part.deviation for part in good if math.isfinite(part.deviation)]),
        )

    def outside(self, part: _Part) -> bool:
        """Whether a part lies beyond the control limits in the score or in the deviation."""
        score = self.score is not None and self.score.outside(part.score)
        known = self.deviation is not None and math.isfinite(part.deviation)
        return score or (known and self.deviation is not None and self.deviation.outside(part.deviation))


def write_trend(path: Path, results: Sequence[Result], *, window: int = 50, title: str = "Trend") -> Path:
    """Write the page with the charts of a process, atomically; it needs no file but the pages that it links to.

    Args:
        path: the file to write.
        results: written or read ones, at least one; they are taken in the order of their times, those of one time in
            the order given.
        window: how many parts one value of the yield counts.
        title: of the page.

    Returns:
        The file.

    Raises:
        BadInput: the results have lengths in several units, or the file cannot be written or was written by others.
    """
    folder = path.parent.resolve()
    parts = sorted((_part(result, folder) for result in results), key=lambda part: part.time)
    units = sorted({part.result.unit for part in parts if part.result.unit and math.isfinite(part.deviation)})
    if len(units) > 1:
        raise BadInput(f"the results have lengths in {' and '.join(units)}; name folders of one unit.")
    by_model: dict[str, list[_Part]] = {}
    for part in parts:
        by_model.setdefault(part.result.model.sha256 or part.result.model.id, []).append(part)
    phases = [_Phase.of(found) for found in by_model.values()]
    outside = sorted(
        ((part, phase) for phase in phases for part in phase.parts if phase.outside(part)),
        key=lambda entry: entry[0].time,
        reverse=True,
    )
    far = {id(part) for part, _ in outside}
    unit = units[0] if units else ""
    charts = [_score_chart(parts, phases, far)]
    measured = any(math.isfinite(part.deviation) for part in parts)
    if measured:
        charts.append(_deviation_chart(parts, phases, far, unit))
    charts.append(_yield_chart(parts, window))
    span = when(parts[0].result.timestamp), when(parts[-1].result.timestamp)
    page = fill(
        "trend.html",
        {
            "head": page_head(title, parts[-1].result.versions["dusnet"]),
            "title": text(title),
            "under": text(f"{counted(len(parts), 'part')} · {span[0]} to {span[1]}"),
            "tiles": _tiles(parts, len(outside)),
            "score_note": text(_score_note(parts, phases)),
            "deviation": _DEVIATION if measured else "",
            "yield_note": text(
                f"Share of OK among the last {counted(window, 'part')}; NG and RECHECK both count as not OK. At the "
                "beginning among those there are."
            ),
            "limits": _limits_table(phases, unit),
            "outside_title": text(_outside_title(len(outside))),
            "outside": _outside_table([part for part, _ in outside[:_LISTED]], unit),
            "footer": "The figures of each part are in its JSON file and in summary.csv.",
            "data": data_script("trend", {"charts": charts}),
            "plotly": plotly_script(),
            "script": asset("sort.js") + asset("trend.js"),
        },
    )
    require_replaceable(path, FileKind.PAGE)
    write_text(path, page)
    return path


_DEVIATION = (
    '<section class="keep" aria-labelledby="h-deviation"><h2 id="h-deviation">Largest deviation over time</h2>'
    '<div id="deviation" class="trend" role="img" aria-label="Largest deviation of each part over time."></div>'
    '<p class="note">The largest deviation of a point of the part from the good surface, either way. The limit is the '
    "user's own for the depth of a defect, where there is one; groups of fewer than five points do not count for it."
    "</p></section>"
)


def _part(result: Result, folder: Path) -> _Part:
    page = result.json_path.parent.resolve() / f"{result.stem}{REPORT}"
    link = quote(Path(os.path.relpath(page, folder)).as_posix()) if kind_of(page) is FileKind.PAGE else ""
    moment = datetime.fromisoformat(result.timestamp).astimezone(timezone.utc)
    return _Part(result, moment.strftime("%Y-%m-%d %H:%M:%S.%f"), f"./{link}" if link else "")


def _score_chart(parts: Sequence[_Part], phases: Sequence[_Phase], far: set[int]) -> dict[str, Any]:
    drawn = [part.score for part in parts if math.isfinite(part.score)]
    limits = [part.result.threshold for part in parts if part.result.threshold is not None]
    everything = [*drawn, *limits]
    logarithmic = bool(drawn) and min(everything) > 0 and max(everything) > _LOGARITHMIC * min(everything)
    lines = _steps("limit", phases, lambda part: part.result.threshold)
    lines += _control(phases, lambda phase: phase.score)
    if logarithmic:
        lines = [{**one, "y": [None if y is None or y <= 0 else y for y in one["y"]]} for one in lines]
    return {
        "id": "score",
        "label": "object score",
        "scale": "log" if logarithmic else "linear",
        "lines": lines,
        "points": _points(parts, lambda part: part.score, far),
    }


def _deviation_chart(parts: Sequence[_Part], phases: Sequence[_Phase], far: set[int], unit: str) -> dict[str, Any]:
    return {
        "id": "deviation",
        "label": f"largest deviation{f' [{escape(unit, quote=False)}]' if unit else ''}",
        "scale": "linear",
        "lines": _steps("limit", phases, lambda part: part.own_limit) + _control(phases, lambda phase: phase.deviation),
        "points": _points(parts, lambda part: part.deviation, far),
    }


def _yield_chart(parts: Sequence[_Part], window: int) -> dict[str, Any]:
    share = 100.0 * moving_share([part.status == "OK" for part in parts], window)
    kept = _spread(len(parts), MOST_POINTS)
    line = {
        "name": f"OK of the last {window}",
        "x": [parts[place].time for place in kept],
        "y": [round(float(share[place]), 3) for place in kept],
        **_style(width=2),
    }
    return {"id": "yield", "label": "OK [%]", "scale": "linear", "range": [0, 102], "lines": [line], "points": []}


def _style(*, width: float, dash: str = "solid", faint: bool = False, shape: str = "linear") -> dict[str, Any]:
    return {"width": width, "dash": dash, "faint": faint, "shape": shape}


def _steps(name: str, phases: Sequence[_Phase], of: Callable[[_Part], float | None]) -> list[dict[str, Any]]:
    """A line that goes from limit to limit, with a gap between models; none where there is no limit."""
    x: list[str | None] = []
    y: list[float | None] = []
    for phase in phases:
        values = [of(part) for part in phase.parts]
        for place, value in enumerate(values):
            if place in (0, len(values) - 1) or value != values[place - 1]:
                x.append(phase.parts[place].time)
                y.append(value)
        x.append(None)
        y.append(None)
    known = any(value is not None for value in y)
    return [{"name": name, "x": x, "y": y, **_style(width=2, dash="dash", shape="hv")}] if known else []


def _control(phases: Sequence[_Phase], of: Callable[[_Phase], ControlLimits | None]) -> list[dict[str, Any]]:
    """Center line and control limits of each model, from its first part to its last."""
    wanted: list[tuple[str, Callable[[ControlLimits], float], dict[str, Any]]] = [
        ("center line", lambda found: found.center, _style(width=1.2, faint=True)),
        ("+3 sigma", lambda found: found.high, _style(width=1.2, dash="dot", faint=True)),
        # Neither a score nor the size of a deviation can be below 0.
        ("−3 sigma", lambda found: max(found.low, 0.0), _style(width=1.2, dash="dot", faint=True)),
    ]
    lines = []
    for name, value, style in wanted:
        x: list[str | None] = []
        y: list[float | None] = []
        for phase in phases:
            found = of(phase)
            if found is not None:
                x += [phase.parts[0].time, phase.parts[-1].time, None]
                y += [value(found), value(found), None]
        if x:
            lines.append({"name": name, "x": x, "y": y, **style})
    return lines


def _points(parts: Sequence[_Part], of: Callable[[_Part], float], far: set[int]) -> list[dict[str, Any]]:
    """The marks of each verdict, and rings around those out of control."""
    finite = [part for part in parts if math.isfinite(of(part))]
    traces = []
    for status, symbol in _SYMBOLS.items():
        chosen = [part for part in finite if part.status == status]
        if chosen:
            color = css(VERDICT_MARKS[status])
            traces.append(_trace(status, chosen, of, symbol=symbol, size=7, color=color, ring=False))
    ringed = [part for part in finite if id(part) in far]
    if ringed:
        ring = _trace("out of control", ringed, of, symbol="circle-open", size=14, color=css(INK), ring=True)
        traces.append(ring)
    return traces


def _trace(name: str, chosen: Sequence[_Part], of: Callable[[_Part], float], **style: Any) -> dict[str, Any]:
    kept = [chosen[place] for place in _spread(len(chosen), MOST_POINTS)]
    return {
        "name": name,
        "x": [part.time for part in kept],
        "y": [of(part) for part in kept],
        "text": [_hover(part) for part in kept],
        "links": [part.page for part in kept],
        **style,
    }


def _hover(part: _Part) -> str:
    """What a mark says; Plotly understands tags in it, so what comes from outside is escaped."""
    lines = [part.result.name, f"{part.status}, score {number(part.score)}"]
    if math.isfinite(part.deviation):
        lines.append(f"largest deviation {number(part.deviation)} {part.result.unit or ''}".rstrip())
    lines.append(when(part.result.timestamp))
    return "<br>".join(escape(line, quote=False) for line in lines)


def _spread(count: int, most: int) -> list[int]:
    """At most so many places, evenly, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return sorted({int(place) for place in np.linspace(0, count - 1, most).round()})


def _score_note(parts: Sequence[_Part], phases: Sequence[_Phase]) -> str:
    words = (
        "Center line: mean of the OK parts of a model. Control limits: 3 sigma from it, sigma being the mean distance "
        "of one OK part from the next / 1.128. A ring marks a part beyond them in the score or in the deviation: the "
        "process has changed, whether the part is good or not. Fewer than 20 OK parts give unsure limits. A click on a "
        "mark opens the page of the part, dragging enlarges, a double click shows all."
    )
    if all(phase.score is None for phase in phases):
        words += " There are no control limits here: fewer than two parts of a model are OK."
    lost = sum(not math.isfinite(part.score) for part in parts)
    if lost:
        words += f" {counted(lost, 'part')} without a finite score {verb(lost)} not drawn."
    most = max(Counter(part.status for part in parts).values())
    if most > MOST_POINTS:
        words += f" Of each verdict {MOST_POINTS:,} parts are drawn, chosen evenly; limits and yield count all."
    return words


def _tiles(parts: Sequence[_Part], outside: int) -> str:
    counts = Counter(part.status for part in parts)
    tiles = [(counts["OK"], "ok", "OK"), (counts["NG"], "ng", "NG"), (counts["RECHECK"], "recheck", "to check again")]
    found = "".join(f'<div class="{kind}"><strong>{count}</strong>{text(words)}</div>' for count, kind, words in tiles)
    share = 100.0 * counts["OK"] / len(parts)
    return (
        f"{found}<div><strong>{share:.1f} %</strong>yield, OK of all</div>"
        f"<div><strong>{outside}</strong>out of control</div>"
    )


def _limits_table(phases: Sequence[_Phase], unit: str) -> str:
    heads = ["Model", "From", "To", "Parts", "OK parts"]
    head = "".join(header_cell(name) for name in heads)
    for name in ("Score", "Largest deviation"):
        within = unit if name != "Score" else ""
        head += "".join(header_cell(f"{name}: {what}", unit=within) for what in ("center", "−3 sigma", "+3 sigma"))
    rows = ""
    for phase in phases:
        model = phase.parts[0].result.model
        mark = f' <span class="unit">{text((model.sha256 or "")[:12])}</span>' if model.sha256 else ""
        first, last = (phase.parts[place].result.timestamp for place in (0, -1))
        good = sum(part.status == "OK" for part in phase.parts)
        cells = [
            cell(text(model.id) + mark, model.id, kind="name"),
            cell(text(when(first)), first),
            cell(text(when(last)), last),
            cell(str(len(phase.parts)), len(phase.parts)),
            cell(str(good), good),
        ]
        for found in (phase.score, phase.deviation):
            values = (None,) * 3 if found is None else (found.center, max(found.low, 0.0), found.high)
            cells += [cell(number(value), value) for value in values]
        rows += f"<tr>{''.join(cells)}</tr>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _outside_title(count: int) -> str:
    return f"Out of control: {counted(count, 'part')}" + (f", the newest {_LISTED}" if count > _LISTED else "")


def _outside_table(parts: Sequence[_Part], unit: str) -> str:
    head = "".join(header_cell(name) for name in ("Time", "Part", "Verdict", "Object score"))
    head += header_cell("Largest deviation", unit=unit)
    rows = "".join(
        "<tr>"
        + cell(text(when(part.result.timestamp)), part.time)
        + cell(_named(part), part.result.name, kind="name")
        + cell(badge(part.status), part.status)
        + cell(number(part.score), part.score)
        + cell(number(part.deviation) if math.isfinite(part.deviation) else MISSING, part.deviation)
        + "</tr>"
        for part in parts
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _named(part: _Part) -> str:
    name = text(part.result.name)
    return f'<a href="{text(part.page)}">{name}</a>' if part.page else name
