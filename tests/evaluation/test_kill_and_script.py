"""Runs in processes of their own: a kill in the middle of an evaluation, and the script in tools/."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_benchmark import Factory, evaluate

from dusnet.cli import main
from dusnet.detectors.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]

CHILD = """
import sys, time
from pathlib import Path
from small_benchmark import Factory, evaluate
from dusnet.detectors.settings import Settings
from dusnet.data import open_dataset

parts, out = map(Path, sys.argv[1:])
factory = Factory()

def create(*words, **options):
    detector = factory(*words, **options)
    honest = detector.fit
    def fit(clouds, **more):
        honest(clouds, **more)
        if clouds[0].path.parent.parent.name == "tray":
            (out / "reached").touch()
            time.sleep(60)
    detector.fit = fit
    return detector

evaluate(open_dataset(parts), ["near"], settings=Settings(), out=out, calibrate=False, create=create)
"""


def test_a_kill_loses_only_the_row_in_progress(dataset, tmp_path):
    out = tmp_path / "out"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "parts"), str(out)],
        env={"PYTHONPATH": f"{REPOSITORY}:{Path(__file__).parent}", "OMP_NUM_THREADS": "1"},
    )
    try:
        end = time.monotonic() + 60
        while not (out / "reached").exists():
            assert child.poll() is None, "the evaluation ended before it could be killed"
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert [row["class_name"] for row in json.loads((out / "results.json").read_text())["rows"]] == ["lid"]
    factory = Factory()
    rows = evaluate(dataset, ["near"], settings=Settings(), out=out, calibrate=False, create=factory)
    assert factory.log == [("fit", "near", "tray", "0", "True")]
    assert [row.class_name for row in rows] == ["lid", "tray"]


@pytest.mark.slow
@pytest.mark.usefixtures("dataset")
def test_the_script_writes_tables_and_exits_2_on_a_mistake(tmp_path, capsys):
    command = [sys.executable, str(REPOSITORY / "tools/evaluate.py"), str(tmp_path / "parts"), "--quiet"]
    done = subprocess.run(
        [*command, "--detector", "nearest", "--classes", "lid", "--seeds", "1", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    assert "| lid | nearest |" in done.stdout
    (row,) = json.loads((tmp_path / "out/results.json").read_text())["rows"]
    assert row["metrics"]["o_auroc"] == 1.0
    assert row["found"] == 1.0
    assert main(["evaluate", str(tmp_path / "parts"), "--classes", "lit", "--out", str(tmp_path / "out")]) == 2
    assert "'lit'" in capsys.readouterr().err
