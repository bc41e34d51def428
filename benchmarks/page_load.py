"""How heavy pages of results are, and how long Chromium takes from opening one until the scan is seen.

Scans with three defects and a reconstruction are made at each size. The report is opened from its file; the viewer in
the browser is served by `dusnet view --web`. Needs Chromium, chromedriver and selenium; WebGL runs in software.

Example:
    python benchmarks/page_load.py --sizes 10000,100000,500000 --runs 3
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path += [str(REPOSITORY / "tests"), str(REPOSITORY / "tests" / "display")]

from browser import chromium, screenshot  # noqa: E402
from report_parts import CALIBRATION, scored  # noqa: E402

from dusnet.display.report import write_report  # noqa: E402

DRAWN = "const view = document.getElementById('view'); return view !== null && view.dataset.state === 'drawn'"
COUNTED = (
    "const count = document.getElementById('dusnet-count'); return count !== null && /defect/.test(count.innerText)"
)
LIMIT = 120.0


def until(condition: Callable[[], bool], begun: float) -> float:
    """Seconds since `begun` when the condition holds."""
    while not condition():
        if time.perf_counter() - begun > LIMIT:
            raise TimeoutError("the page does not get there")
        time.sleep(0.05)
    return time.perf_counter() - begun


def report_seconds(driver: Any, page: Path) -> float:
    driver.get("about:blank")
    begun = time.perf_counter()
    driver.get(page.as_uri())
    return until(lambda: driver.execute_script(DRAWN), begun)


def viewer_seconds(driver: Any, scan: Path) -> tuple[float, float, float]:
    """Seconds until the address is printed, from opening it until the scan is seen, and the server's peak in MB."""
    words = [sys.executable, "-m", "dusnet", "view", "--web", "--port", "0", str(scan)]
    begun = time.perf_counter()
    server = subprocess.Popen(
        words, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    served = time.perf_counter() - begun
    try:
        begun = time.perf_counter()
        driver.get(address)
        until(lambda: driver.execute_script(COUNTED), begun)
        seen = until(lambda: screenshot(driver)[100:650, 330:800].astype(int).std() > 10, begun)
        peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())
        assert peak is not None
        return served, seen, int(peak[1]) / 1000
    finally:
        server.terminate()
        server.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000,500000")
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    print("| points | report, MB | adds, s | until drawn, s | viewer: address, s | until seen, s | server, MB |")
    print("|---:|" + "---:|" * 6)
    for size in map(int, chosen.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder, chromium(width=1250, height=900) as driver:
            out = Path(folder)
            result, cloud, _ = scored(out, size)
            begun = time.process_time()
            page = write_report(out / "part.report.html", result, cloud, calibration=CALIBRATION)
            added = time.process_time() - begun
            weight = page.path.stat().st_size / 1e6
            drawn = median(report_seconds(driver, page.path) for _ in range(chosen.runs))
            runs = [viewer_seconds(driver, out / "part.scored.ply") for _ in range(chosen.runs)]
            served, seen, peak = (median(values) for values in zip(*runs, strict=True))
        print(
            f"| {size} | {weight:.1f} | {added:.1f} | {drawn:.1f} | {served:.1f} | {seen:.1f} | {peak:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
