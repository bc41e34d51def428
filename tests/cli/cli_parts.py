"""Small parts, tiny settings and answers of the command, for the tests of the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

QUICK = ("registration.points=500", "registration.method=icp", "calibration.replicas=1")
TINY = (
    "detector=dusnet_paper",
    "training.down.steps=4",
    "training.up.steps=2",
    "training.points=256",
    "grouping.groups=32",
    "grouping.neighbors=12",
    "down_net.layers=1",
    "down_net.width=16",
    "down_net.heads=2",
    *QUICK,
)
CAPABLE = (
    "training.down.steps=200",
    "training.down.learning_rate=0.01",
    "training.down.batch=4",
    "training.points=1000",
    "grouping.groups=64",
)
"""Beside `TINY`: three seconds of training, after which a dent is found."""
QUICK_WORDS = [word for setting in QUICK for word in ("--set", setting)]
"""For detectors without networks."""
TINY_WORDS = [word for setting in TINY for word in ("--set", setting)]
CAPABLE_WORDS = [*TINY_WORDS, *(word for setting in CAPABLE for word in ("--set", setting))]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line that a user's mistake is answered with."""
        lines = self.err.splitlines()
        assert len(lines) == 1, f"expected one line on standard error, got: {self.err!r}"
        assert lines[0].startswith("dusnet: ")
        assert "Traceback" not in self.err
        return lines[0]


Run = Callable[..., Result]


def block(generator: np.random.Generator, count: int = 1500, dent: float = 0.0) -> np.ndarray:
    """Points on the surface of a 60 x 40 x 20 block with a step, so that no two poses of it look alike.

    Args:
        generator: draws the points.
        count: how many.
        dent: depth of a round dent in the top face.
    """
    size = np.array([60.0, 40.0, 20.0])
    face = generator.choice(6, count, p=[0.11, 0.11, 0.17, 0.17, 0.22, 0.22])
    points = generator.uniform(0.0, 1.0, (count, 3)) * size
    points[np.arange(count), face // 2] = np.where(face % 2, size[face // 2], 0.0)
    top = (face == 5) & (points[:, 0] > 45)
    points[top, 2] -= 6.0
    away = np.hypot(points[:, 0] - 20, points[:, 1] - 20)
    points[:, 2] -= np.where(face == 5, dent * np.clip(1 - away / 10, 0, 1), 0.0)
    return points


def write_ascii_ply(path: Path, points: np.ndarray) -> Path:
    """A PLY file written without the package's own writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = f"ply\nformat ascii 1.0\nelement vertex {len(points)}\n" + "".join(
        f"property double {axis}\n" for axis in "xyz"
    )
    rows = "".join(f"{x!r} {y!r} {z!r}\n" for x, y, z in points.tolist())
    path.write_text(f"{header}end_header\n{rows}")
    return path


def everything_in(folder: Path) -> set[str]:
    """Names of all files below a folder, hidden ones included; empty when it does not exist."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} if folder.exists() else set()
