"""By how much scores differ where only the rounding of BLAS and LAPACK differs, as from processor to processor.

One dataset is written. Then every detector learns every part and scores the same scans in processes of its own, one per
kernel: OpenBLAS (NumPy, SciPy) and MKL (torch) are told to compute as they do on other processors. Two figures come of
it, each the largest over all scans of a part:

- object score: largest less smallest over the kernels, divided by their mean,
- point scores: largest less smallest of a point over the kernels, divided by the largest score of the scan.

Examples:
    python benchmarks/blas_spread.py --out work
    python benchmarks/blas_spread.py --out bottle --parts bottle --detectors dusnet,patchcore
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from dusnet.data import open_dataset
from dusnet.detectors import create
from dusnet.detectors.settings import load_settings
from dusnet.synthesis.benchmark import BenchmarkSettings, write_benchmark

# What tells OpenBLAS and MKL to compute as on that processor; each runs on every x86-64 processor with AVX2.
KERNELS = {
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "Sandybridge": {"OPENBLAS_CORETYPE": "Sandybridge", "MKL_CBWR": "AVX"},
    "Prescott": {"OPENBLAS_CORETYPE": "Prescott", "MKL_CBWR": "COMPATIBLE"},
}
PARTS = "bracket,hook,tap,bottle"
DETECTORS = "dusnet,nearest,warp,patchcore,cras"


def result(out: Path, kernel: str, part: str, detector: str) -> Path:
    return out / kernel / f"{part}-{detector}.npz"


def learn_and_score(out: Path, kernel: str, parts: list[str], detectors: list[str]) -> None:
    """The work of one process: what is there from an earlier run is not computed again."""
    data = open_dataset(out / "data")
    for part in parts:
        for name in detectors:
            path = result(out, kernel, part, name)
            if path.is_file():
                continue
            detector = create(name, load_settings(None, [f"detector={name}"]), seed=0)
            detector.fit([sample.load() for sample in data.train(part)])
            scores = [detector.score(sample.load()) for sample in data.test(part)]
            path.parent.mkdir(parents=True, exist_ok=True)
            arrays = {f"points{number}": one.point_scores for number, one in enumerate(scores)}
            np.savez(path, objects=np.array([one.object_score for one in scores]), **arrays)


def spread(files: list[Path]) -> tuple[float, float]:
    """The two figures of one part and detector, from the files of all kernels."""
    found = [np.load(file) for file in files]
    objects = np.stack([one["objects"] for one in found])
    of_points = 0.0
    for number in range(objects.shape[1]):
        points = np.stack([one[f"points{number}"] for one in found])
        of_points = max(of_points, float(np.ptp(points, axis=0).max() / points.max()))
    return float((np.ptp(objects, axis=0) / objects.mean(axis=0)).max()), of_points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="work folder; what is in it is used again")
    parser.add_argument("--parts", default=PARTS)
    parser.add_argument("--detectors", default=DETECTORS)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--kernel", choices=list(KERNELS), help=argparse.SUPPRESS)  # the work of one process
    chosen = parser.parse_args()
    parts, detectors = chosen.parts.split(","), chosen.detectors.split(",")
    if chosen.kernel is not None:
        learn_and_score(chosen.out, chosen.kernel, parts, detectors)
        return
    made = BenchmarkSettings(
        parts=tuple(parts), points=chosen.points, good=1, per_kind=1, kinds=("bulge", "hole"), seed=0
    )
    write_benchmark(chosen.out / "data", made)
    for kernel, switches in KERNELS.items():
        print(f"{kernel}: training and scoring", file=sys.stderr, flush=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **switches}
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--kernel", kernel], env=environment, check=True)
    print("| part | detector | object score | point scores |\n|---|---|---:|---:|")
    for part in parts:
        for name in detectors:
            of_object, of_points = spread([result(chosen.out, kernel, part, name) for kernel in KERNELS])
            print(f"| {part} | {name} | {of_object:.1e} | {of_points:.1e} |")


if __name__ == "__main__":
    main()
