"""Rows of detectors that are none of this package's: as good as the code that they were computed with."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from small_benchmark import evaluate

from dusnet.detectors import create as known
from dusnet.detectors.base import Scores
from dusnet.detectors.settings import Settings
from dusnet.evaluation.outside import code_mark, is_outside

MINE = """
import numpy as np
from dusnet.detectors.base import Scores
from my_parts import LEVEL

class Mine:
    fits_in_seconds = False
    calibration = None
    def __init__(self, name, settings, seed=0, device="cpu"):
        self.name, self.settings, self.seed, self.log = name, settings, seed, []
    def fit(self, clouds, *, progress=None, workdir=None, resume=False):
        self.log.append(len(clouds))
    def save(self, path):
        path.write_bytes(b"x")
    def score(self, cloud, *, explain=True):
        return Scores(np.full(len(cloud), LEVEL, np.float32), {score})
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], ModuleType]:
    """Writes a detector and what it imports, and imports it as a new process would."""
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def write(score: str = "1.0", level: str = "0.5") -> ModuleType:
        (folder / "my_detector.py").write_text(MINE.replace("{score}", score))
        (folder / "my_parts.py").write_text(f"LEVEL = {level}\n")
        for name in ("my_detector", "my_parts"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        try:
            return importlib.import_module("my_detector")
        finally:
            sys.dont_write_bytecode = before

    return write


def scores_of(dataset: Any, out: Path, create: Callable[..., Any]) -> tuple[float, float]:
    """The first object score, and the time that its scoring took: a row from disk has the old one."""
    options = {"settings": Settings(), "out": out, "classes": ["lid"], "calibrate": False}
    (row,) = evaluate(dataset, ["mine"], create=create, **options)
    return row.scans[0].object_score, row.scans[0].seconds


def test_rows_are_kept_as_long_as_the_code_is_the_same(dataset, tmp_path, load):
    first = scores_of(dataset, tmp_path / "out", load().Mine)
    assert scores_of(dataset, tmp_path / "out", load().Mine) == first


def test_rows_of_changed_code_are_computed_again(dataset, tmp_path, load):
    assert scores_of(dataset, tmp_path / "out", load().Mine)[0] == 1.0
    assert scores_of(dataset, tmp_path / "out", load(score="2.0").Mine)[0] == 2.0


def test_so_are_those_of_code_that_the_detector_imports(dataset, tmp_path, load):
    first = scores_of(dataset, tmp_path / "out", load().Mine)
    assert scores_of(dataset, tmp_path / "out", load(level="0.75").Mine)[1] != first[1]


class Constant:
    """Scores everything alike."""

    fits_in_seconds = False
    calibration = None

    def __init__(self, score: float) -> None:
        self.name, self.settings, self.value = "mine", Settings(), score

    def fit(self, clouds: Any, **_: Any) -> None:
        del clouds

    def save(self, path: Path) -> None:
        path.write_bytes(b"x")

    def score(self, cloud: Any, *, explain: bool = True) -> Scores:
        del explain
        return Scores(np.ones(len(cloud), np.float32), self.value)


def test_what_a_detector_was_made_with_counts(dataset, tmp_path):
    for score in (1.0, 2.0):

        def create(name: str, settings: Settings, *, seed: int, device: str, value: float = score) -> Constant:
            del name, settings, seed, device
            return Constant(value)

        assert scores_of(dataset, tmp_path / "out", create)[0] == score


def classes(level: float) -> type:
    class Local(Constant):
        def score(self, cloud: Any, *, explain: bool = True) -> Scores:
            del explain
            return Scores(np.ones(len(cloud), np.float32), level)

    return Local


def test_what_a_method_keeps_hold_of_counts():
    marks = [code_mark(partial(kind, 1.0), kind(1.0)) for kind in (classes(1.0), classes(1.0), classes(2.0))]
    assert marks[0] == marks[1] != marks[2]
    assert None not in marks


def test_code_without_a_source_is_never_the_same():
    space: dict[str, Any] = {"__name__": "typed_at_a_prompt"}
    exec("class Typed:\n    pass", space)  # noqa: S102
    assert code_mark(space["Typed"], space["Typed"]()) is None


def test_detectors_of_the_package_are_told_by_its_version():
    assert not is_outside(known)
    assert not is_outside(type(known("nearest", Settings())))
    assert is_outside(Constant)
