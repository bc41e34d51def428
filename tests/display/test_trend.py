"""The page of a process: control limits as a textbook computes them, and charts that show every result rightly."""

from __future__ import annotations

import itertools
import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from browser import chromium, console_errors
from report_parts import scored
from written_results import changed

from dusnet.cli import main
from dusnet.display.report import trend as trend_module
from dusnet.display.report import write_trend
from dusnet.errors import BadInput
from dusnet.inspection.control_chart import control_limits, moving_share
from dusnet.io import write_json
from dusnet.result import Result

START = datetime(2026, 3, 1, 6, 0, tzinfo=timezone(timedelta(hours=2)))


@pytest.fixture(autouse=True)
def _quick_pages(monkeypatch):
    monkeypatch.setattr(trend_module, "plotly_script", lambda: "/* plotly */")


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Result:
    return scored(tmp_path_factory.mktemp("first"), 300)[0]


def series(first: Result, out: Path, scores, *, statuses=None, **changes) -> list[Result]:
    """Results of so many scores, one minute apart, read back from a folder."""
    out.mkdir(parents=True, exist_ok=True)
    for place, score in enumerate(scores):
        stem = f"part{place}"
        made = changed(
            first,
            object_score=score,
            files={"scored": f"{stem}.scored.ply", "reconstruction": None},
            scan={"file": f"{stem}.ply", "sha256": None},
            verdict={"status": statuses[place] if statuses else "OK", "reasons": []},
            timestamp=(START + timedelta(minutes=place)).isoformat(),
            deviation={"mean": 0.0, "min": -0.1 * score, "max": 0.05 * score},
            **changes,
        )
        write_json(out / f"{stem}.json", made.record)
    return [Result.read(path) for path in out.glob("*.json")]


def charts(path: Path) -> dict[str, dict]:
    found = re.search(r'<script type="application/json" id="trend">(.*?)</script>', path.read_text(), re.DOTALL)
    assert found is not None
    return {chart["id"]: chart for chart in json.loads(found[1])["charts"]}


def traces(chart: dict) -> dict[str, dict]:
    return {one["name"]: one for one in (*chart["lines"], *chart["points"])}


def test_limits_of_an_individuals_chart_are_those_of_the_textbook():
    """Montgomery, Introduction to Statistical Quality Control, example 6.5: loan processing costs of 20 weeks."""
    costs = [310, 288, 297, 298, 307, 303, 294, 297, 308, 306, 294, 299, 297, 299, 314, 295, 293, 306, 301, 304]
    found = control_limits(costs)
    assert found is not None
    ranges = [abs(b - a) for a, b in itertools.pairwise(costs)]
    assert found.center == pytest.approx(sum(costs) / 20) == 300.5
    assert sum(ranges) / 19 == pytest.approx(7.79, abs=0.005)
    assert found.high == pytest.approx(321.22, abs=0.02)
    assert found.low == pytest.approx(279.78, abs=0.02)
    assert [found.outside(value) for value in (279, 280, 321, 322, float("inf"))] == [True, False, False, True, True]
    assert control_limits([1.0]) is None


def test_sigma_is_that_of_neighbours_and_not_of_the_whole_drift():
    noise = np.random.default_rng(0).normal(0.0, 0.5, 4000)
    drifting = control_limits((noise + np.linspace(0.0, 20.0, 4000)).tolist())
    assert drifting is not None
    assert drifting.sigma == pytest.approx(0.5, rel=0.05)


def test_share_of_a_moving_window():
    hits = [True, True, False, True, False, False]
    assert moving_share(hits, 3).tolist() == pytest.approx([1, 1, 2 / 3, 2 / 3, 1 / 3, 1 / 3])
    assert moving_share(hits, 100).tolist() == pytest.approx([1, 1, 2 / 3, 3 / 4, 3 / 5, 1 / 2])


def test_charts_hold_every_part_in_its_order(first, tmp_path):
    scores = [0.004, 0.005, 0.0045, 0.02, 0.0052]
    results = series(first, tmp_path / "out", scores, statuses=["OK", "OK", "OK", "NG", "RECHECK"])
    found = charts(write_trend(tmp_path / "out" / "trend.html", results[::-1], window=2))
    score = traces(found["score"])
    assert score["OK"]["y"] == scores[:3]
    assert score["OK"]["x"] == [f"2026-03-01 04:0{minute}:00.000000" for minute in range(3)]  # UTC
    assert (score["NG"]["y"], score["RECHECK"]["y"]) == ([0.02], [0.0052])
    center, sigma = np.mean(scores[:3]), (0.001 + 0.0005) / 2 / 1.128379
    assert score["center line"]["y"][:2] == pytest.approx([center, center])
    assert score["+3 sigma"]["y"][:2] == pytest.approx([center + 3 * sigma] * 2)
    assert score["−3 sigma"]["y"][:2] == pytest.approx([center - 3 * sigma] * 2)
    assert score["out of control"]["y"] == [0.02]
    assert set(score["limit"]["y"]) == {first.threshold, None}
    assert found["score"]["scale"] == "linear"
    deviation = traces(found["deviation"])
    assert deviation["OK"]["y"] == pytest.approx([0.1 * value for value in scores[:3]])
    assert found["deviation"]["label"] == "largest deviation [mm]"
    assert "limit" not in deviation
    assert traces(found["yield"])["OK of the last 2"]["y"] == [100, 100, 100, 50, 0]


def test_each_model_has_limits_of_its_own(first, tmp_path):
    old = series(first, tmp_path / "a", [0.001, 0.002], model={"id": "m", "sha256": "aa"})
    new = series(first, tmp_path / "b", [0.1, 0.3], model={"id": "m", "sha256": "bb"}, threshold=0.5)
    path = write_trend(tmp_path / "trend.html", [*new, *old])
    score = traces(charts(path)["score"])
    centers = [value for value in score["center line"]["y"] if value is not None]
    assert sorted(centers) == pytest.approx([0.0015, 0.0015, 0.2, 0.2])
    assert {first.threshold, 0.5} <= set(score["limit"]["y"])
    assert charts(path)["score"]["scale"] == "log"
    assert None in score["−3 sigma"]["y"]


def test_own_limits_are_the_limit_of_the_deviation(first, tmp_path):
    results = series(first, tmp_path, [0.004, 0.005], own_limits={"deviation": 0.7, "area": None})
    limit = traces(charts(write_trend(tmp_path / "trend.html", results))["deviation"])["limit"]
    assert [value for value in limit["y"] if value is not None] == [0.7, 0.7]


def test_names_from_outside_are_neither_markup_nor_tags_of_plotly(first, tmp_path):
    out = tmp_path / "out"
    results = series(first, out, [0.004, 0.005])
    name = '</script><img src=x onerror=alert(1)>&<b>"a"'
    bad = [changed(one, scan={"file": name, "sha256": None}, object_score=9.0) for one in results[:1]]
    bad[0]._folder = out
    (out / f"{results[1].stem}.report.html").write_text('<meta name="generator" content="dusnet 1">')
    text = write_trend(out / "trend.html", [*bad, *results], title=name).read_text()
    assert "<img" not in text
    assert text.count("</script>") == 3
    hover = [one for trace in charts(out / "trend.html")["score"]["points"] for one in trace["text"]]
    safe = '&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&amp;&lt;b&gt;"a"<br>'
    assert any(one.startswith(safe) for one in hover)


def test_points_lead_to_pages_that_exist(first, tmp_path):
    out = tmp_path / "shift 1#"
    results = series(first, out, [0.004, 0.005, 0.006])
    (out / "part1.report.html").write_text('<html><meta name="generator" content="dusnet 1">')
    (out / "part2.report.html").write_text("<html>mine</html>")
    score = traces(charts(write_trend(tmp_path / "pages" / "t.html", results))["score"])
    assert score["OK"]["links"] == ["", "./../shift%201%23/part1.report.html", ""]


def test_many_parts_are_thinned_and_limits_count_all(first, tmp_path, monkeypatch):
    monkeypatch.setattr(trend_module, "MOST_POINTS", 50)
    scores = (0.005 + 0.001 * np.random.default_rng(2).normal(size=400)).tolist()
    scores[123] = 0.5
    path = write_trend(tmp_path / "trend.html", series(first, tmp_path / "out", scores))
    score = traces(charts(path)["score"])
    assert len(score["OK"]["y"]) == 50
    assert (score["OK"]["y"][0], score["OK"]["y"][-1]) == (scores[0], scores[-1])
    assert score["center line"]["y"][0] == pytest.approx(np.mean(scores))
    assert 0.5 in score["out of control"]["y"]
    assert "50 parts are drawn" in path.read_text()


def test_scores_that_are_not_finite_are_counted_and_not_drawn(first, tmp_path):
    results = series(first, tmp_path, [0.004, 0.005])
    assert "There are no control limits" not in write_trend(tmp_path / "trend.html", results).read_text()
    lost = changed(results[0], object_score=None, verdict={"status": "RECHECK", "reasons": []})
    text = write_trend(tmp_path / "trend.html", [*results, lost]).read_text()
    assert "1 part without a finite score is not drawn" in text
    alone = write_trend(tmp_path / "trend.html", [results[0], lost])
    assert "There are no control limits" in alone.read_text()
    assert set(traces(charts(alone)["score"])) == {"OK", "limit"}


def test_parts_of_one_second_keep_the_order_that_they_have(first, tmp_path):
    results = series(first, tmp_path, [0.004, 0.005, 0.006])
    order = [changed(results[place], timestamp=START.isoformat()) for place in (2, 0, 1)]
    drawn = traces(charts(write_trend(tmp_path / "trend.html", order))["score"])["OK"]["y"]
    assert drawn == [one.object_score for one in order]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_browser_draws_the_charts_and_opens_the_page_of_a_part(first, tmp_path, monkeypatch):
    monkeypatch.undo()  # with Plotly itself
    out = tmp_path / "out"
    results = series(first, out, [0.004, 0.005, 0.006], statuses=["OK", "OK", "NG"])
    (out / "part2.report.html").write_text('<html><meta name="generator" content="dusnet 1"><title>here</title>')
    path = write_trend(out / "trend.html", results)
    with chromium() as page:
        from selenium.webdriver.support.ui import WebDriverWait

        page.get(path.as_uri())
        wait = "['score', 'deviation', 'yield'].every((id) => document.getElementById(id).dataset.state === 'drawn')"
        WebDriverWait(page, 60).until(lambda one: one.execute_script(f"return {wait}"))
        assert console_errors(page) == []
        names = page.execute_script("return document.getElementById('score').data.map((trace) => trace.name)")
        assert names[:4] == ["limit", "center line", "+3 sigma", "−3 sigma"]
        page.execute_script(
            "const place = document.getElementById('score'), point = place.data.find((one) => one.name === 'NG');"
            "place.emit('plotly_click', { points: [{ customdata: point.customdata[0] }] });"
        )
        WebDriverWait(page, 20).until(lambda one: one.current_url.endswith("/part2.report.html"))


def test_the_verb_writes_the_page_of_one_folder_or_several(first, tmp_path, capsys):
    for name, count in (("a", 3), ("b", 2)):
        series(first, tmp_path / name, [0.004 + 0.0001 * place for place in range(count)])
    assert main(["trend", str(tmp_path / "a"), "--quiet"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a' / 'trend.html'}\n"
    assert len(traces(charts(tmp_path / "a" / "trend.html")["score"])["OK"]["y"]) == 3
    out = tmp_path / "both.html"
    words = ["trend", str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "a"), "--out", str(out), "--quiet"]
    assert main(words) == 0
    assert len(traces(charts(out)["score"])["OK"]["y"]) == 5
    assert main(words) == 0  # its own page may be replaced


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda _: None, "out does not exist; name a folder"),
        (lambda out: out.write_text(""), "out is a file; name a folder"),
        (lambda out: out.mkdir(), "out holds no results; name a folder"),
        (lambda out: (out.mkdir(), (out / "trend.html").write_text("mine")), "was not written by dusnet as a page"),
    ],
)
def test_what_is_no_folder_of_results_is_one_sentence(tmp_path, capsys, prepare, said):
    out = tmp_path / "out"
    prepare(out)
    assert main(["trend", str(out)]) == 2
    found = capsys.readouterr()
    assert said in found.err
    assert len(found.err.splitlines()) == 1
    assert found.out == ""
    assert not out.is_dir() or [path.name for path in out.iterdir()] in ([], ["trend.html"])


def test_lengths_of_several_units_do_not_go_into_one_chart(first, tmp_path):
    results = series(first, tmp_path / "a", [0.1]) + series(first, tmp_path / "b", [0.1], unit="in")
    with pytest.raises(BadInput, match="lengths in in and mm"):
        write_trend(tmp_path / "trend.html", results)
    assert not (tmp_path / "trend.html").exists()
