from __future__ import annotations

from pathlib import Path

import pytest
from small_benchmark import evaluate

from dusnet.detectors import DETECTORS, sections_read
from dusnet.detectors.dusnet.settings import GuideSettings
from dusnet.detectors.settings import Settings, load_settings
from dusnet.evaluation.contender import Contender, contenders_of
from dusnet.evaluation.setup import Evaluation, RowKey
from dusnet.evaluation.store import fingerprint


def mark(dataset, detector, settings):
    setup = Evaluation(dataset, {detector: Contender(detector, detector, settings)}, Path("out"))
    return fingerprint(setup, RowKey(detector, "tray", 0, ("tray",)))


@pytest.mark.parametrize("detector", DETECTORS)
def test_only_sections_that_a_detector_reads_mark_its_rows(dataset, detector):
    reads = sections_read(detector)
    assert {one.partition(".")[0] for one in reads} <= set(Settings.model_fields)
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
    assert changed == {name for name, text in changes.items() if reads & {name, text.partition("=")[0]}}


def test_what_a_detector_does_not_read_cannot_reach_it():
    settings = load_settings(None, ["guide.centers=2000", "scoring.smoothing=7"])
    narrowed = contenders_of([Contender("warp", "warp", settings)])["warp"].settings
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
    before = mark(dataset, "dusnet_paper", settings)
    weights.write_bytes(b"third")
    assert mark(dataset, "dusnet_paper", settings) == before, "the paper's networks bring no weights"


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
