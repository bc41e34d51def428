"""The two implementations behind the public ops."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dusnet import ops
from dusnet.ops.schemas import PLAIN_TORCH


@pytest.fixture(params=["registered", "plain"])
def implementation(request: pytest.FixtureRequest) -> Any:
    """The ops as the dispatcher runs them (the binary where there is one), and the plain-torch functions."""
    if request.param == "plain":
        return SimpleNamespace(**PLAIN_TORCH)
    return torch.ops.dusnet


@pytest.fixture
def native() -> Any:
    """The compiled ops; tests that compare with them skip where there are none."""
    status = ops.status()
    if status.backend == "python":
        pytest.skip(f"no compiled ops to compare with: {status.reason}")
    return torch.ops.dusnet
