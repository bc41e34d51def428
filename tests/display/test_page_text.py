"""What the page of `dusnet view --web` says colours mean."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from view_results import scores_of, sphere

from dusnet.cloud import PointCloud
from dusnet.colors.deviation_bands import DeviationBands
from dusnet.display.loaded_result import LoadedResult
from dusnet.display.scene import Scene
from dusnet.display.web.text import legend


@pytest.fixture
def loaded() -> LoadedResult:
    points = sphere(200)
    deviation = np.zeros(200)
    bands = DeviationBands(plus=0.2, minus=0.1)
    scored = LoadedResult("part", PointCloud(points), scores=scores_of(points).astype(np.float64), point_threshold=1.0)
    return replace(scored, deviation=deviation, bands=bands, unit="mm", color_range=(0.0, 2.0))


class Entries(HTMLParser):
    """The entries of a list: the background in front of each, and its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[tuple[int, ...], str]] = []
        self._color: tuple[int, ...] = ()
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        style = dict(attributes).get("style") or ""
        self._inside = self._inside or tag == "li"
        if self._inside and (match := re.search(r"background:rgb\((\d+),(\d+),(\d+)\)", style)):
            self._color = tuple(map(int, match.groups()))

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "li"

    def handle_data(self, data):
        if self._inside:
            self.found.append((self._color, data))


def contrast_to_white(color: str) -> float:
    linear = [
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4
        for value in (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    ]
    return 1.05 / (np.dot([0.2126, 0.7152, 0.0722], linear) + 0.05)


def test_bands_are_listed_with_their_colors_and_limits(loaded):
    page = legend(Scene(loaded))
    between = [0.7, 0.5, 0.3, 0.15, 0.0, -0.07, -0.15, -0.25, -0.4]
    words = [
        "above +0.6",
        "+0.4 to +0.6",
        "+0.2 to +0.4",
        "+0.1 to +0.2",
        "−0.05 to +0.1",
        "−0.1 to −0.05",
        "−0.2 to −0.1",
        "−0.3 to −0.2",
        "below −0.3",
    ]
    colors = [tuple(color) for color in loaded.bands.colors(between).tolist()]
    assert Entries(page).found == list(zip(colors, words, strict=True))
    assert "deviation in mm, tolerance −0.1 to +0.2. + is excess material." in page
    assert "gradient" not in page
    assert "threshold" not in page


def test_limits_of_bands_are_written_without_exponent(loaded):
    page = legend(Scene(replace(loaded, bands=DeviationBands(500.0, 750.0), unit="<um>")))
    assert "+1000 to +1500" in page
    assert "below −2250" in page
    assert "in &lt;um&gt;," in page


def test_texts_of_legends_have_enough_contrast(loaded):
    for page in (legend(Scene(loaded)), legend(Scene(replace(loaded, bands=None)))):
        inks = re.findall(r"[\";]color:(#\w{6})", page)
        assert inks
        assert min(map(contrast_to_white, inks)) >= 4.5


def test_a_score_has_the_heat_map_with_its_threshold(loaded):
    page = legend(Scene(replace(loaded, bands=None)))
    assert "linear-gradient" in page
    assert "point limit 1<" in page
    assert Entries(page).found == []
