"""Reports for people: one self-contained HTML file per scan, and an index of a batch."""

from __future__ import annotations

from dusnet.display.report.index import INDEX, remove_index, write_index
from dusnet.display.report.overview import renew_overview
from dusnet.display.report.page import REPORT, ReportPage, deviation_field, write_report
from dusnet.display.report.trend import TREND, write_trend
from dusnet.display.scales import ColorScale, PointField, ScaleMark, banded_scale

__all__ = [
    "INDEX",
    "REPORT",
    "TREND",
    "ColorScale",
    "PointField",
    "ReportPage",
    "ScaleMark",
    "banded_scale",
    "deviation_field",
    "remove_index",
    "renew_overview",
    "write_index",
    "write_report",
    "write_trend",
]
