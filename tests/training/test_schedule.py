"""Learning rate, devices and fingerprints of a run."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from dusnet.config import StageSettings
from dusnet.errors import BadConfig
from dusnet.training.loop import fingerprint, learning_rate, require_device


class TestLearningRate:
    SETTINGS = StageSettings(steps=110, warmup=10 / 110, learning_rate=2.0)

    def test_a_constant_rate_stays_after_the_warm_up(self):
        settings = self.SETTINGS.model_copy(update={"schedule": "constant"})
        rates = [learning_rate(settings, step) for step in (0, 4, 9, 10, 109)]
        assert rates == pytest.approx([0.2, 1.0, 2.0, 2.0, 2.0])

    @pytest.mark.parametrize(
        ("step", "expected"),
        [
            (0, 0.2),  # a tenth of the way up
            (4, 1.0),
            (9, 2.0),
            (10, 2.0),  # the cosine starts at the top
            (60, 1.0),  # half way down
            (35, 1 + math.cos(math.pi / 4)),
            (109, 1 + math.cos(math.pi * 99 / 100)),
        ],
    )
    def test_worked_points(self, step: int, expected: float) -> None:
        assert learning_rate(self.SETTINGS, step) == pytest.approx(expected, rel=1e-12)

    def test_rises_then_falls_and_is_never_zero_on_a_step_that_is_taken(self) -> None:
        rates = [learning_rate(self.SETTINGS, step) for step in range(110)]
        assert rates[:10] == sorted(rates[:10])
        assert rates[10:] == sorted(rates[10:], reverse=True)
        assert min(rates) > 0
        assert max(rates) == 2.0

    def test_without_warmup_starts_at_the_top(self) -> None:
        assert learning_rate(StageSettings(steps=10, warmup=0, learning_rate=0.5), 0) == 0.5

    def test_a_single_step_has_a_rate(self) -> None:
        assert learning_rate(StageSettings(steps=1, warmup=0.05, learning_rate=0.5), 0) == 0.5


class TestDevice:
    def test_the_cpu_is_always_there(self) -> None:
        assert require_device("cpu") == torch.device("cpu")

    @pytest.mark.parametrize("name", ["banana", "mps", "meta", "cuda:99"])
    def test_a_device_that_is_not_there_is_named(self, name: str) -> None:
        with pytest.raises(BadConfig) as error:
            require_device(name)
        message = str(error.value)
        assert "\n" not in message
        assert ("cuda" if name.startswith("cuda") else name) in message

    @pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
    def test_cuda_asked_for_and_absent(self) -> None:
        with pytest.raises(BadConfig, match="no CUDA device; use --device cpu"):
            require_device("cuda")


class TestFingerprint:
    def test_is_short_and_the_same_for_the_same_parts(self) -> None:
        one = fingerprint({"a": 1, "b": [2.5, None]}, 3)
        assert one == fingerprint({"b": [2.5, None], "a": 1}, 3)
        assert len(one) == 16

    @pytest.mark.parametrize("parts", [({"a": 2}, 3), ({"a": 1}, 4), ({"a": 1},), ({"a": "1"}, 3)])
    def test_changes_with_every_part(self, parts: tuple[object, ...]) -> None:
        assert fingerprint(*parts) != fingerprint({"a": 1}, 3)

    def test_takes_paths(self) -> None:
        assert fingerprint(Path("a")) != fingerprint(Path("b"))
