"""The texts of the page of `dusnet view --web`, as HTML."""

from __future__ import annotations

import html

from dusnet.visualization.color_maps import heat_table
from dusnet.visualization.exhibit import Exhibit
from dusnet.visualization.layers import heat_span

_STATUS_COLORS = {"OK": "#1b7837", "NG": "#be3032", "RECHECK": "#9a5b00"}


def block(text: str, name: str) -> str:
    """A paragraph of a page, found by `name`; the text is HTML."""
    return f'<div id="{name}" style="padding:2px 12px;font-size:13px;line-height:1.45">{text}</div>'


def aside(text: str, name: str) -> str:
    """A paragraph in a paler colour; the text is plain."""
    return block(f'<span style="color:#5a6470">{html.escape(text)}</span>', name)


def verdict(exhibit: Exhibit) -> str:
    """Verdict, scores, and every sentence that the result has about them."""
    lines = []
    if exhibit.verdict is not None:
        color = _STATUS_COLORS.get(exhibit.verdict, "#26303a")
        lines.append(f'<b style="color:{color};font-size:17px">{html.escape(exhibit.verdict)}</b>')
    if exhibit.object_score is not None:
        limit = "" if exhibit.threshold is None else f" (threshold {exhibit.threshold:.4g})"
        lines.append(f"object score {exhibit.object_score:.4g}{limit}")
    lines.append(f"{len(exhibit.cloud):,} points{f', {html.escape(exhibit.unit)}' if exhibit.unit else ''}")
    lines += [html.escape(sentence) for sentence in dict.fromkeys([*exhibit.reasons, *exhibit.remarks])]
    return block("<br>".join(lines), "dusnet-verdict")


def legend(exhibit: Exhibit) -> str:
    """The colour bar of the heat map with the result's point threshold."""
    low, high = heat_span(exhibit)
    table = heat_table()[:: 255 // 15]
    stops = ",".join(f"rgb({red},{green},{blue})" for red, green, blue in table)
    ticks, mark = f"<span>{low:.3g}</span><span>{high:.3g}</span>", ""
    own = exhibit.point_threshold
    if own is not None and low < own < high:
        left = 100.0 * (own - low) / (high - low)
        mark = (
            f'<div style="position:absolute;left:{left:.1f}%;top:-2px;width:2px;height:16px;background:#26303a"></div>'
        )
        ticks = f"<span>{low:.3g}</span><span>threshold {own:.3g}</span><span>{high:.3g}</span>"
    return block(
        f'<div style="position:relative;height:12px;background:linear-gradient(90deg,{stops})">{mark}</div>'
        f'<div style="display:flex;justify-content:space-between;color:#5a6470">{ticks}</div>',
        "dusnet-legend",
    )


def notice(shown: int, count: int) -> str:
    """How many of the points are drawn."""
    if shown == count:
        return aside(f"all {count:,} points drawn", "dusnet-notice")
    return aside(f"{shown:,} of {count:,} points drawn; all of them are counted", "dusnet-notice")
