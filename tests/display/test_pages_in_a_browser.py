"""Pages as people meet them, in a real Chromium: drawn, without errors, and answering to mouse and keyboard."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from browser import chromium, console_errors, screenshot
from report_parts import CALIBRATION, answer, ellipsoid, scored
from written_results import changed, written_result

from dusnet.display.report import write_index, write_report
from dusnet.display.report.sections import when
from dusnet.io import read_cloud, read_scalars

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def browser():
    with chromium(width=1400, height=1000) as driver:
        yield driver


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("batch")
    result, cloud, scores = scored(out)
    labels = scores.point_scores > 0.008
    report = write_report(out / "part.report.html", result, replace(cloud, labels=labels), calibration=CALIBRATION)
    others = [
        changed(
            result,
            files={"scored": f"scan{place}.scored.ply", "reconstruction": None},
            scan={"file": f"scan{place}.ply", "sha256": None},
            verdict={"status": "OK", "reasons": []},
            object_score=score,
        )
        for place, score in enumerate([0.2, None, 0.004, 1e-5])
    ]
    write_index(out, [result, *others], reports={"part": report})
    return out


def wait_until(driver, condition: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 90).until(lambda page: page.execute_script(f"return {condition}"))


@pytest.fixture
def page(browser, batch):
    browser.get((batch / "part.report.html").as_uri())
    wait_until(browser, "document.getElementById('view').dataset.state === 'drawn'")
    return browser


def camera(page) -> np.ndarray:
    found = page.execute_script("return document.getElementById('view')._fullLayout.scene._scene.getCamera()")
    return np.array([found[name][axis] for name in ("eye", "center") for axis in "xyz"])


def canvas(page) -> np.ndarray:
    page.execute_script("window.scrollTo(0, 0)")
    box = page.execute_script("const r = document.getElementById('view').getBoundingClientRect();"
                              "return [r.left, r.top, r.right, r.bottom].map(Math.round)")  # fmt: skip
    return screenshot(page)[box[1] : box[3], box[0] : box[2]]


def settle(page, act) -> None:
    """Do something and wait until the view has been drawn again."""
    page.execute_script(
        "window.again = false; document.getElementById('view').once('plotly_afterplot', () => requestAnimationFrame("
        "() => requestAnimationFrame(() => { window.again = true; })));"
    )
    act()
    wait_until(page, "window.again")


def test_the_page_draws_the_part_without_an_error(page):
    image = canvas(page)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 200
    assert (image < 200).any(axis=2).mean() > 0.05
    assert console_errors(page) == []
    fetched = page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in fetched if not name.startswith(("data:", "blob:"))] == []


def test_switches_change_the_picture(page):
    before = canvas(page)
    for name in ("reconstruction", "truth", "input"):
        box = page.find_element("css selector", f"input[data-show={name}]")
        settle(page, box.click)
        after = canvas(page)
        assert (after != before).any(axis=2).mean() > 0.002, name
        before = after
    assert console_errors(page) == []


def test_another_field_repaints_the_part_and_its_bar(page):
    before = canvas(page)
    options = page.find_elements("css selector", "#field option")
    assert [option.text for option in options] == ["Anomaly score", "Distance", "Nothing (grey)"]
    settle(page, options[2].click)
    grey = canvas(page)
    assert (grey != before).any(axis=2).mean() > 0.01
    colorful = np.ptp(grey.astype(int), axis=2) > 60
    assert colorful.mean() < 0.01
    settle(page, options[1].click)
    bars = page.find_elements("css selector", "[data-bar]")
    assert [bar.is_displayed() for bar in bars] == [False, True]


def test_a_click_on_a_row_moves_the_camera(page):
    before = camera(page)
    rows = page.find_elements("css selector", "tr[data-defect]")
    settle(page, rows[0].click)
    first = camera(page)
    assert np.abs(first - before).max() > 0.1
    assert rows[0].get_attribute("aria-current") == "true"
    settle(page, rows[1].click)
    assert np.abs(camera(page) - first).max() > 0.1
    assert rows[0].get_attribute("aria-current") is None
    assert "defect 2" in page.find_element("id", "status").text


def test_the_keyboard_moves_the_camera(page):
    from selenium.webdriver.common.keys import Keys

    before = camera(page)
    row = page.find_elements("css selector", "tr[data-defect]")[2]
    settle(page, lambda: row.send_keys(Keys.ENTER))
    at_defect = camera(page)
    assert np.abs(at_defect - before).max() > 0.1
    button = page.find_element("css selector", "button[data-view=top]")
    settle(page, lambda: button.send_keys(Keys.ENTER))
    eye = camera(page)[:3]
    assert eye[2] > 10 * np.abs(eye[:2]).max()
    settle(page, lambda: page.find_element("css selector", "button[data-view='']").send_keys(Keys.SPACE))
    np.testing.assert_allclose(camera(page), before, atol=1e-3)


def test_a_point_tells_what_the_scored_cloud_holds(browser, tmp_path):
    points = ellipsoid(300)
    scan = tmp_path / "part.xyz"
    offset = np.array([250_000.0, -4_000.0, 12.0])
    rows = points + offset
    rows[3] = np.nan  # a row that is dropped: the number in the scan is not the number in the scored cloud
    np.savetxt(scan, rows, fmt="%.6f")
    cloud = read_cloud(scan)
    scores = answer(cloud.points - offset)
    result = written_result(tmp_path, cloud, scores, stem="part", unit="mm")
    browser.get(write_report(tmp_path / "part.report.html", result, cloud).path.as_uri())
    wait_until(browser, "document.getElementById('view').dataset.state === 'drawn'")
    told = browser.execute_script(
        "const view = document.getElementById('view');"
        "view.emit('plotly_hover', { points: [{ curveNumber: 0, pointNumber: 5 }] });"
        "return document.getElementById('tip').textContent;"
    )
    number, name = re.fullmatch(r"point (\d+) of (.*)", told.splitlines()[0]).groups()
    kept, values = read_scalars(tmp_path / name)
    place = [float(word) for word in re.findall(r"-?[\d.]+", told.splitlines()[1])]
    np.testing.assert_allclose(place, kept.points[int(number) - 1], atol=0.5e-3 + 1e-5)  # of a part 120 mm long
    assert told.splitlines()[1].endswith(" mm")
    shown = [float(re.search(r": (\S+)", line).group(1)) for line in told.splitlines()[2:]]
    expected = [values[column][int(number) - 1] for column in ("anomaly_score", "distance")]
    np.testing.assert_allclose(shown, expected, rtol=5e-5)


def test_a_phone_shows_one_column_and_no_horizontal_scroll(page, batch):
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        for name in ("part.report.html", "index.html"):
            page.get((batch / name).as_uri())
            assert page.execute_script("return document.documentElement.scrollWidth") <= 390, name
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_print_replaces_the_view_by_the_pictures(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert not page.find_element("id", "view").is_displayed()
        assert not page.find_element("css selector", ".toolbar").is_displayed()
        assert all(image.is_displayed() for image in page.find_elements("css selector", ".stills img"))
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def contrasts(page) -> list[tuple[str, float]]:
    """Every element with text of its own, and the contrast of its colour to the first opaque background under it."""
    return page.execute_script(
        """
        const luminance = (color) => {
          const part = color.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
            .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
          return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
        };
        const found = [];
        for (const element of document.querySelectorAll("header *, main *:not(svg *):not(#view *), footer")) {
          const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
          if (!own || !element.checkVisibility()) continue;
          let under = element;
          const clear = (place) => getComputedStyle(place).backgroundColor === "rgba(0, 0, 0, 0)";
          while (under && clear(under)) under = under.parentElement;
          const one = luminance(getComputedStyle(element).color);
          const other = luminance(under ? getComputedStyle(under).backgroundColor : "rgb(255,255,255)");
          found.push([element.textContent.slice(0, 40), (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)]);
        }
        return found;
        """
    )


def test_all_text_has_enough_contrast(page, batch):
    for name in ("part.report.html", "index.html"):
        page.get((batch / name).as_uri())
        found = contrasts(page)
        assert len(found) > 20
        assert [entry for entry in found if entry[1] < 4.5] == []


def test_the_table_of_the_index_fits_a_small_desktop(browser, tmp_path):
    result, cloud, _ = scored(tmp_path, name="bracket_left_2026-03-04_station_12_scan_0001.ply")
    report = write_report(tmp_path / "part.report.html", result, cloud)
    regions = [result.record["regions"][0] | {"kind": "missing_material", "size": [118.345, 2.0, 1.0]}]
    large = changed(result, regions=regions, points=2_345_678, warnings=["a"] * 12)
    reasons = [{"code": code, "text": "a"} for code in ("alignment_residual_high", "score_above_threshold")]
    results = [large, changed(large, verdict={"status": "RECHECK", "reasons": reasons})]
    index = write_index(tmp_path, results, reports={"part": report})
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1300, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    )
    try:
        browser.get(index.as_uri())
        wide, room = browser.execute_script(
            "const box = document.getElementById('scans').parentElement; return [box.scrollWidth, box.clientWidth]"
        )
        assert wide <= room
        moment = datetime.fromisoformat(result.timestamp)
        shown = browser.find_element("css selector", "#scans td.when")
        assert shown.text.split() == [moment.strftime("%Y-%m-%d"), moment.strftime("%H:%M:%S")]
        assert shown.find_element("tag name", "time").get_attribute("title") == when(result.timestamp)
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_index_sorts_both_ways_with_unknown_values_last(browser, batch):
    browser.get((batch / "index.html").as_uri())
    head = next(head for head in browser.find_elements("css selector", "th[aria-sort]") if "Object" in head.text)

    def order() -> list[str]:
        return [cell.text for cell in browser.find_elements("css selector", "#scans td.name")]

    assert order() == ["part.ply", "scan0.ply", "scan1.ply", "scan2.ply", "scan3.ply"]
    head.find_element("tag name", "button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert order() == ["scan3.ply", "scan2.ply", "part.ply", "scan0.ply", "scan1.ply"]
    head.find_element("tag name", "button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert order() == ["scan0.ply", "part.ply", "scan2.ply", "scan3.ply", "scan1.ply"]
    browser.find_element("css selector", "#scans td.name a").click()
    assert browser.current_url.endswith("part.report.html")
    assert [error for error in console_errors(browser) if "part.report" not in error] == []
