"""Classes in processes of their own: the same rows, one writer of the tables, nothing lost and nobody left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_benchmark import Factory, evaluate

from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig, DusnetError
from dusnet.evaluation import run as running
from dusnet.progress import Silent

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = Settings.model_validate({"registration": {"method": "icp", "points": 200}, "calibration": {"replicas": 1}})
TIMES = {
    "train_seconds": 0.0,
    "calibrate_seconds": 0.0,
    "score_seconds": 0.0,
    "scans_per_second": 0.0,
    "peak_memory_mib": 0.0,
}


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str) -> None:
        self.lines.append(message)


def timeless(row):
    return replace(row, **TIMES, scans=tuple(replace(scan, seconds=0.0) for scan in row.scans))


@pytest.mark.slow
def test_two_jobs_give_the_rows_of_one(dataset, tmp_path, monkeypatch):
    options = {"settings": SETTINGS, "seeds": 2}
    alone = evaluate(dataset, ["nearest"], out=tmp_path / "one", **options)
    together = evaluate(dataset, ["nearest"], out=tmp_path / "two", jobs=2, **options)
    assert [timeless(row) for row in together] == [timeless(row) for row in alone]
    assert all(row.false_alarms is not None and row.calibrate_seconds > 0 for row in together)
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two"))
    assert [mean["values"]["o_auroc"] for mean in two["means"]] == [mean["values"]["o_auroc"] for mean in one["means"]]
    assert len(list((tmp_path / "two/rows").iterdir())) == 4
    # What is finished is read without starting a process.
    monkeypatch.setattr(running, "in_processes", None)
    assert evaluate(dataset, ["nearest"], out=tmp_path / "two", jobs=2, **options) == together


@pytest.mark.long
def test_a_failing_class_and_messages_of_workers_reach_the_parent(dataset, tmp_path):
    (tmp_path / "parts/lid/test/good/good1.xyz").write_text("1 2 oops\n")
    heard = Heard()
    with pytest.raises(DusnetError, match=r"class lid \(nearest, seed 0\): .*good1.*run again\.$"):
        evaluate(dataset, ["nearest"], settings=SETTINGS, out=tmp_path / "out", jobs=2, calibrate=False, progress=heard)
    assert len(heard.lines) == 1
    (row,) = json.loads((tmp_path / "out/results.json").read_text())["rows"]
    assert row["class_name"] == "tray"


@pytest.mark.long
def test_what_cannot_go_to_another_process_is_a_mistake(dataset, tmp_path):
    factory, lock = Factory(), threading.Lock()

    def locked(*words, **options):
        with lock:
            return factory(*words, **options)

    options = {"settings": SETTINGS, "out": tmp_path / "out", "calibrate": False}
    with pytest.raises(BadConfig, match=r"cannot go to another process \(.*lock.*\); use one job"):
        evaluate(dataset, ["near"], jobs=2, create=locked, **options)
    assert len(evaluate(dataset, ["near"], jobs=2, create=lambda *a, **b: factory(*a, **b), **options)) == 2
    with pytest.raises(BadConfig, match="jobs is 0"):
        evaluate(dataset, ["near"], settings=SETTINGS, out=tmp_path / "out", jobs=0, create=factory)


class Own(Exception):
    """An error of somebody else's code."""


class Odd(Factory):
    """Detectors with a bug, or that end their process."""

    def __call__(self, name, settings, **options):
        detector = super().__call__(name, settings, **options)
        detector.fit = self.fit
        return detector

    def fit(self, clouds, **options):
        del clouds, options
        if self.broken == "bug":
            raise KeyError("a bug")
        if self.broken == "own":
            raise Own("mine")
        if self.broken == "disk":
            raise OSError(28, "No space left on device", "row.json")
        os._exit(9)

    def __getstate__(self):
        return {"broken": self.broken, "log": [], "made": []}


@pytest.mark.slow
def test_a_bug_a_full_disk_and_a_killed_worker_end_the_run(dataset, tmp_path):
    options = {"settings": SETTINGS, "out": tmp_path / "out", "jobs": 2, "calibrate": False, "classes": ["lid"]}
    factory = Odd()
    for broken, error, words in (
        ("bug", KeyError, "a bug"),
        ("own", RuntimeError, "Own: mine"),
        ("disk", OSError, "No space left"),
        ("death", DusnetError, r"class lid was ended.*EXIT\(9\).*fewer jobs"),
    ):
        factory.broken = broken
        factory.made.clear()
        with pytest.raises(error, match=words):
            evaluate(dataset, ["near"], create=factory, **options)


CHILD = """
import sys
from pathlib import Path
from test_jobs import Slow
from dusnet.detectors.settings import Settings
from dusnet.data import open_dataset
from small_benchmark import evaluate

if __name__ == "__main__":
    parts, out = map(Path, sys.argv[1:])
    evaluate(open_dataset(parts), ["near"], settings=Settings(), out=out, calibrate=False, jobs=2, create=Slow(out))
"""


class Slow(Factory):
    """Detectors that take a minute for the class `tray` and tell who they are."""

    def __getstate__(self):
        return {**self.__dict__, "made": []}

    def __init__(self, out: Path) -> None:
        super().__init__()
        self.out = out

    def __call__(self, name, settings, **options):
        detector = super().__call__(name, settings, **options)
        honest = detector.fit

        def fit(clouds, **more):
            honest(clouds, **more)
            (self.out / f"pid-{os.getpid()}").touch()
            if clouds[0].path.parent.parent.name == "tray":
                (self.out / "reached").touch()
                time.sleep(60)
            end = time.monotonic() + 60
            while not (self.out / "reached").exists() and time.monotonic() < end:
                time.sleep(0.02)  # or one worker does both rows before the other is there

        detector.fit = fit
        return detector


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z")


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
@pytest.mark.long
def test_a_stopped_run_leaves_no_process_and_goes_on(dataset, tmp_path, how):
    out, script = tmp_path / "out", tmp_path / "child.py"
    script.write_text(CHILD)
    child = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "parts"), str(out)],
        env={"PYTHONPATH": f"{REPOSITORY}:{Path(__file__).parent}", "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 100
    done = out / "results.json"
    try:
        while not ((out / "reached").exists() and done.exists()):
            assert child.poll() is None, "the evaluation ended before it could be stopped"
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        child.send_signal(how)
        child.wait(30)
    workers = [int(path.name.removeprefix("pid-")) for path in out.glob("pid-*")]
    assert len(workers) == 2
    while any(map(alive, workers)):
        assert time.monotonic() < end, "a worker outlives its parent"
        time.sleep(0.02)
    assert [row["class_name"] for row in json.loads(done.read_text())["rows"]] == ["lid"]
    factory = Factory()
    rows = evaluate(dataset, ["near"], settings=Settings(), out=out, calibrate=False, create=factory)
    assert factory.log == [("fit", "near", "tray", "0", "True")]
    assert np.all([row.metrics["o_auroc"] == 1.0 for row in rows])
