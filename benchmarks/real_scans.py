"""The main job on real scans: train on partial copies of a scan, score other partial copies with and without a dent.

A real scan has holes, uneven density, noise and no labels. Each copy keeps what lies on one side of a random plane,
loses points at random, gets noise of a tenth of its point spacing, and is moved a little. Half of the copies that are
scored get a dent. For every scan the table shows the object scores, and PNG pictures are written to look at. What a
copy lacks looks like missing material, so models are trained three times: as they come, without the gap term, and
without the terms for gap and slits.

Example:
    python benchmarks/real_scans.py scans/*.ply --out real_scans
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from sklearn.metrics import average_precision_score, roc_auc_score

from dusnet.cloud import Frame, PointCloud
from dusnet.detectors.settings import load_settings
from dusnet.display.view import view
from dusnet.fitting import Training, train
from dusnet.io import read_cloud, write_cloud
from dusnet.model import load
from dusnet.progress import for_terminal
from dusnet.registration import estimate_normals

POINTS = 12_000
VARIANTS = {
    "default": (),
    "no gap": ("scoring.gap=0",),
    "no gap, no slits": ("scoring.gap=0", "guide.slits=0"),
}
DENT = 0.06
DENT_RADIUS = 0.15


def partial_copy(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    radius = Frame.of(points).scale
    side = rng.normal(size=3)
    height = points @ (side / np.linalg.norm(side))
    points = points[height > np.quantile(height, rng.uniform(0.0, 0.15))]
    points = points[rng.random(len(points)) < rng.uniform(0.8, 1.0)]
    spacing = np.median(cKDTree(points).query(points, k=2)[0][:, 1])
    points = points + rng.normal(scale=0.1 * spacing, size=points.shape)
    center = points.mean(axis=0)
    turn = Rotation.from_rotvec(np.radians(5) * rng.normal(size=3) / np.sqrt(3)).as_matrix()
    return (points - center) @ turn.T + center + 0.02 * radius * rng.normal(size=3)


def dented(points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    radius = Frame.of(points).scale
    middle = points[rng.integers(len(points))]
    distance = np.linalg.norm(points - middle, axis=1) / (DENT_RADIUS * radius)
    inside = distance < 1
    direction = estimate_normals(points)[inside].mean(axis=0)
    depth = DENT * radius * np.cos(0.5 * np.pi * distance[inside]) ** 2
    moved = points.copy()
    moved[inside] += depth[:, None] * direction / np.linalg.norm(direction)
    return moved, inside


def thinned(cloud: PointCloud, rng: np.random.Generator) -> np.ndarray:
    points = cloud.points
    return points if len(points) <= POINTS else points[rng.choice(len(points), POINTS, replace=False)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("real_scans"))
    parser.add_argument("--config", default="cpu-small")
    parser.add_argument("--tests", type=int, default=3, help="copies scored with a dent, and as many without")
    chosen = parser.parse_args()
    progress = for_terminal()
    print("| scan | scored | good | dented | P-AUROC | P-AP |\n|---|---:|---|---|---:|---:|")
    for path in chosen.scans:
        rng = np.random.default_rng(0)
        points = thinned(read_cloud(path, as_vertices=True), rng)
        folder = chosen.out / path.stem
        clouds = [PointCloud(partial_copy(points, rng)) for _ in range(4)]
        tests = []
        for index in range(2 * chosen.tests):
            bad = bool(index % 2)
            copy = partial_copy(points, rng)
            moved, truth = dented(copy, rng) if bad else (copy, np.zeros(len(copy), dtype=bool))
            stem = f"{'dented' if bad else 'good'}{index // 2}"
            scan = PointCloud(moved, labels=truth, path=folder / f"{stem}.ply")
            write_cloud(folder / f"{stem}.ply", replace(scan, labels=None))
            tests.append((stem, bad, scan))
        for name, overrides in VARIANTS.items():
            model = chosen.out / f"{path.stem}-{name.replace(', ', '-').replace(' ', '-')}.safetensors"
            training = Training(load_settings(chosen.config, overrides), progress=progress)
            train(clouds, training, name=path.stem, out=model)
            print(f"| {path.stem} | {name} | {row(model, tests, folder / name.replace(' ', '-'))} |", flush=True)


def row(model: Path, tests: list[tuple[str, bool, PointCloud]], folder: Path) -> str:
    """Score all copies, draw two of them, and return the cells of the table."""
    loaded = load(model)
    scores: dict[bool, list[float]] = {False: [], True: []}
    values, truths = [], []
    for stem, bad, scan in tests:
        found = loaded.score(scan, stem=stem)
        found.write(folder)
        scores[bad].append(found.object_score)
        if bad:
            values.append(found.point_scores)
            truths.append(scan.labels)
    view([folder / "good0.scored.ply", folder / "dented0.scored.ply"], png=folder / "picture.png")
    everything, truth = np.concatenate(values), np.concatenate(truths)
    cells = [" ".join(f"{score:.3f}" for score in scores[bad]) for bad in (False, True)]
    areas = roc_auc_score(truth, everything), average_precision_score(truth, everything)
    return " | ".join([*cells, *(f"{area:.3f}" for area in areas)])


if __name__ == "__main__":
    main()
