"""`dusnet train` with scans that do not belong together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_parts import QUICK_WORDS, Run, block, write_ascii_ply


@pytest.mark.parametrize(("odd", "factor"), [((1,), 1 / 25.4), ((2, 3), 0.001)])
def test_scans_in_two_units_are_refused_in_one_sentence(
    run: Run, tmp_path: Path, odd: tuple[int, ...], factor: float
) -> None:
    generator = np.random.default_rng(0)
    for number in range(4):
        points = block(generator, 400) * (factor if number in odd else 1.0)
        write_ascii_ply(tmp_path / "good" / f"{number}.ply", points)
    target = tmp_path / "m.safetensors"
    result = run("train", tmp_path / "good", "--out", target, "--detector", "nearest", "--quiet", *QUICK_WORDS)
    assert result.code == 2
    assert all(f"{number}.ply" in result.sentence for number in odd)
    assert "look like" in result.sentence
    assert not target.exists()
    told = run("check", tmp_path / "good", "--quiet")
    assert told.code == 0
    assert "training refuses them together" in told.out
