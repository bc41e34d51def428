"""How well thresholds from good parts keep the false-alarm rate that was asked for, and what defects they find.

Datasets are made, one per seed, of embedded parts or of meshes. A model per part is trained on its good scans, and its
threshold for each rate is applied to good scans that nobody has seen and to defective ones. A second table says what
the worst region of every defective scan that has one was called.

Examples:
    python benchmarks/false_alarm.py --out work --parts all --seeds 0,1,2
    python benchmarks/false_alarm.py --out work --meshes duck.ply flange.stl --good 8 --per-kind 2
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dusnet.cli import main as command
from dusnet.data import Dataset, open_dataset
from dusnet.detectors import create
from dusnet.detectors.settings import load_settings
from dusnet.inspection.calibration import calibrate
from dusnet.inspection.defects import find_defects

RATES = (0.01, 0.05, 0.1)


@dataclass
class Judged:
    """What the models of one part said of its test scans."""

    good: int = 0
    bad: int = 0
    alarms: np.ndarray = field(default_factory=lambda: np.zeros((2, len(RATES)), dtype=int))
    called: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, other: Judged) -> None:
        """Count the scans of another part or seed, too."""
        self.good += other.good
        self.bad += other.bad
        self.alarms = self.alarms + other.alarms
        for kind, counts in other.called.items():
            self.called[kind].update(counts)

    def row(self, name: str) -> str:
        """A row of the table: shares called NG among good and defective scans, at each rate."""
        shares = self.alarms / [[self.good], [self.bad]]
        return f"| {name} | " + " | ".join(f"{a:.3f} | {b:.2f}" for a, b in shares.T) + " |"


def dataset(chosen: argparse.Namespace, seed: int) -> Dataset:
    """The made dataset of one seed, kept from an earlier run."""
    source = ["--parts", chosen.parts] if chosen.meshes is None else []
    source += [word for mesh in chosen.meshes or () for word in ("--mesh", str(mesh.resolve()))]
    values = {"points": chosen.points, "good": chosen.good, "per_kind": chosen.per_kind}
    words = [*source, "--variation", str(chosen.variation), "--seed", str(seed), "-q"]
    words += [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    root = chosen.out / f"data-{hashlib.sha256(' '.join(words).encode()).hexdigest()[:12]}"
    if not root.is_dir():
        assert command(["synth", str(root), *words]) == 0
    return open_dataset(root)


def judged(data: Dataset, name: str, method: str, replicas: int, seed: int) -> Judged:
    settings = load_settings(None, [f"detector={method}", f"calibration.replicas={replicas}"])
    training = [sample.load() for sample in data.train(name)]
    detector = create(settings.detector, settings, seed=seed)
    detector.fit(training)
    detector.set_calibration(calibrate(detector, training, seed=seed))
    limits = np.array([detector.calibration.threshold(rate) for rate in RATES])
    found = Judged()
    for sample in data.test(name):
        cloud = sample.load()
        scores = detector.score(cloud)
        found.alarms[int(sample.anomalous)] += scores.object_score > limits
        found.bad += sample.anomalous
        found.good += not sample.anomalous
        defects = find_defects(cloud.points, replace(scores, is_anomalous=None))
        found.called[sample.kind or "good"][defects[0].kind.value if defects else "no region"] += 1
    return found


def kinds_table(called: dict[str, Counter[str]]) -> Iterator[str]:
    kinds = sorted({kind for counts in called.values() for kind in counts})
    yield "| made | " + " | ".join(kinds) + " |"
    yield "|---|" + "---:|" * len(kinds)
    for made, counts in sorted(called.items()):
        yield f"| {made} | " + " | ".join(str(counts[kind]) for kind in kinds) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the datasets")
    parser.add_argument("--parts", default="all", help="embedded parts")
    parser.add_argument("--meshes", nargs="+", type=Path, help="mesh files in place of embedded parts")
    parser.add_argument("--detector", default="dusnet")
    parser.add_argument("--seeds", default="0", help="of datasets and training, comma-separated")
    parser.add_argument("--variation", type=float, default=0.01)
    parser.add_argument("--points", type=int, default=8000)
    parser.add_argument("--good", type=int, default=20)
    parser.add_argument("--per-kind", type=int, default=3)
    parser.add_argument("--replicas", type=int, default=30, help="of detectors that take long to fit")
    chosen = parser.parse_args()
    seeds = [int(word) for word in chosen.seeds.split(",")]
    sets = [dataset(chosen, seed) for seed in seeds]
    total = Judged()
    print("| part | " + " | ".join(f"good NG at {rate:.0%} | defects found" for rate in RATES) + " |")
    print("|---|" + "---:|" * 2 * len(RATES))
    for name in sets[0].classes:
        part = Judged()
        for data, seed in zip(sets, seeds, strict=True):
            part.add(judged(data, name, chosen.detector, chosen.replicas, seed))
        print(part.row(name), flush=True)
        total.add(part)
    print(total.row("all scans"))
    print(f"\n{total.good} good and {total.bad} defective scans\n")
    print("\n".join(kinds_table(total.called)))


if __name__ == "__main__":
    main()
