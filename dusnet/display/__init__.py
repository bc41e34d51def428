"""Scans and results for people: one scene, shown as a picture, in a window, on a web page and in a report."""

from __future__ import annotations

from dusnet.colors.color_maps import heat_colors
from dusnet.display.panels import Panel
from dusnet.display.picture import draw_picture

__all__ = ["Panel", "draw_picture", "heat_colors"]
