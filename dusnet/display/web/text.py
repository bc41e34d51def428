"""The texts of the page of `dusnet view --web`, as HTML."""

from __future__ import annotations

import html

from dusnet.colors.color_maps import FAINT, INK, VERDICTS, css, heat_table
from dusnet.colors.deviation_bands import DeviationBands
from dusnet.display.loaded_result import LoadedResult
from dusnet.display.scene import Scene
from dusnet.display.wording import number
from dusnet.words import counted

_FAINT = css(FAINT)


def block(text: str, name: str) -> str:
    """A paragraph of a page, found by `name`; the text is HTML."""
    return f'<div id="{name}" style="padding:2px 12px;font-size:13px;line-height:1.45">{text}</div>'


def aside(text: str, name: str) -> str:
    """A paragraph in a paler colour; the text is plain."""
    return block(f'<span style="color:{_FAINT}">{html.escape(text)}</span>', name)


def verdict(loaded: LoadedResult) -> str:
    """What was found, the score, and every sentence that the result has about them."""
    lines = []
    if loaded.verdict is not None:
        color = css(VERDICTS.get(loaded.verdict, INK))
        lines.append(f'<b style="color:{color};font-size:17px">{html.escape(loaded.finding or loaded.verdict)}</b>')
    if loaded.object_score is not None:
        limit = "" if loaded.threshold is None else f" (limit {loaded.threshold:.4g})"
        lines.append(f"score {loaded.object_score:.4g}{limit}")
    lines.append(f"{counted(len(loaded.cloud), 'point')}{f', {html.escape(loaded.unit)}' if loaded.unit else ''}")
    lines += [html.escape(sentence) for sentence in dict.fromkeys([*loaded.reasons, *loaded.remarks])]
    return block("<br>".join(lines), "dusnet-verdict")


def legend(scene: Scene) -> str:
    """What the colours of the heat map mean: bands of deviations, or a bar with the result's point limit."""
    bands = scene.loaded.bands
    shown = _heat_bar(scene) if bands is None else _band_list(bands, scene.loaded.unit)
    return block(shown, "dusnet-legend")


def _band_list(bands: DeviationBands, unit: str | None) -> str:
    """The bands from most excess to most missing material, each with its limits."""
    rows = []
    for band in reversed(bands.record()):
        low, high = (None if edge is None else _edge(edge) for edge in (band["above"], band["up_to"]))
        words = f"below {high}" if low is None else f"above {low}" if high is None else f"{low} to {high}"
        swatch = (
            "display:inline-block;width:28px;height:12px;margin-right:8px;vertical-align:-1px;"
            f"border:1px solid {_FAINT};background:rgb({','.join(map(str, band['color']))})"
        )
        rows.append(f'<li><span aria-hidden="true" style="{swatch}"></span>{words}</li>')
    what = f"deviation in {html.escape(unit)}" if unit else "deviation"
    head = f"{what}, tolerance {_edge(-bands.minus)} to {_edge(bands.plus)}. + is excess material."
    return (
        f'<div style="color:{_FAINT}">{head}</div>'
        f'<ul style="list-style:none;margin:4px 0 0;padding:0;line-height:1.3">{"".join(rows)}</ul>'
    )


def _edge(deviation: float) -> str:
    return number(deviation, signed=True)


def _heat_bar(scene: Scene) -> str:
    low, high = scene.heat_limits
    table = heat_table()[:: 255 // 15]
    stops = ",".join(f"rgb({red},{green},{blue})" for red, green, blue in table)
    ticks, mark = f"<span>{low:.3g}</span><span>{high:.3g}</span>", ""
    own = scene.loaded.point_threshold
    if own is not None and low < own < high:
        left = 100.0 * (own - low) / (high - low)
        at = f"left:{left:.1f}%;background:{css(INK)}"
        mark = f'<div style="position:absolute;top:-2px;width:2px;height:16px;{at}"></div>'
        ticks = f"<span>{low:.3g}</span><span>point limit {own:.3g}</span><span>{high:.3g}</span>"
    return (
        f'<div style="position:relative;height:12px;background:linear-gradient(90deg,{stops})">{mark}</div>'
        f'<div style="display:flex;justify-content:space-between;color:{_FAINT}">{ticks}</div>'
    )


def notice(shown: int, count: int) -> str:
    """How many of the points are drawn."""
    if shown == count:
        return aside(f"all {count:,} points drawn", "dusnet-notice")
    return aside(f"{shown:,} of {count:,} points drawn. All points are counted.", "dusnet-notice")
