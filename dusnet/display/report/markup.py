"""Text and numbers as HTML: everything that comes from outside is escaped here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from dusnet.colors.color_maps import ACCENT, FAINT, INK, LINE, TRUTH_OVERLAY, VERDICTS, css

_STYLE_COLORS = {"ink": INK, "faint": FAINT, "line": LINE, "accent": ACCENT, "truth": TRUTH_OVERLAY} | {
    status.lower(): color for status, color in VERDICTS.items()
}


def text(value: object) -> str:
    """`value` as text between tags or inside a quoted attribute."""
    return escape(str(value), quote=True)


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """A list of names and values; the values are HTML already, the names are not."""
    return (
        '<dl class="facts">'
        + "".join(f"<div><dt>{text(name)}</dt><dd>{value}</dd></div>" for name, value in rows)
        + "</dl>"
    )


def header_cell(title: str, *, sortable: bool = True, unit: str = "", hint: str = "") -> str:
    """A column's head; one that sorts is a button.

    Args:
        title: of the column.
        sortable: whether a click sorts by it.
        unit: written after the title in brackets, "" for none.
        hint: longer explanation, shown as a tooltip.
    """
    words = text(title) + (f' <span class="unit">[{text(unit)}]</span>' if unit else "")
    tip = f' title="{text(hint)}"' if hint else ""
    if not sortable:
        return f'<th scope="col"{tip}>{words}</th>'
    return f'<th scope="col" aria-sort="none"{tip}><button type="button" class="sort">{words}</button></th>'


def cell(words: str, value: float | str | None = None, *, kind: str = "") -> str:
    """A cell of a table.

    Args:
        words: HTML.
        value: what the column is sorted by; None sorts last.
        kind: class of the cell.
    """
    known = value is not None and not (isinstance(value, float) and not math.isfinite(value))
    key = f' data-value="{text(value)}"' if known else ""
    return f"<td{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}{key}>{words}</td>"


def data_script(name: str, data: Any) -> str:
    """`data` as a JSON element that no string in it can close."""
    content = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    safe = content.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f'<script type="application/json" id="{text(name)}">{safe}</script>'


def asset(name: str) -> str:
    """A file of the page that comes with the package."""
    return files("dusnet.display.report").joinpath("assets", name).read_text(encoding="utf-8")


def plotly_script() -> str:
    """The code of Plotly, which a page carries with it."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def fill(template: str, parts: Mapping[str, str]) -> str:
    """A template with its `$names` replaced; every one must be given."""
    return Template(asset(template)).substitute(parts)


def page_head(title: str, version: str, *, images: str = "data:") -> str:
    """What every page begins with, down to its body.

    Args:
        title: of the page, as text.
        version: of dusnet, "" where nobody knows.
        images: where the content security policy lets pictures come from.
    """
    words = f" {version}" if version else ""
    style = fill("style.css", {name: css(color) for name, color in _STYLE_COLORS.items()})
    given = {"title": text(title), "version": text(words), "style": style, "images": images}
    return fill("head.html", given).rstrip()


def flattened(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as `section.key` and value, in their order."""
    rows: list[tuple[str, str]] = []
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            rows += flattened(value, f"{name}.")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            rows.append((name, ", ".join(map(str, value))))
        else:
            rows.append((name, str(value)))
    return rows


VERDICT_SIGNS = {"OK": "✓", "NG": "✕", "RECHECK": "?"}


def badge(status: str) -> str:
    """A verdict as a coloured word with a sign, so that it does not depend on the colour."""
    sign = VERDICT_SIGNS.get(status, "")
    return f'<span class="badge {text(status.lower())}"><span aria-hidden="true">{sign}</span> {text(status)}</span>'
