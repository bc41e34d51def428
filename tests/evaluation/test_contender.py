from __future__ import annotations

from pathlib import Path

import pytest

from dusnet.config import GuideSettings, Settings, load_settings
from dusnet.detectors import DETECTORS
from dusnet.evaluation.contender import Contender
from dusnet.evaluation.run import evaluate
from dusnet.evaluation.setup import Evaluation, RowKey
from dusnet.evaluation.store import fingerprint


def mark(dataset, detector, settings):
    setup = Evaluation(dataset, {detector: Contender(detector, detector, settings)}, Path("out"))
    return fingerprint(setup, RowKey(detector, "tray", 0, ("tray",)))


@pytest.mark.parametrize("detector", DETECTORS)
def test_only_sections_that_a_detector_reads_mark_its_rows(dataset, detector):
    reads = DETECTORS[detector].settings_sections
    assert reads <= set(Settings.model_fields)
    changes = {
        "registration": "registration.accept_residual=0.011",
        "scoring": "scoring.smoothing=7",
        "memory": "memory.points=5000",
        "guide": "guide.centers=2000",
        "warp": "warp.degree=2",
        "offset": "offset.clouds=3",
        "training": "training.down.steps=3",
    }
    before = mark(dataset, detector, Settings())
    changed = {name for name, text in changes.items() if mark(dataset, detector, load_settings(None, [text])) != before}
    assert changed == reads & set(changes)


def test_what_a_detector_does_not_read_cannot_reach_it():
    settings = load_settings(None, ["guide.centers=2000", "scoring.smoothing=7"])
    narrowed = Contender("warp", "warp", settings).narrowed().settings
    assert narrowed.guide == GuideSettings()
    assert narrowed.scoring.smoothing == 7


def test_other_weights_are_another_row(dataset, tmp_path):
    weights = tmp_path / "guided.safetensors"
    settings = load_settings(None, [f"guide.weights={weights}"])
    marks = {mark(dataset, "dusnet", settings)}
    for content in (b"first", b"second"):
        weights.write_bytes(content)
        marks.add(mark(dataset, "dusnet", settings))
    assert len(marks) == 3
    paper = settings.model_copy(update={"guide": settings.guide.model_copy(update={"enabled": False})})
    before = mark(dataset, "dusnet", paper)
    weights.write_bytes(b"third")
    assert mark(dataset, "dusnet", paper) == before, "the paper's networks bring no weights"


def test_changing_the_networks_keeps_the_rows_of_the_peers(dataset, tmp_path):
    out = tmp_path / "out"
    options = {"classes": ["lid"], "out": out, "calibrate": False}
    evaluate(dataset, ["template"], settings=Settings(), **options)
    (row,) = (out / "rows").iterdir()
    written = row.stat().st_mtime_ns
    evaluate(dataset, ["template"], settings=load_settings(None, ["guide.centers=2000"]), **options)
    assert row.stat().st_mtime_ns == written
    evaluate(dataset, ["template"], settings=load_settings(None, ["scoring.smoothing=7"]), **options)
    assert row.stat().st_mtime_ns != written
