"""A headless Chromium for tests of pages, with WebGL in software and the page's console within reach."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # as root there is none
    "--disable-dev-shm-usage",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
)


@contextmanager
def chromium(*, width: int = 1280, height: int = 800) -> Iterator[Any]:
    """A selenium driver of a Chromium of `width` x `height` pixels; the test is skipped where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (pip install selenium)")
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("Chromium or chromedriver is not installed (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    page = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    try:
        page.set_page_load_timeout(60)
        yield page
    finally:
        page.quit()


def console_errors(page: Any) -> list[str]:
    """What the page wrote to its console as an error since the last call."""
    return [entry["message"] for entry in page.get_log("browser") if entry["level"] == "SEVERE"]


def screenshot(page: Any) -> np.ndarray:
    """What the page looks like now, (height, width, 3) uint8."""
    from PIL import Image

    return np.asarray(Image.open(BytesIO(page.get_screenshot_as_png())).convert("RGB"))
