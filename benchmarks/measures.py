"""How right the measures of a defect are: depth, area, volume and place beside those of simulated defects.

A model of four good scans judges scans with one defect each. The truth comes from the simulated surface before and
after the defect, of which every point is known, and not from the scan: depth is the largest displacement, area that
of the good surface which moved by more than a tenth of it or which is gone, volume the displacement summed over that
area, place the centroid. What is measured is the worst region of the scan. Defects on both sides of a thin wall are
those of the side that they were made on.

What was measured is kept, so the same command goes on where it was stopped.

Examples:
    python benchmarks/measures.py run shared/data/meshes/boat.ply shared/data/meshes/fox.ply --out measured
    python benchmarks/measures.py table measured
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from dusnet.cloud import PointCloud
from dusnet.evaluation.markdown import table
from dusnet.fitting import fit
from dusnet.geometry.outer_surface import outer_surface
from dusnet.inspection.defects import find_defects
from dusnet.inspection.regions import Region, usual_spacing
from dusnet.io import sample_mesh, write_json
from dusnet.model import Model, load
from dusnet.synthesis.defects import apply_defect
from dusnet.synthesis.fractures import damage_solid, surface_area
from dusnet.synthesis.scanner import random_pose, scan
from dusnet.synthesis.settings import BenchmarkSettings
from dusnet.synthesis.solids import as_solid
from dusnet.synthesis.specimens import PartClass, entropy, make_scan, mesh_part, own_mesh
from dusnet.synthesis.surface import Floats, LabelledSurface
from dusnet.synthesis.variation import smooth_field

KINDS = ("bulge", "concavity", "hole", "broken", "scratch")
MOVED = ("bulge", "concavity", "scratch")
"""Kinds that move surface; the others take some away."""
DENSE = 100_000  # points that the simulated surface is known by
EDGE = 0.1
"""Share of the depth from which on a moved point belongs to the defect, as in the labels of `dusnet synth`."""
GONE = 3.0
"""A place is gone when within this many spacings less than half of the points that look the same way are left."""
MEASURES = ("depth", "area", "volume", "place")


@dataclass(frozen=True)
class Truth:
    """A simulated defect: place in the scan's pose, mm; depth and volume are None where material is gone."""

    depth: float | None
    area: float
    volume: float | None
    place: tuple[float, ...]


def damaged(
    part: PartClass, kind: str, generator: np.random.Generator, settings: BenchmarkSettings
) -> tuple[PointCloud, Truth]:
    """A scan of a part with one defect, and what the defect is."""
    clean = LabelledSurface.clean(*sample_mesh(part.visible, DENSE, generator))
    each = surface_area(part.visible) / DENSE
    field = smooth_field(generator, clean.points, settings.variation * part.radius)
    before = field.apply(clean)
    solid = as_solid(part.mesh) if kind == "broken" else None
    if solid is not None:
        made = damage_solid(
            kind, solid, clean, generator, radius=part.radius, depth=0.0, density=1.0 / each, reach=part.reach
        )
        after = field.apply(made)
    else:
        after = apply_defect(kind, before, generator, radius=part.radius, amplitude=settings.amplitude)
    depth = volume = None
    if kind in MOVED:
        moved = after.points - before.points
        along = np.maximum((moved * before.normals).sum(axis=1) * (1.0 if kind == "bulge" else -1.0), 0.0)
        length = np.where(along > 0.0, np.linalg.norm(moved, axis=1), 0.0)
        depth = float(length.max())
        chosen = length > EDGE * depth
        place, volume = after.points[chosen].mean(axis=0), each * float(along.sum())
    else:
        chosen = _gone(before, after, each)
        if kind == "hole":
            chosen[chosen] = _near_side(before.normals[chosen])
        place = before.points[chosen].mean(axis=0)
    cloud = scan(after, generator, replace(settings.scanner, pose="fixed"), radius=part.radius, closed=part.closed)
    pose = random_pose("near", generator, part.radius)
    truth = Truth(depth, each * float(chosen.sum()), volume, tuple((pose[:3, :3] @ place + pose[:3, 3]).tolist()))
    return cloud.transformed(pose), truth


def _gone(before: LabelledSurface, after: LabelledSurface, each: float) -> np.ndarray:
    """Which places the defect took away, (N,) bool."""
    reach = GONE * float(np.sqrt(each))
    old, new = (cKDTree(np.hstack([one.points, 0.7 * reach * one.normals])) for one in (before, after))
    here, left = (tree.query_ball_point(old.data, reach, return_length=True) for tree in (old, new))
    sure = before.points[(left == 0) & (here > 4)]
    near = cKDTree(sure).query(before.points)[0] < reach  # few points on a curved surface can be half by chance
    return np.asarray((left < 0.5 * here) & near)


def _near_side(normals: Floats) -> np.ndarray:
    """Which of some normals, (n, 3), look the way that most of them do, along the axis that they share, (n,) bool."""
    axis = np.linalg.svd(normals, full_matrices=False)[2][0]
    along = normals @ axis
    return np.asarray(along * np.median(along) > 0.0)


def measured(worst: Region | None, truth: Truth, spacing: float) -> dict[str, float | str | None]:
    """Relative errors of depth, area and volume and the error of the place in spacings; None where not measured."""
    if worst is None:
        return dict.fromkeys((*MEASURES, "called"), None)

    def error(found: float | None, true: float | None) -> float | None:
        return None if found is None or true is None else abs(found) / true - 1.0

    return {
        "depth": error(worst.peak_deviation, truth.depth),
        "area": worst.area / truth.area - 1.0,
        "volume": error(getattr(worst, "volume", None), truth.volume),
        "place": float(np.linalg.norm(worst.center - np.array(truth.place))) / spacing,
        "called": None if worst.kind is None else worst.kind.value,
    }


def model_of(part: PartClass, file: Path, settings: BenchmarkSettings, method: str) -> Model:
    """A model of the good scans of a part, from its file where there is one."""
    if not file.is_file():
        seeds = [entropy(settings.seed, part.name, "train", number) for number in range(settings.train)]
        good = [make_scan(part, "good", np.random.default_rng(seed), settings, train=True) for seed in seeds]
        file.parent.mkdir(parents=True, exist_ok=True)
        fit(good, detector=method, seed=settings.seed).save(file)
    return load(file)


def run(chosen: argparse.Namespace) -> None:
    """Measure the defects of every mesh that were not measured yet."""
    settings = BenchmarkSettings(points=chosen.points, variation=chosen.variation, noise=chosen.noise, seed=chosen.seed)
    for mesh in chosen.meshes:
        part = mesh_part(mesh.stem, outer_surface(own_mesh(mesh)))
        for kind in KINDS:
            for index in range(chosen.each):
                row = chosen.out / f"{part.name}-{kind}-{index}.json"
                if row.is_file():
                    continue
                generator = np.random.default_rng(entropy(settings.seed, part.name, kind, index))
                cloud, truth = damaged(part, kind, generator, settings)
                file = chosen.out / "models" / f"{part.name}.safetensors"
                scores = model_of(part, file, settings, chosen.detector).detector.score(cloud)
                worst = next(iter(find_defects(cloud.points, scores)), None)
                found = {"class": part.name, "kind": kind, "ng": scores.is_anomalous, "truth": asdict(truth)}
                found |= measured(worst, truth, usual_spacing(cloud.points))
                write_json(row, found)
                print(part.name, kind, index, *(found[name] for name in MEASURES), flush=True)


def table_of(folder: Path) -> str:
    """Median and 90th percentile of the errors per kind."""
    rows = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
    lines = []
    for kind in (*KINDS, "all"):
        some = [row for row in rows if kind in ("all", row["kind"])]
        found = [row for row in some if row["place"] is not None]
        cells = [kind, f"{len(found)} of {len(some)}"]
        for name in MEASURES:
            values = np.array([row[name] for row in found if row[name] is not None])
            cells.append(summary(values, "{:.1f}" if name == "place" else "{:.0%}"))
        lines.append(cells)
    head = ["kind", "found", *MEASURES[:-1], "place, spacings"]
    return table("lrrrrr", head, lines)


def summary(errors: Floats, written: str) -> str:
    """Median and 90th percentile of absolute errors."""
    if not len(errors):
        return "–"
    return " / ".join(written.format(value) for value in np.quantile(np.abs(errors), (0.5, 0.9)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    running = verbs.add_parser("run", help="measure")
    running.add_argument("meshes", nargs="+", type=Path)
    running.add_argument("--out", required=True, type=Path)
    running.add_argument("--detector", default="dusnet")
    running.add_argument("--points", type=int, default=8000)
    running.add_argument("--variation", type=float, default=0.01)
    running.add_argument("--noise", type=float, default=0.001)
    running.add_argument("--each", type=int, default=2, help="defects of each kind")
    running.add_argument("--seed", type=int, default=0)
    running.set_defaults(run=run)
    showing = verbs.add_parser("table", help="show what was measured")
    showing.add_argument("out", type=Path)
    showing.set_defaults(run=lambda chosen: print(table_of(chosen.out)))
    chosen = parser.parse_args()
    chosen.run(chosen)


if __name__ == "__main__":
    main()
