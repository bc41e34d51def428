"""How exactly scans are compared with a CAD model, what is found of defects, and how long it takes.

Every mesh of a folder is scanned in random poses: good, and with one round bump or dent as high as a multiple of the
tolerance. The truth is the signed distance of the same points in the pose that they were made in.

    python benchmarks/cad_deviation.py MESHES [--points 30000] [--only NAME,NAME] [--scans 1]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dusnet.cad.comparison import CadModel, Tolerance
from dusnet.cad.surface import Floats
from dusnet.cloud import PointCloud
from dusnet.inspection.regions import find_regions
from dusnet.inspection.verdict import Expectations, Status, decide
from dusnet.io import sample_mesh
from dusnet.synthesis.scanner import Scanner, scan
from dusnet.synthesis.surface import LabelledSurface

TOLERANCE = 0.005  # of the bounding radius, as all lengths here
NOISE = 0.001
DEFECT_RADIUS = 0.12
HEIGHTS = (0.0, 1.5, 2.0, 4.0)  # tolerances
VIEWS = ("full", "single")


@dataclass(frozen=True)
class Row:
    """One scan.

    Attributes:
        mesh: its name.
        view: full or single.
        height: of the defect, in tolerances; 0 for a good part.
        status: of the verdict.
        shown: whether ten points or more of the scan truly are out of tolerance on the defect.
        found: whether a region lies on the defect.
        error: of the deviations, (N,) fraction of the radius, absolute values.
        seconds: it took.
        points: of the scan.
    """

    mesh: str
    view: str
    height: float
    status: Status
    shown: bool
    found: bool
    error: Floats
    seconds: float
    points: int


def with_defect(surface: LabelledSurface, middle: int, height: float, radius: float) -> LabelledSurface:
    """The surface with a round bump (dent where `height` is negative) about one of its points."""
    facing = surface.normals @ surface.normals[middle] > 0.3
    away = np.linalg.norm(surface.points - surface.points[middle], axis=1) / radius
    weight = np.where(facing, np.clip(1.0 - away**2, 0.0, None) ** 2, 0.0)
    return surface.moved(height * weight[:, None] * surface.normals[middle])


def rows_of(path: Path, points: int, scans: int, generator: np.random.Generator) -> Iterator[Row]:
    model = CadModel(path)
    radius = model.surface.radius
    tolerance = Tolerance(TOLERANCE * radius, TOLERANCE * radius)
    for view in [view for view in VIEWS for _ in range(scans)]:
        for height in HEIGHTS:
            surface = LabelledSurface.clean(*sample_mesh(model.surface.mesh, 4 * points, generator))
            middle, sign = int(generator.integers(len(surface))), generator.choice([-1.0, 1.0])
            place, normal = surface.points[middle], surface.normals[middle]
            damaged = with_defect(surface, middle, sign * height * TOLERANCE * radius, DEFECT_RADIUS * radius)
            single = (normal + 0.5 * generator.normal(size=3)) if view == "single" else None
            made = scan(
                damaged,
                generator,
                Scanner(points=points, spread=0.0, noise=NOISE, pose="fixed"),
                direction=single,
                radius=radius,
                closed=model.surface.watertight,
            )
            rotation = np.linalg.qr(generator.normal(size=(3, 3)))[0]
            rotation *= np.sign(np.linalg.det(rotation))
            posed = PointCloud(made.points @ rotation.T + generator.normal(size=3) * radius)
            start = time.perf_counter()
            scores = model.deviations(posed, tolerance)
            seconds = time.perf_counter() - start
            assert scores.deviation is not None
            truth = model.surface.signed_distance(made.points)
            error = np.abs(scores.deviation - truth) / radius
            regions = find_regions(made.points, scores.point_scores, 1.0)
            reach = 1.5 * DEFECT_RADIUS * radius
            near = np.linalg.norm(made.points - place, axis=1) < reach
            shown = int((np.abs(truth[near]) > TOLERANCE * radius).sum()) >= 10
            found = any(np.linalg.norm(region.center - place) < reach for region in regions)
            expected = Expectations(residual=0.0, scale=radius, source="CAD model")
            status = decide(scores, posed.points, expected=expected).status
            yield Row(path.stem, view, height, status, shown, found, error, seconds, len(posed))


def report(rows: Sequence[Row]) -> None:
    print("| view | defect | scans | OK | NG | RECHECK | shown | found | error, median | 95 % | s, median | s, most |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for view in VIEWS:
        for height in HEIGHTS:
            chosen = [row for row in rows if row.view == view and row.height == height]
            counts = " | ".join(str(sum(row.status is status for row in chosen)) for status in Status)
            error = np.concatenate([row.error for row in chosen])
            taken = [row.seconds for row in chosen]
            print(
                f"| {view} | {f'{height:g} tolerances' if height else 'none'} | {len(chosen)} | {counts} "
                f"| {sum(row.shown for row in chosen) if height else '–'} "
                f"| {sum(row.found for row in chosen) if height else '–'} | {np.median(error):.1e} "
                f"| {np.quantile(error, 0.95):.1e} | {np.median(taken):.2g} | {max(taken):.2g} |"
            )
    for row in rows:
        if row.status is Status.RECHECK or (row.height > 0.0 and row.shown) != (row.status is Status.NG):
            worst = f"error {np.quantile(row.error, 0.95):.1e}"
            print(f"    {row.mesh}, {row.view}, {row.height:g} tolerances: {row.status.value}, {worst}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", type=Path)
    parser.add_argument("--points", type=int, default=30_000)
    parser.add_argument("--scans", type=int, default=1, help="scans per mesh, view and defect")
    parser.add_argument("--only", help="names of meshes, comma-separated")
    words = parser.parse_args()
    names = words.only.split(",") if words.only else None
    paths = [path for path in sorted(words.meshes.glob("*.ply")) if names is None or path.stem in names]
    rows: list[Row] = []
    for number, path in enumerate(paths):
        rows += rows_of(path, words.points, words.scans, np.random.default_rng(number))
        print(f"{path.stem} done", flush=True)
    report(rows)


if __name__ == "__main__":
    main()
