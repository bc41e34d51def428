"""Small scans of one part, good and dented, and settings with which a detector learns it in a moment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.detectors.settings import Settings

SIZE_MM = 40.0
DENT = np.array([0.1, -0.3, 1.0])


def part(seed: int, *, points: int = 1200, dent: float = 0.0) -> PointCloud:
    """A scan of a lopsided egg of about 40 mm radius, which no turn maps to itself.

    Args:
        seed: of the scanned places and of noise of 0.1 mm.
        points: number of points.
        dent: depth in mm of a dent of 12 mm radius.
    """
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(points, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    x, y, z = direction.T
    radius = 1 + 0.25 * x + 0.15 * x * y + 0.1 * y * z + 0.08 * np.sin(4 * z)
    surface = SIZE_MM * radius[:, None] * direction * [1.0, 0.8, 0.6]
    middle = DENT / np.linalg.norm(DENT)
    away = np.linalg.norm(direction - middle, axis=1) / 0.4
    surface -= direction * (dent * np.clip(1 - away**2, 0, None) ** 2)[:, None]
    return PointCloud(surface + rng.normal(scale=0.1, size=surface.shape), labels=(away < 0.7) & (dent != 0))


def tiny(detector: str = "dusnet_paper", **changes: object) -> Settings:
    """Settings with which training on the part itself takes a second; `changes` are sections."""
    stage = {"steps": 20, "batch": 2}
    tree: dict[str, object] = {
        "detector": detector,
        "registration": {"method": "none"},
        "grouping": {"groups": 32, "neighbors": 16, "stride": 2},
        "down_net": {"patch_widths": (16, 16, 16), "width": 16, "layers": 0, "heads": 2, "fourier_octaves": 2},
        "up_net": {"gamma": 2, "neighbors": 4, "widths": (16, 16)},
        "training": {"down": stage, "up": stage, "points": 600, "rotation_deg": 1.0},
        "scoring": {"smoothing": 8},
        "offset": {"patch_widths": (16, 16, 16), "width": 16, "heads": 2, "clouds": 2, "defects": 2, "batch": 2},
        "sdf": {"width": 64, "steps": 20, "batch": 64, "surface": 500, "box": 500, "volume": 150},
        "cossad": {"points": 1000, "places": 200, "radius": 0.2},
        "features": {"points": 1000, "places": 128, "replicas": 0, "smoothing": 8},
        "cras": {"epochs": 3, "batch": 4, "places": 64},
        "pbas": {"epochs": 3, "batch": 4, "places": 64},
        "crr": {"steps": 10, "batch": 4, "places": 64, "width": 16, "heads": 2, "layers": 1, "defects": 2},
    }
    if detector == "dusnet":  # the weights that the package brings have an Up-Net of their own
        del tree["up_net"]
    return Settings.model_validate(tree | changes)


def motion(degrees: float, shift: tuple[float, float, float]) -> NDArray[np.float64]:
    """A turn about an oblique axis and a shift, (4, 4)."""
    from scipy.spatial.transform import Rotation

    matrix = np.eye(4)
    axis = np.array([1.0, 2.0, 3.0]) / 14**0.5
    matrix[:3, :3] = Rotation.from_rotvec(np.deg2rad(degrees) * axis).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def capable() -> Settings:
    """Settings with which three seconds of training are enough to find a dent of 6 mm."""
    stage = {"steps": 400, "batch": 2, "learning_rate": 0.01}
    return tiny(
        grouping={"groups": 64, "neighbors": 16, "stride": 2},
        down_net={"patch_widths": (16, 16, 16), "width": 32, "layers": 0, "heads": 2, "fourier_octaves": 3},
        training={"down": stage, "up": stage | {"steps": 30}, "points": 600, "rotation_deg": 1.0},
    )
