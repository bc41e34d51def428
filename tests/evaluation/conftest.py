from __future__ import annotations

from pathlib import Path

import pytest
from small_benchmark import Factory, write_class

from dusnet.data import Dataset, open_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    for number, name in enumerate(("lid", "tray")):
        write_class(tmp_path / "parts" / name, number)
    return open_dataset(tmp_path / "parts")


@pytest.fixture
def factory() -> Factory:
    return Factory()
