"""The command in this process, and what it runs on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_parts import QUICK_WORDS, Result, Run, block, write_ascii_ply

from dusnet.cli import main


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `dusnet` with words; a bug leaves it as the exception that it is."""

    def _run(*words: object) -> Result:
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return _run


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder dataset of one part: normal/ with three scans, test/good and test/dent with two each."""
    root = tmp_path_factory.mktemp("parts") / "block"
    generator = np.random.default_rng(3)
    for index in range(3):
        write_ascii_ply(root / "normal" / f"n{index}.ply", block(generator))
    for index in range(2):
        write_ascii_ply(root / "test" / "good" / f"good{index}.ply", block(generator))
        write_ascii_ply(root / "test" / "dent" / f"dent{index}.ply", block(generator, dent=8.0))
    return root


@pytest.fixture(scope="session")
def model(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the part by the reference detector, which needs no training steps."""
    target = tmp_path_factory.mktemp("model") / "block.safetensors"
    assert main(["train", str(parts), "--out", str(target), "--detector", "nearest", "--quiet", *QUICK_WORDS]) == 0
    return target
