"""Tiny archives with the exact names of the real ones."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

POINTS = 5


class TinyFiles:
    """Writes scans whose coordinates tell which file they are, so that mixed-up files show."""

    @staticmethod
    def points(number: int, count: int = POINTS) -> np.ndarray:
        grid = np.arange(count, dtype=np.float64)
        return np.stack([np.full(count, number * 0.25), grid, grid**2 / 8], axis=1)

    def scan(self, path: Path, number: int = 0, count: int = POINTS) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = "\n".join(f"{x:.6f} {y:.6f} {z:.6f}" for x, y, z in self.points(number, count))
        if path.suffix == ".ply":
            axes = "".join(f"property float {axis}\n" for axis in "xyz")
            header = f"ply\nformat ascii 1.0\nelement vertex {count}\n{axes}end_header\n"
        else:
            header = (
                "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
                f"WIDTH {count}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {count}\nDATA ascii\n"
            )
        path.write_text(f"{header}{rows}\n")
        return path

    def truth(
        self,
        path: Path,
        number: int = 0,
        count: int = POINTS,
        *,
        delimiter: str = " ",
        label: str = "{}",
        order: Sequence[int] | None = None,
    ) -> Path:
        """Ground truth that labels the last two points, optionally with its rows in another order."""
        path.parent.mkdir(parents=True, exist_ok=True)
        points = self.points(number, count)
        rows = []
        for i in range(count) if order is None else order:
            words = [*(f"{value:.6f}" for value in points[i]), label.format(int(i >= count - 2))]
            rows.append(delimiter.join(words))
        path.write_text("\n".join(rows) + "\n")
        return path

    def labelled_ply(self, path: Path, labels: Sequence[int], name: str = "label") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        axes = "".join(f"property float {axis}\n" for axis in "xyz")
        rows = "\n".join(
            f"{x} {y} {z} {label}" for (x, y, z), label in zip(self.points(0, len(labels)), labels, strict=True)
        )
        path.write_text(
            f"ply\nformat ascii 1.0\nelement vertex {len(labels)}\n{axes}property uchar {name}\nend_header\n{rows}\n"
        )
        return path

    def archive(self, root: Path, rows: Sequence[dict[str, str]], *, delimiter: str) -> Path:
        """Every file of a listing with the columns of the shared layout tables."""
        for number, row in enumerate(rows):
            self.scan(root / row["file"], number)
            if row["ground_truth"]:
                label = "{}.000000" if number % 2 else "{}"
                self.truth(root / row["ground_truth"], number, delimiter=delimiter, label=label)
        return root


@pytest.fixture(scope="session")
def tiny() -> TinyFiles:
    return TinyFiles()


def read_listing(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="session")
def shapenet_rows(shared_data: Path) -> list[dict[str, str]]:
    return read_listing(shared_data / "layouts" / "anomaly_shapenet.csv")


@pytest.fixture(scope="session")
def real_rows(shared_data: Path) -> list[dict[str, str]]:
    return read_listing(shared_data / "layouts" / "real3d_ad.csv")


@pytest.fixture(scope="session")
def shapenet_root(shapenet_rows, tiny, tmp_path_factory) -> Path:
    """All of Anomaly-ShapeNet, as `dataset/pcd/...`; tests must not change it."""
    root = tmp_path_factory.mktemp("shapenet")
    tiny.archive(root / "dataset" / "pcd", shapenet_rows, delimiter=",")
    return root


@pytest.fixture(scope="session")
def real_root(real_rows, tiny, tmp_path_factory) -> Path:
    """All of Real3D-AD, as `Real3D-AD-PCD/...`; tests must not change it."""
    root = tmp_path_factory.mktemp("real")
    tiny.archive(root / "Real3D-AD-PCD", real_rows, delimiter=" ")
    return root


@pytest.fixture
def small_shapenet(tiny, tmp_path) -> Path:
    """Two classes of Anomaly-ShapeNet with the traps of the real archive; returns the `pcd` folder."""
    pcd = tmp_path / "pcd"
    for i in range(2):
        tiny.scan(pcd / "vase9" / "train" / f"vase9_template{i}.pcd", i)
    for number, stem in enumerate(["positive0", "positive10", "positive2", "crak4", "bulge0", "bending1"], start=10):
        tiny.scan(pcd / "vase9" / "test" / f"vase9_{stem}.pcd", number)
    for number, stem in enumerate(["crak4", "bulge0", "bending1"], start=13):
        tiny.truth(pcd / "vase9" / "GT" / f"vase9_{stem}.txt", number, delimiter=",")
    tiny.scan(pcd / "desk0" / "train" / "desk0_template0.pcd")
    tiny.scan(pcd / "desk0" / "test" / "desk0_positive0.pcd", 20)
    tiny.scan(pcd / "desk0" / "test" / "desk0_hole1.pcd", 21)
    tiny.truth(pcd / "desk0" / "GT" / "desk_hole1.txt", 21, delimiter=",")
    (pcd / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (pcd / "vase9" / "test" / "._vase9_bulge0.pcd").write_bytes(b"\0\5\26\7")
    return pcd


@pytest.fixture
def small_real(tiny, tmp_path) -> Path:
    """One class of Real3D-AD with the traps of the real archive; returns the folder of classes."""
    root = tmp_path / "Real3D-AD-PCD"
    for number in (105, 41):
        tiny.scan(root / "starfish" / "train" / f"{number}_template.pcd", number)
    names = ["2_good", "2_good_cut", "3_good_copy", "433_bulge", "433_bulge_cut", "8_bulges", "8_sinks_cut"]
    names += ["9_sink_copy", "10_hybrid", "temp", "11_bulge_temp"]
    for number, stem in enumerate(names):
        tiny.scan(root / "starfish" / "test" / f"{stem}.pcd", number)
        if "good" not in stem and "temp" not in stem:
            tiny.truth(root / "starfish" / "gt" / f"{stem}.txt", number, label="{}.0000")
    (root / "starfish" / "gt" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    return root
