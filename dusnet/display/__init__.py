"""Heat maps of scans: colours, pictures without a display, and a window."""

from __future__ import annotations

from dusnet.display.color_maps import heat_colors
from dusnet.display.render import Panel, render_png, render_rows

__all__ = ["Panel", "heat_colors", "render_png", "render_rows"]
