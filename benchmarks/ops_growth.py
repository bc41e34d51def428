"""How the time of every op grows with the number of points: a table, exponents, and a picture.

The exponent is the slope of log time over log points across the upper half of the sizes. The picture needs matplotlib,
which `make bench` installs.

Example:
    python benchmarks/ops_growth.py --sizes 1000,4000,16000,64000,250000,1000000,4000000 --picture growth.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from dusnet.evaluation.speed.ops import OpSizes, time_ops
from dusnet.progress import for_terminal

CHOSEN = 1024
MOST_MATCHED = 65_536


def works(count: int) -> list[OpSizes]:
    """One op after the other on clouds of `count` points."""
    nothing: dict[str, tuple[()]] = {"farthest": (), "knn": (), "nearest": (), "chamfer": (), "match": ()}
    made = [
        OpSizes(**{**nothing, "farthest": ((count, min(CHOSEN, count // 2)),)}),
        OpSizes(**{**nothing, "knn": ((count, count, 16),)}),
        OpSizes(**{**nothing, "nearest": ((count, count, 1),)}),
        OpSizes(**{**nothing, "nearest": ((count, count, 3),)}),
        OpSizes(**{**nothing, "chamfer": ((count, count),)}),
    ]
    if count <= MOST_MATCHED:
        made.append(OpSizes(**nothing, match_alone=(count,)))
    return made


NAMES = (
    f"{CHOSEN} farthest points",
    "16 neighbours of every point",
    "nearest point of another cloud",
    "3 nearest points of another cloud",
    "Chamfer and gradients",
    "earth mover's match, eps 1e-3",
)


def exponent(sizes: list[int], seconds: list[float]) -> float:
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(seconds[half:]), 1)[0])


def draw(path: Path, found: dict[str, tuple[list[int], list[float]]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), dpi=120)
    for marker, (name, (sizes, seconds)) in zip("osD^vP", found.items(), strict=True):
        axes.loglog(sizes, seconds, marker=marker, label=f"{name}: N^{exponent(sizes, seconds):.2f}")
    axes.set(xlabel="points", ylabel="seconds")
    axes.grid(visible=True, which="major", alpha=0.4)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,4000,16000,64000,250000,1000000,4000000")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--picture", type=Path)
    chosen = parser.parse_args()
    sizes = [int(size) for size in chosen.sizes.split(",")]
    found: dict[str, tuple[list[int], list[float]]] = {name: ([], []) for name in NAMES}
    progress = for_terminal()
    for size in sizes:
        for name, work in zip(NAMES, works(size), strict=False):
            timing = time_ops([work], chosen.device, progress, repeats=chosen.repeats, with_peers=False)[0]
            found[name][0].append(size)
            found[name][1].append(timing.seconds)
    print("| op | " + " | ".join(f"{size}" for size in sizes) + " | exponent |")
    print("|---|" + "---:|" * (len(sizes) + 1))
    for name, (measured, seconds) in found.items():
        cells = [f"{1000 * value:.1f}" for value in seconds] + ["–"] * (len(sizes) - len(measured))
        print(f"| {name} | " + " | ".join(cells) + f" | {exponent(measured, seconds):.2f} |")
    if chosen.picture:
        draw(chosen.picture, found)


if __name__ == "__main__":
    main()
