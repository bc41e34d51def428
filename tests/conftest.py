"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from dusnet.errors import DusnetError

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    """One sentence for the whole run where DUSNET_SIMD or DUSNET_OPS ask for what this machine lacks."""
    try:
        import dusnet.ops  # noqa: F401
    except DusnetError as error:
        pytest.exit(f"No test can run here. {error}", returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real meshes and scans beside the repository; tests that need it skip where it is absent."""
    named = os.environ.get("DUSNET_SHARED_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real meshes and scans at {folder}; set DUSNET_SHARED_DATA to run this test")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)
