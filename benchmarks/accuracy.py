"""The accuracy benchmark: write its data sets, run detectors on them, print the leaderboard, count wrong poses.

The parts are split into two halves that share none. Settings, defaults and ideas are chosen on the half `dev` only;
figures that are published come from the half `reported`, which nobody looks at while anything is being chosen. The
seeds are fixed, so equal meshes give equal data sets.

Example:
    python benchmarks/accuracy.py make data/dev --half dev --meshes meshes
    python benchmarks/accuracy.py run data/dev --detectors nearest,warp --seeds 3 --out results/dev
    python benchmarks/accuracy.py table results/dev
    python benchmarks/accuracy.py poses data/dev --set single-010,like-real3d-ad
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pose_truth import count_poses, pose_table

from dusnet.data import open_dataset
from dusnet.detectors.settings import Settings, load_settings
from dusnet.errors import BadInput, DusnetError
from dusnet.evaluation.contender import contenders_of
from dusnet.evaluation.kinds import kind_means
from dusnet.evaluation.markdown import number, table
from dusnet.evaluation.rows import Row
from dusnet.evaluation.run import evaluate
from dusnet.evaluation.setup import Evaluation
from dusnet.evaluation.tables import counting, means
from dusnet.progress import Progress, Silent, for_terminal
from dusnet.synthesis.benchmark import write_benchmark
from dusnet.synthesis.likeness.registry import LIKENESSES, Like
from dusnet.synthesis.settings import BenchmarkSettings
from dusnet.synthesis.writer import write_dataset


@dataclass(frozen=True)
class Half:
    """Parts of one half: mesh files without suffix, procedural parts, those of the set `jitter`, half of a likeness."""

    meshes: tuple[str, ...]
    procedural: tuple[str, ...]
    jittered: tuple[str, ...]
    likeness: Literal["development", "reported"] = "development"


# Whatever is tuned looks at `dev` only. A part must never move from `reported` to `dev`, or the published figures
# would be of parts that the settings were fitted to; adding parts to either half is harmless.
HALVES = {
    "dev": Half(
        meshes=("pulley_at3_t30", "duck", "encoder_mount", "wingnut", "goat_head", "wheel_racecar"),
        procedural=("flange", "hook"),
        jittered=("flange", "hook", "pulley", "elbow"),
    ),
    "reported": Half(
        meshes=("gear_pinion", "featuretype_bracket", "vase_goblet", "toy_airplane", "hammer", "fish_blub"),
        procedural=("bracket", "tap"),
        jittered=("bracket", "tap", "cup", "bottle"),
        likeness="reported",
    ),
}
_COMMON: dict[str, Any] = {"seed": 11, "train": 4, "good": 8, "points": 8000}
_FULL: dict[str, Any] = {**_COMMON, "layout": "anomaly_shapenet", "pose": "near", "per_kind": 2}
SETS: dict[str, dict[str, Any]] = {
    "full-000": {**_FULL, "variation": 0.0},
    "full-010": {**_FULL, "variation": 0.01},
    "full-020": {**_FULL, "variation": 0.02},
    "dense-010": {**_FULL, "variation": 0.01, "points": 30_000},
    "single-010": {**_COMMON, "layout": "real3d_ad", "pose": "any", "per_kind": 5, "variation": 0.01},
    "jitter": {**_FULL, "variation": 0.005, "jitter": 0.02},
}
LIKE: dict[str, tuple[Like, Mapping[str, Any]]] = {
    "like-anomaly-shapenet": ("anomaly_shapenet", {"points": 20_000, "good": 8, "common": 3, "rare": 1}),
    "like-real3d-ad": ("real3d_ad", LIKENESSES["real3d_ad"].small),
}
"""Sets that are a smaller copy of a likeness, and what is set otherwise than in the full one."""
COLUMNS = {
    "o_auroc": ("O-AUROC", 3),
    "p_auroc_pooled": ("P-AUROC pooled", 3),
    "p_ap_pooled": ("P-AP pooled", 3),
    "o_ap": ("O-AP", 3),
    "score_seconds": ("s per scan", 2),
    "train_seconds": ("train s", 1),
}


def settings_of(name: str, half: Half, meshes: Path | None) -> BenchmarkSettings:
    """What one set of a half is made of.

    Args:
        name: one of `SETS`.
        half: its parts.
        meshes: folder of the meshes; None leaves them out.
    """
    if name == "jitter":
        return BenchmarkSettings(parts=half.jittered, **SETS[name])
    files = [] if meshes is None else [meshes / f"{stem}.ply" for stem in half.meshes]
    for file in files:
        if not file.is_file():
            raise BadInput(f"{file} is missing; name the folder of the meshes with --meshes.")
    return BenchmarkSettings(parts=half.procedural, meshes=tuple(files), **SETS[name])


def make(out: Path, half: Half, meshes: Path | None, names: Sequence[str], progress: Progress) -> None:
    """Write the sets of a half to `out/<set>`; what is there already stays."""
    for name in names:
        if name in LIKE:
            like, smaller = LIKE[name]
            likeness = LIKENESSES[like]
            settings = likeness.settings(half=half.likeness, **smaller)
            write_dataset(out / name, likeness.plan(settings), progress=progress)
        else:
            write_benchmark(out / name, settings_of(name, half, meshes), progress=progress)


def run(
    data: Path,
    out: Path,
    detectors: Sequence[str],
    settings: Settings,
    *,
    names: Sequence[str],
    seeds: int,
    jobs: int,
    device: str,
    progress: Progress,
) -> None:
    """Evaluate detectors on every set in `data`; the results of a set go to `out/<set>`."""
    for name in names:
        contenders = contenders_of(detectors, settings)
        setup = Evaluation(
            open_dataset(data / name), contenders, out / name, device=device, progress=progress, calibrate=False
        )
        evaluate(setup, seeds=seeds, jobs=jobs)


def load_results(results: Path) -> dict[str, list[Row]]:
    """The rows of every set that `run` wrote, in the order of `SETS` and `LIKE`."""
    found = {}
    known = [*SETS, *LIKE]
    for name in [*known, *sorted({path.parent.name for path in results.glob("*/results.json")} - set(known))]:
        file = results / name / "results.json"
        if file.is_file():
            records = json.loads(file.read_text(encoding="utf-8"))["rows"]
            found[name] = [Row.from_record(record) for record in records]
    if not found:
        raise BadInput(f"{results} holds no results; run the benchmark with --out {results} first.")
    return found


def leaderboard(results: dict[str, list[Row]]) -> str:
    """One line per set and detector: mean over the parts, +- standard deviation over the seeds; then all sets."""
    titles = [title for title, _ in COLUMNS.values()]
    lines: list[list[str]] = []
    overall: dict[str, list[dict[str, float]]] = {}
    for name, rows in results.items():
        for line in means(rows):
            spreads = line.std_over_seeds
            cells = [number(line.values[key], digits, spreads[key]) for key, (_, digits) in COLUMNS.items()]
            lines.append([name, line.detector, str(len(line.classes)), *cells])
            overall.setdefault(line.detector, []).append(line.values)
    if len(results) > 1:
        for detector, values in overall.items():
            if len(values) == len(results):
                average = {key: float(np.mean([value[key] for value in values])) for key in COLUMNS}
                cells = [number(average[key], digits) for key, (_, digits) in COLUMNS.items()]
                lines.append(["mean of sets", detector, "", *cells])
    return table("llr" + "r" * len(COLUMNS), ["set", "detector", "parts", *titles], lines)


def by_kind(results: dict[str, list[Row]]) -> str:
    """O-AUROC (against all good scans of the part) and P-AP of each kind of defect, mean over parts and seeds."""
    found = {name: kind_means(counting(rows)) for name, rows in results.items()}
    kinds = list(dict.fromkeys(one.kind for means_of_set in found.values() for one in means_of_set))
    lines = []
    for name, scores in found.items():
        for detector in dict.fromkeys(row.detector for row in results[name]):
            values = {one.kind: one.values for one in scores if one.detector == detector}
            cells = [
                " / ".join(number(values[kind][key], 3) for key in ("o_auroc", "p_ap")) if kind in values else "–"
                for kind in kinds
            ]
            lines.append([name, detector, *cells])
    return table("ll" + "r" * len(kinds), ["set", "detector", *kinds], lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quiet", action="store_true")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in (("make", "write the data sets of a half"), ("run", "evaluate detectors on written sets")):
        sub = verbs.add_parser(verb, help=text)
        sub.add_argument("data", type=Path, help="folder with one folder per set")
        sub.add_argument(
            "--set", dest="sets", default="all", help=f"comma-separated, of {', '.join([*SETS, *LIKE])}; or all"
        )
    making, running = verbs.choices["make"], verbs.choices["run"]
    making.add_argument("--half", choices=sorted(HALVES), required=True)
    making.add_argument("--meshes", type=Path, help="folder of the meshes; without it the procedural parts only")
    running.add_argument("--detectors", required=True, help="comma-separated names")
    running.add_argument("--seeds", type=int, default=3)
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--jobs", type=int, default=1, help="classes at a time")
    running.add_argument("--device", default="cpu")
    running.add_argument("--config", default="cpu-small")
    running.add_argument("--override", action="append", default=[], metavar="KEY=VALUE")
    table = verbs.add_parser("table", help="print the leaderboard of results")
    table.add_argument("results", type=Path)
    poses = verbs.add_parser("poses", help="count the scans of a set that registration puts in a wrong pose")
    poses.add_argument("data", type=Path)
    poses.add_argument("--set", dest="sets", default="single-010")
    poses.add_argument("--method", choices=["auto", "global", "icp", "none"], help="of registration; else its default")
    return parser


def _sets(text: str, available: Sequence[str]) -> list[str]:
    names = list(available) if text == "all" else text.split(",")
    for name in names:
        if name not in SETS and name not in LIKE:
            raise BadInput(f"there is no set {name!r}; choose from {', '.join([*SETS, *LIKE])}.")
        if name not in available:
            raise BadInput(f"the set {name!r} has not been written; run `make` with --set {name} first.")
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = _parser().parse_args(arguments)
    progress: Progress = Silent() if chosen.quiet else for_terminal()
    try:
        _do(chosen, progress)
    except DusnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _do(chosen: argparse.Namespace, progress: Progress) -> None:
    if chosen.verb == "make":
        make(chosen.data, HALVES[chosen.half], chosen.meshes, _sets(chosen.sets, [*SETS, *LIKE]), progress)
        return
    if chosen.verb == "table":
        results = load_results(chosen.results)
        print(leaderboard(results) + "\nO-AUROC / P-AP per kind of defect:\n\n" + by_kind(results))
        return
    written = [name for name in (*SETS, *LIKE) if (chosen.data / name).is_dir()]
    if not written:
        raise BadInput(f"{chosen.data} holds no sets; write them with `make {chosen.data}` first.")
    names = _sets(chosen.sets, written)
    if chosen.verb == "poses":
        if "like-anomaly-shapenet" in names:
            raise BadInput("poses are counted for all sets but like-anomaly-shapenet; name others with --set.")
        for name in names:
            print(f"{name}\n\n" + pose_table(list(count_poses(chosen.data / name, chosen.method, progress))))
        return
    run(
        chosen.data,
        chosen.out,
        list(dict.fromkeys(chosen.detectors.split(","))),
        load_settings(chosen.config, chosen.override),
        names=names,
        seeds=chosen.seeds,
        jobs=chosen.jobs,
        device=chosen.device,
        progress=progress,
    )


if __name__ == "__main__":
    sys.exit(main())
