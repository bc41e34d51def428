"""Pages as files: complete, escaped, self-contained, small enough, atomic, and whole without their optional parts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_parts import CALIBRATION, CENTERS, answer, ellipsoid, scored
from written_results import changed, result_of, written_result

import dusnet.display.report.page as page_module
import dusnet.display.report.stills as stills_module
from dusnet.cloud import PointCloud
from dusnet.detectors.base import Scores
from dusnet.display.camera import SIDES
from dusnet.display.report import (
    REPORT,
    ColorScale,
    PointField,
    ScaleMark,
    remove_index,
    write_index,
    write_report,
)
from dusnet.display.report.lengths import Lengths
from dusnet.display.report.sections import callout, when
from dusnet.display.wording import number
from dusnet.errors import BadInput
from dusnet.inspection.own_limits import OwnLimits
from dusnet.inspection.result_parts import AllowedDeviation, Comparison, HighStatistics, SignedStatistics
from dusnet.result import Result

HOSTILE = "<script>alert(1)</script> & \"quoted\" 'x' $name.ply"


class Elements(HTMLParser):
    """Start tags with their attributes, and the text outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data):
        if not self._open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def quick_pages(monkeypatch):
    """Pages with small pictures and without the plotting library, where these are not what is tested."""
    monkeypatch.setattr(stills_module, "SIZE", (110, 80))
    monkeypatch.setattr(page_module, "_plotly", lambda: "/* plotly */")


def written(out: Path, result: Result, cloud: PointCloud, **options) -> str:
    return write_report(out / f"part{REPORT}", result, cloud, **options).path.read_text(encoding="utf-8")


@pytest.mark.usefixtures("quick_pages")
def test_a_page_says_what_was_found_and_where_it_comes_from(tmp_path):
    result, cloud, _ = scored(tmp_path)
    page = Elements(written(tmp_path, result, cloud, calibration=CALIBRATION, settings={"a": {"b": [1, 2]}}))
    for words in ("NG", "part.ply", "is above the limit", "ab" * 32, "m.safetensors", "unit mm", "5 scans", "a.b"):
        assert words in page.text
    assert when(result.record["timestamp"]) in page.text
    rows = [attributes for tag, attributes in page.tags if tag == "tr" and "data-defect" in attributes]
    assert [row["data-defect"] for row in rows] == ["0", "1", "2"]
    assert all(row["tabindex"] == "0" for row in rows)
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 6
    heads = [attributes for tag, attributes in page.tags if tag == "th"]
    assert all(attributes["aria-sort"] == "none" for attributes in heads)


@pytest.mark.usefixtures("quick_pages")
def test_nothing_is_fetched(tmp_path):
    result, cloud, _ = scored(tmp_path)
    report = write_report(tmp_path / "p.report.html", result, cloud)
    index = write_index(tmp_path, [result], reports={"part": report})
    for file in (report.path, index):
        page = Elements(file.read_text(encoding="utf-8"))
        for tag, attributes in page.tags:
            for name in ("src", "href", "srcset", "action", "data"):
                value = attributes.get(name)
                assert value is None or value.startswith(("data:", "./")), (tag, value)
        policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
        assert policy is not None
        assert policy.startswith("default-src 'none'")
        assert "http" not in policy
        style = re.findall(r"<style>(.*?)</style>", file.read_text(encoding="utf-8"), re.DOTALL)
        assert "url(" not in style[0]
        assert "@import" not in style[0]


@pytest.mark.usefixtures("quick_pages")
def test_hostile_names_stay_text(tmp_path):
    result, cloud, _ = scored(tmp_path, name=HOSTILE.replace("/", "∕"))
    hostile = changed(
        result,
        verdict={"status": "RECHECK", "reasons": [{"code": HOSTILE, "text": HOSTILE}]},
        model={"id": HOSTILE, "sha256": HOSTILE},
        scan={"file": HOSTILE, "sha256": None},
        files={"scored": f"{HOSTILE}.scored.ply", "reconstruction": None},
        warnings=[HOSTILE],
        metadata={HOSTILE: HOSTILE},
        unit="<i>",
    )
    cloud = replace(cloud, path=None)
    report = write_report(
        tmp_path / "p.report.html", hostile, cloud, calibration=replace(CALIBRATION, source=HOSTILE),
        settings={HOSTILE: HOSTILE}, title=HOSTILE,
    )  # fmt: skip
    index = write_index(tmp_path, [hostile], reports={HOSTILE: report}, failures=[HOSTILE], title=HOSTILE)
    for file, scripts in ((report.path, 3), (index, 1)):
        text = file.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        page = Elements(text)
        assert len([tag for tag, _ in page.tags if tag == "script"]) == scripts
        assert not [tag for tag, _ in page.tags if tag == "i"]
        assert HOSTILE in page.text


@pytest.mark.usefixtures("quick_pages")
@pytest.mark.parametrize(
    "missing",
    [
        {"reconstruction": None},
        {"distances": None},
        {"alignment": None},
        {"threshold": None, "is_anomalous": None},
        {"point_threshold": None},
        {"timings": {}},
        {"object_score": float("nan")},
        {"object_score": float("inf"), "threshold": None},
    ],
)
def test_a_page_is_whole_without_what_is_missing(tmp_path, missing):
    result, cloud, scores = scored(tmp_path, **missing)
    page = written(tmp_path, result, cloud)
    write_index(tmp_path, [result])
    shown = {attributes.get("data-show") for _, attributes in Elements(page).tags} - {None}
    assert ("reconstruction" in shown) is (scores.reconstruction is not None)
    assert "truth" not in shown
    assert ("defects" in shown) is bool(result.defects)
    scene = json.loads(re.findall(r'id="scene">(.*?)</script>', page)[0])
    assert len(scene["defects"]) == len(result.defects)
    assert not re.search(r'(?:x|y|width|height)\d?="-?(?:nan|inf)', page)


@pytest.mark.usefixtures("quick_pages")
def test_a_good_part_without_unit_has_a_page(tmp_path):
    result, cloud, _ = scored(tmp_path, defects=0, unit=None)
    page = Elements(written(tmp_path, result, replace(cloud, labels=np.zeros(len(cloud), bool))))
    assert "The scan is not above its limit, so no defects are listed." in page.text
    assert "unit not stated" in page.text
    assert "is not above the limit" in page.text
    assert "truth" in {attributes.get("data-show") for _, attributes in page.tags}


@pytest.mark.usefixtures("quick_pages")
def test_scores_that_are_not_finite_have_a_page(tmp_path):
    points = ellipsoid(800)
    scores = answer(points)
    values = scores.point_scores.copy()
    values[:5], values[5] = np.nan, np.inf
    cloud = PointCloud(points)
    scores = replace(scores, point_scores=values, object_score=float("nan"))
    result = written_result(tmp_path, cloud, scores, stem="part")
    page = Elements(written(tmp_path, result, cloud))
    assert "RECHECK" in page.text
    assert "6 points have no value" in page.text


@pytest.mark.usefixtures("quick_pages")
def test_signed_bands_can_take_the_place_of_scores(tmp_path):
    result, cloud, _ = scored(tmp_path)
    deviation = np.linspace(-1.0, 1.0, len(cloud)).astype(np.float32)
    bands = ColorScale(
        np.array([-1.0, -0.2, 0.2, 1.0]),
        np.array([[5, 48, 97], [120, 170, 120], [103, 0, 31]], np.uint8),
        (ScaleMark(-0.2, "lower"), ScaleMark(0.2, "upper tolerance")),
        banded=True,
    )
    field = PointField("Deviation", deviation, bands, "mm")
    page = Elements(written(tmp_path, result, cloud, fields=[field], title="CAD comparison"))
    for words in ("CAD comparison", "Scan coloured by deviation", "upper tolerance 0.2", "Deviation of all points"):
        assert words in page.text
    with pytest.raises(ValueError, match="needs 3000 values"):
        written(tmp_path, result, cloud, fields=[replace(field, values=deviation[:-1])])


@pytest.mark.usefixtures("quick_pages")
def test_what_regions_may_bring_is_shown(tmp_path):
    result, cloud, _ = scored(tmp_path)
    regions = [dict(region) for region in result.record["regions"]]
    regions[0] |= {"id": 1, "kind": "depression", "peak_deviation": -2.5, "axes": np.eye(3).tolist()}
    regions[1] |= {"id": 2, "kind": "missing_material", "peak_deviation": None, "gap": 6.25, "point_count": 0}
    page = Elements(written(tmp_path, changed(result, regions=regions), cloud))
    for words in ("Kind", "dent", "missing material", "−2.50", "Peak dev.", "Gap", "6.25"):
        assert words in page.text


@pytest.mark.slow
def test_half_a_million_points_stay_below_ten_megabytes(tmp_path):
    points = ellipsoid(500_000)
    scores = answer(points)
    cloud = PointCloud(points)
    result = written_result(tmp_path, cloud, scores, stem="part", unit="mm")
    report = write_report(tmp_path / "part.report.html", result, cloud, calibration=CALIBRATION)
    assert report.path.stat().st_size < 10_000_000
    text = report.path.read_text(encoding="utf-8")
    assert "plotly.js v" in text
    assert "of 500\u202f000 points are shown" in text


@pytest.mark.usefixtures("quick_pages")
def test_a_page_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    result, cloud, _ = scored(tmp_path)
    target = tmp_path / "part.report.html"
    target.write_text("before")

    def broken(*_: object) -> str:
        raise RuntimeError("broken")

    monkeypatch.setattr(page_module, "data_script", broken)
    with pytest.raises(RuntimeError):
        write_report(target, result, cloud)
    assert target.read_text() == "before"
    monkeypatch.undo()
    folder = tmp_path / "folder.report.html"
    folder.mkdir()
    with pytest.raises(BadInput, match="is a folder"):
        write_report(folder, result, cloud)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.usefixtures("quick_pages")
def test_the_index_lists_the_batch_in_order_and_links_what_exists(tmp_path):
    first, cloud, _ = scored(tmp_path)
    report = write_report(tmp_path / "a b#1.report.html", first, cloud)
    second, third = (
        changed(
            first,
            files={"scored": f"{stem}.scored.ply", "reconstruction": None},
            scan={"file": f"{stem}.ply", "sha256": None},
            verdict={"status": status, "reasons": []},
        )
        for stem, status in (("other", "OK"), ("third", "RECHECK"))
    )
    index = write_index(tmp_path, [first, second, third], reports={"part": report}, failures=["x.ply is empty."])
    page = Elements(index.read_text(encoding="utf-8"))
    links = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert links == {"./a%20b%231.report.html"}
    pictures = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 1
    assert page.text.index("part.ply") < page.text.index("other.ply") < page.text.index("third.ply")
    assert "1 OK 1 NG 1 to check again 1 not scored 50.0 %" in page.text
    assert "x.ply is empty." in page.text


@pytest.mark.usefixtures("quick_pages")
def test_both_kinds_of_page_begin_the_same_way(tmp_path):
    result, cloud, _ = scored(tmp_path)
    report = write_report(tmp_path / "part.report.html", result, cloud)
    index = write_index(tmp_path, [result], reports={"part": report}, title="A <batch>")
    heads = [file.read_text(encoding="utf-8").split("</head>")[0] for file in (report.path, index)]
    titles = [re.findall("<title>(.*?)</title>", head)[0] for head in heads]
    assert titles == ["Inspection report: part.ply, NG", "A &lt;batch&gt;"]
    one, other = (head.replace(title, "").replace(" blob:", "") for head, title in zip(heads, titles, strict=True))
    assert one == other
    assert one.startswith('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">')
    assert f'content="dusnet {result.record["versions"]["dusnet"]}"' in one


def test_only_our_own_index_is_removed(tmp_path):
    remove_index(tmp_path)
    other = tmp_path / "index.html"
    other.write_text("<html>mine</html>")
    remove_index(tmp_path)
    assert other.exists()
    with pytest.raises(BadInput, match="not written by dusnet"):
        write_index(tmp_path, [])
    assert other.read_text() == "<html>mine</html>"
    other.unlink()
    write_index(tmp_path, [])
    remove_index(tmp_path)
    assert not other.exists()


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [
        (1500.0, 3, "1500"),
        (-41_234.6, 3, "−41235"),
        (9999.6, 4, "10000"),
        (999_999.0, 3, "999999"),
        (2.5e6, 3, "2.5e+06"),
        (12.3456, 4, "12.35"),
        (0.00123456, 4, "0.001235"),
        (2.5e-7, 3, "2.5e−07"),
        (0.0, 4, "0"),
        (float("inf"), 4, "–"),
        (None, 4, "–"),
    ],
)
def test_ordinary_numbers_are_written_without_exponent(value, digits, words):
    assert number(value, digits) == words


@pytest.mark.usefixtures("quick_pages")
def test_a_large_area_is_written_in_figures(tmp_path):
    result, cloud, _ = scored(tmp_path, defects=1)
    regions = [result.record["regions"][0] | {"area": 41_234.6, "size": [1500.0, 2.0, 1.0]}]
    large = changed(result, regions=regions)
    assert "41235" in Elements(written(tmp_path, large, cloud)).text
    assert "1500 mm" in Elements(write_index(tmp_path, [large]).read_text(encoding="utf-8")).text


def lengths(size: float, unit: str | None = "mm", **known: object) -> Lengths:
    """How lengths of a part this long are written; `known` are fields of its result."""
    nothing = {"comparison": None, "deviation_statistics": None, "distance_statistics": None}
    return Lengths.of(np.array([[0.0, 0, 0], [size, 0, 0]]), Result.model_construct(unit=unit, **nothing | known))


def allowed(plus: float, minus: float) -> Comparison:
    return Comparison.model_construct(tolerance=AllowedDeviation(plus=plus, minus=minus, default=False))


@pytest.mark.parametrize("size", [1e-9, 0.0123, 0.1, 1.0, 80.0, 100.0, 119.0, 1200.0, 5e4, 1e7])
def test_lengths_are_exact_to_a_hundred_thousandth_of_the_part(size):
    length = lengths(size)
    step = max(10.0**-length.decimals, 1e-9)
    assert step <= max(size * 1e-5, 1e-9) * (1 + 1e-9)
    assert length.decimals == 0 or step > size * 1e-6
    value = size / 7.0
    assert abs(float(length.write(value)) - value) <= 0.5 * size * 1e-5 + 1e-9


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({}, ["+0.14", "+0.05", "−0.05"]),
        ({"deviation_statistics": SignedStatistics(mean=0.0, min=-0.051, max=0.14)}, ["+0.140", "+0.051", "−0.051"]),
        ({"deviation_statistics": SignedStatistics(mean=0.0, min=-80.0, max=0.14)}, ["+0.14", "+0.05", "−0.05"]),
        ({"deviation_statistics": SignedStatistics()}, ["+0.14", "+0.05", "−0.05"]),
        (
            {"deviation_statistics": SignedStatistics(), "distance_statistics": HighStatistics(max=0.14)},
            ["+0.140", "+0.051", "−0.051"],
        ),
        ({"comparison": allowed(0.1, 0.2)}, ["+0.140", "+0.051", "−0.051"]),
        ({"comparison": allowed(0.1, 0.02)}, ["+0.1400", "+0.0510", "−0.0510"]),
    ],
)
def test_deviations_of_a_large_part_are_told_as_finely_as_they_matter(known, words):
    length = lengths(1200.0, **known)
    assert [length.deviation(value) for value in (0.14, 0.051, -0.051)] == words
    assert length.write(1.23456) == "1.23"


@pytest.mark.usefixtures("quick_pages")
def test_small_deviations_of_a_large_part_are_told_apart_on_the_page(tmp_path):
    points = ellipsoid(3000) * 10.0
    scores = answer(points / 10.0, 2)
    deviation = (scores.point_scores / scores.point_scores.max() * 0.14).astype(np.float32)
    cloud = PointCloud(points)
    scores = replace(scores, deviation=deviation)
    result = written_result(tmp_path, cloud, scores, stem="part", unit="mm")
    page = Elements(written(tmp_path, result, cloud)).text
    assert "Highest bump +0.140 mm" in page
    peaks = [region.peak_deviation for region in result.defects]
    assert len(peaks) == 2
    for peak in peaks:
        assert f"+{peak:.3f}" in page


@pytest.mark.usefixtures("quick_pages")
def test_a_stray_point_is_counted_and_does_not_make_lengths_coarse(tmp_path):
    points = np.vstack([ellipsoid(3000), [[9e4, 0.0, 0.0]]])
    scores = answer(points, 0, reconstruction=None)
    cloud = PointCloud(points)
    result = written_result(tmp_path, cloud, scores, stem="part", unit="mm")
    page = written(tmp_path, result, cloud)
    assert "1 of them lies far from the others, outside of the view." in Elements(page).text
    assert '"decimals":3' in page


def test_lengths_and_times_are_written_for_people():
    length = lengths(80.0)
    assert length.with_unit(length.write(1.23456)) == "1.2346 mm"
    assert length.write(-0.00001) == "0.0000"
    assert length.deviation(-2.0) == "−2.0000"
    assert length.deviation(2.0, signed=False) == "2.0000"
    assert length.write(None) == "–"
    assert when("2026-03-04T05:06:07+02:00") == "2026-03-04 05:06:07 UTC+02:00"


@pytest.mark.parametrize(
    ("unit", "residual", "scale", "words"),
    [
        ("mm", 0.002, 60.0, "0.12 mm"),
        ("mm", 0.002, None, "0.20 % of the part's radius"),
        (None, 0.002, 60.0, "0.20 % of the part's radius"),
        ("mm", None, 60.0, "–"),
        ("mm", float("nan"), 60.0, "–"),
    ],
)
def test_a_fit_error_is_a_length_where_the_unit_is_known(unit, residual, scale, words):
    assert lengths(80.0, unit).fit_error(residual, scale) == words


@pytest.mark.usefixtures("quick_pages")
@pytest.mark.parametrize(("unseen", "words"), [(0.0, "Coverage 100 %"), (0.125, "Coverage 87.5 %")])
def test_a_page_says_how_well_a_scan_fits_and_what_it_covers(tmp_path, unseen, words):
    result, cloud, _ = scored(tmp_path, 500, score_length=60.0, unseen=unseen)
    page = Elements(written(tmp_path, result, cloud)).text
    assert "Fit error 0.12 mm" in page
    assert words in page


def dented(depth: float = -1.0, count: int = 3000) -> tuple[PointCloud, Scores]:
    """An ellipsoid with one dent, deviations of either sign, and scores that are the deviations in radii of 100."""
    points = ellipsoid(count)
    deviation = np.random.default_rng(2).normal(size=count) * 0.02
    deviation[np.linalg.norm(points - CENTERS[0], axis=1) < 9.0] = depth
    values = np.abs(deviation) / 100.0
    given = answer(points, 1)
    scores = replace(
        given, point_scores=values.astype(np.float32), object_score=float(values.max()), threshold=0.002,
        point_threshold=0.002, is_anomalous=bool(values.max() > 0.002), deviation=deviation.astype(np.float32),
        score_length=100.0,
    )  # fmt: skip
    return PointCloud(points), scores


@pytest.mark.usefixtures("quick_pages")
@pytest.mark.parametrize(
    ("asked", "own", "limit", "end"), [(None, None, 0.2, 0.4), (None, 0.5, 0.5, 1.0), (0.8, None, 0.2, 0.8)]
)
def test_deviations_within_the_limit_are_grey_and_the_scale_ends_where_it_was_asked_to(asked, own, limit, end):
    cloud, scores = dented()
    result = result_of(cloud, scores, unit="mm", own_limits=OwnLimits(deviation=own))
    score, deviation = page_module.fields_of(result, asked)
    assert (deviation.scale.low, deviation.scale.high) == pytest.approx((-end, end))
    assert [mark.value for mark in deviation.scale.marks] == pytest.approx([-limit, limit])
    grey = tuple(deviation.scale.paint(np.array([0.0]))[0])
    assert len(set(map(int, grey))) <= 3
    assert np.ptp(np.array(grey, int)) < 12, "neutral"
    steps = np.linspace(-end, end, 401)
    near = np.abs(np.abs(steps) - limit) < 1e-9
    is_grey = (deviation.scale.paint(steps) == grey).all(axis=1)
    assert (is_grey == (np.abs(steps) < limit))[~near].all()
    assert deviation.scale.paint(np.array([end]))[0][0] > deviation.scale.paint(np.array([end]))[0][2], "red: excess"
    low = score.scale.paint(np.linspace(0.0, 0.00199, 50))
    assert (low == low[0]).all()
    assert tuple(score.scale.paint(np.array([0.0021]))[0]) != tuple(low[0])


@pytest.mark.usefixtures("quick_pages")
def test_defects_carry_their_deviation_in_the_pictures_and_the_histogram_shows_the_tail(tmp_path):
    cloud, scores = dented()
    result = written_result(tmp_path, cloud, scores, stem="part", unit="mm")
    page = written(tmp_path, result, cloud, color_range=0.3)
    scene = json.loads(re.findall(r'id="scene">(.*?)</script>', page)[0])
    assert [callout(defect, "mm") for defect in result.defects] == ["1: -1 mm"]
    assert [field["name"] for field in scene["fields"]] == ["Anomaly score", "Deviation"]
    words = Elements(page).text
    assert words.startswith("Inspection report: part, NG Inspection report part ")
    assert result.finding in words
    assert "Deviation of all points" in words
    chart = page.split('aria-label="Histogram of Deviation', 1)[1].split("</svg>", 1)[0]
    ticks = [float(tick.replace("−", "-")) for tick in re.findall(r'text-anchor="middle"[^>]*>(−?[\d.]+)<', chart)]
    assert min(ticks) <= -0.8, "the dent of 1 mm lies beyond the colours, which end at 0.3"
    assert chart.count("limit") == 2


def test_a_callout_is_on_the_side_that_shows_the_defect(monkeypatch):
    monkeypatch.setattr(stills_module, "SIZE", (440, 322))
    points = ellipsoid(40_000)
    white = np.full((40_000, 3), 255, np.uint8)
    hidden = stills_module.Callout(1, "1: -0.8 mm", np.array([0.0, 0.0, 0.0]), "left")
    stills = stills_module.draw_stills(points, white, np.zeros(40_000), [hidden], "mm")
    assert {still.side.name: still.shown for still in stills.sides} == {
        side.name: ((1,) if side.name == "left" else ()) for side in SIDES
    }
