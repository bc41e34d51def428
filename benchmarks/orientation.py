"""How much of the surface of closed meshes gets normals that point outward from its points alone.

Points are drawn evenly on each mesh; a normal counts as right where it lies within 90 degrees of its face's, and is
compared only where the plane through the neighbours is the face's to within 45 degrees (edges have no one normal).

Example:
    python benchmarks/orientation.py meshes/*.ply
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import trimesh

from dusnet.geometry.outward import outward_normals


def share_right(path: Path, count: int) -> float | None:
    """Share of points with the right sign, None for a mesh that is not closed and so has no outside."""
    mesh = trimesh.load(path, force="mesh")
    if not mesh.is_watertight:
        return None
    points, faces = trimesh.sample.sample_surface(mesh, count, seed=0)
    points = points - points.mean(axis=0)
    points /= np.abs(points).max()
    true = mesh.face_normals[faces] * np.sign(mesh.volume)
    cosine = (outward_normals(torch.from_numpy(points).float()).numpy() * true).sum(axis=1)
    return float((cosine[np.abs(cosine) > np.sqrt(0.5)] > 0).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", nargs="+", type=Path)
    parser.add_argument("--points", type=int, default=20_000)
    chosen = parser.parse_args()
    shares = {path.stem: share for path in chosen.meshes if (share := share_right(path, chosen.points)) is not None}
    print("| mesh | share of the surface |\n|---|---:|")
    for name, share in sorted(shares.items(), key=lambda item: item[1]):
        print(f"| {name} | {share:.3f} |")
    print(f"| mean of {len(shares)} | {np.mean(list(shares.values())):.3f} |")


if __name__ == "__main__":
    main()
