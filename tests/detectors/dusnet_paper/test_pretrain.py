"""Pre-training on shapes of all kinds: the weights do not know the scale of a shape, and `training.init` takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_training import Killed, Watch

from dusnet.cloud import PointCloud
from dusnet.detectors import create
from dusnet.detectors.dusnet_paper.pretraining import pretrain
from dusnet.detectors.settings import Settings
from dusnet.errors import BadInput, BadModel
from dusnet.io.tensors import read_tensors
from dusnet.progress import Silent


def shapes(scale: float = 1.0, shift: float = 0.0) -> list[NDArray[np.float64]]:
    """A sphere, a box and a rod."""
    rng = np.random.default_rng(0)
    sphere = rng.normal(size=(150, 3))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    box = rng.random((200, 3))
    box[np.arange(200), rng.integers(0, 3, 200)] = rng.integers(0, 2, 200)
    return [scale * points + shift for points in (sphere, box, sphere * [0.1, 0.1, 1.0])]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return read_tensors(path)[0]


def test_says_how_many_shapes_and_writes_both_networks(settings: Settings, tmp_path: Path) -> None:
    out = tmp_path / "weights.safetensors"
    too_small = np.zeros((16, 3))
    assert pretrain([*shapes(), too_small], settings, out, progress=Silent()) == 3
    tensors, metadata = read_tensors(out)
    assert {name.split(".")[1] for name in tensors} == {"down", "up"}
    assert metadata["shapes"] == 3


def test_scale_and_place_of_a_shape_do_not_matter(settings: Settings, tmp_path: Path) -> None:
    """Powers of two and whole shifts are exact, so the clouds in their frames are the same to the bit."""
    for name, scale, shift in (("one", 1.0, 0.0), ("other", 1024.0, 0.0)):
        pretrain(shapes(scale, shift), settings, tmp_path / name, progress=Silent())
    one, other = weights(tmp_path / "one"), weights(tmp_path / "other")
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_weights_are_taken_by_training_init(settings: Settings, tmp_path: Path) -> None:
    out = tmp_path / "weights.safetensors"
    pretrain(shapes(), settings, out, progress=Silent())
    still = {"steps": 0, "batch": 1}
    training = settings.training.model_validate(
        {**settings.training.model_dump(), "down": still, "up": still, "init": out}
    )
    detector = create("dusnet_paper", settings.model_copy(update={"training": training}), seed=5)
    detector.fit([PointCloud(shapes(30.0)[1])])
    detector.save(tmp_path / "model.safetensors")
    model, started = weights(tmp_path / "model.safetensors"), weights(out)
    lengths = {"learned.down.patch_radius", "learned.up.spacing"}
    assert all(torch.equal(model[name], value) for name, value in started.items() if name not in lengths)


def test_shapes_that_are_all_too_small_are_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No shape has more than 16 points"):
        pretrain([np.zeros((16, 3))], settings, tmp_path / "weights", progress=Silent())


def test_resumes_to_the_same_bits_and_refuses_other_shapes(settings: Settings, tmp_path: Path) -> None:
    pretrain(shapes(), settings, tmp_path / "whole", progress=Silent())
    work = tmp_path / "work"
    with pytest.raises(Killed):
        pretrain(shapes(), settings, tmp_path / "parts", workdir=work, progress=Watch(7, "Training up-net"))
    assert not (tmp_path / "parts").exists()
    with pytest.raises(BadModel, match="other scans"):
        pretrain(shapes()[:2], settings, tmp_path / "parts", workdir=work, resume=True, progress=Silent())
    pretrain(shapes(), settings, tmp_path / "parts", workdir=work, resume=True, progress=Silent())
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())
