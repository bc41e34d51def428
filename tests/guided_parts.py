"""Small guided networks and a bumpy ellipsoid beside its good surface, for the tests of the default detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from warped_parts import surface, tensor

from dusnet.config import UpNetSettings, WarpSettings
from dusnet.detectors.dusnet.down_net import GuidedDownNet
from dusnet.detectors.dusnet.settings import GuideSettings
from dusnet.detectors.dusnet.weights import FORMAT
from dusnet.detectors.settings import Settings
from dusnet.io.tensors import write_tensors
from dusnet.nn.up_net import UpNet
from dusnet.registration.good_surface import GoodSurface, ScanComparison
from dusnet.registration.tolerance import ToleranceField
from dusnet.registration.warp import TangentPlanes

GUIDE = {
    "patch_width": 16,
    "width": 16,
    "layers": 1,
    "heads": 2,
    "neighbors": 12,
    "stride": 2,
    "places": 24,
    "fourier_octaves": 1,
}
UP = {"gamma": 2, "neighbors": 4, "widths": (16, 16)}


def small_guide(**changes: object) -> GuideSettings:
    """A guided Down-Net of some thousand weights."""
    return GuideSettings.model_validate(GUIDE | changes)


def small_course(steps: int = 6, **changes: object) -> Settings:
    """Settings with which a course takes a moment; `changes` are sections."""
    stage = {"steps": steps, "batch": 2, "learning_rate": 0.01}
    tree: dict[str, object] = {
        "guide": GUIDE,
        "up_net": UP,
        "grouping": {"groups": 32},
        "warp": {"degree": 1},
        "training": {"down": stage, "up": stage, "checkpoint_every": 2},
    }
    return Settings.model_validate(tree | changes)


def networks(seed: int = 0, *, shake: bool = False, **changes: object) -> tuple[GuidedDownNet, UpNet]:
    """New networks; `shake` gives the zero-initialised head of the first one random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        down = GuidedDownNet(small_guide(**changes)).eval()
        up = UpNet(UpNetSettings.model_validate(UP), spacing=1.0).eval()
        if shake:
            torch.nn.init.normal_(down.head[-1].weight)
            torch.nn.init.normal_(down.head[-1].bias)
    return down, up


def write_weights(path: Path, down: GuidedDownNet, up: UpNet, **changes: object) -> Path:
    """The weights file of two networks that were made with `changes` to `small_course`."""
    tensors = {f"down.{name}": value for name, value in down.state_dict().items()}
    tensors |= {f"up.{name}": value for name, value in up.state_dict().items()}
    made = small_course(**changes).model_dump(mode="json")
    write_tensors(path, tensors, {"format": FORMAT, "course": {"settings": made}})
    return path


def bumpy_scan(count: int = 600, depth: float = 0.06) -> NDArray[np.float64]:
    """A noisy scan of the ellipsoid with a dent, (count, 3)."""
    points, normals = surface(11, count)
    away = np.linalg.norm(points - points[0], axis=1) / 0.3
    points = points - normals * (depth * np.clip(1 - away**2, 0, None))[:, None]
    return points + np.random.default_rng(5).normal(scale=0.002, size=points.shape)


def good_surface(count: int = 500, *, clouds: int = 1) -> GoodSurface:
    """The ellipsoid's surface with normals of random signs, and a tolerance that differs from place to place."""
    points, normals = surface(12, count * clouds)
    rng = np.random.default_rng(6)
    normals *= rng.choice([-1.0, 1.0], size=(len(points), 1))
    values = tensor(rng.uniform(0.001, 0.02, size=len(points)))
    planes = TangentPlanes(tensor(points), tensor(normals))
    tolerance = ToleranceField(tensor(points), values, 0.004)
    return GoodSurface(planes, (count,) * clouds, tolerance, WarpSettings(degree=0), seed=0)


def moved(
    good: GoodSurface, found: ScanComparison, rotation: Tensor, shift: Tensor
) -> tuple[GoodSurface, ScanComparison]:
    """Surface and scan after one rigid motion of both, without a warp."""
    assert good.tolerance is not None
    planes = TangentPlanes(good.points @ rotation.T + shift, good.planes.normals @ rotation.T)
    tolerance = ToleranceField(planes.points, good.tolerance.values, good.tolerance.level)
    there = GoodSurface(planes, good.sizes, tolerance, good.settings, good.seed)
    return there, there.compare(found.points @ rotation.T + shift)
