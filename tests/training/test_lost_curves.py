"""Loss curves that are removed before the model is written: it is said, and no other curves are taken for them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dusnet.cloud import PointCloud
from dusnet.detectors import load_model
from dusnet.detectors.calibration import Calibration, GoodScores
from dusnet.detectors.settings import Settings
from dusnet.fitting import Training, train, train_together
from dusnet.progress import Silent

SETTINGS: dict[str, Any] = {
    "detector": "cras",
    "registration": {"method": "none"},
    "features": {"points": 200, "places": 32, "replicas": 0},
    "cras": {"epochs": 1, "batch": 2},
}


class Heard(Silent):
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def log(self, message: str) -> None:
        self.messages.append(message)


def egg(seed: int) -> PointCloud:
    direction = np.random.default_rng(seed).normal(size=(400, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    x, y, _ = direction.T
    return PointCloud(40 * (1 + 0.25 * x + 0.15 * x * y)[:, None] * direction * [1.0, 0.8, 0.6])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Calibration takes no time, and folders in this list are removed meanwhile."""
    removed: list[Path] = []

    def calibrated(*given: object, **more: object) -> Calibration:
        del given, more
        for folder in removed:
            shutil.rmtree(folder, ignore_errors=True)
        return Calibration(left_out=GoodScores((0.1, 0.2), (0.3, 0.4)), source="two good scans")

    monkeypatch.setattr("dusnet.fitting.calibrate", calibrated)
    return removed


def trained(model: Path, *, together: bool = False, detector: str = "cras") -> list[str]:
    heard, settings = Heard(), Settings.model_validate(SETTINGS | {"detector": detector})
    scans: Sequence[PointCloud] = [egg(0), egg(1)]
    if together:
        train_together({"egg": scans}, Training(settings, progress=heard), out=model)
    else:
        train(scans, Training(settings, progress=heard), name="egg", out=model)
    load_model(model)
    return heard.messages


@pytest.mark.parametrize("together", [False, True])
def test_curves_that_are_removed_after_training_are_missed(quick: list[Path], tmp_path: Path, together: bool) -> None:
    model = tmp_path / "egg.safetensors"
    curves = tmp_path / "egg.safetensors.curves"
    assert not [one for one in trained(model, together=together) if "curves" in one]
    assert list(curves.glob("*.jsonl"))
    quick.append(tmp_path / "egg.safetensors.training")
    said = [one for one in trained(model, together=together) if "curves" in one]
    assert said == [f"{quick[0]} was removed meanwhile; {model} is whole, but its loss curves are lost."]
    assert not curves.exists(), "those of the model before it are not its own"


def test_a_detector_without_networks_has_no_curves_to_lose(quick: list[Path], tmp_path: Path) -> None:
    quick.append(tmp_path / "egg.safetensors.training")
    assert not [one for one in trained(tmp_path / "egg.safetensors", detector="nearest") if "curves" in one]
