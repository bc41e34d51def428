"""How well thresholds from good parts keep the false-alarm rate that was asked for, and what defects they find.

A dataset of the embedded benchmark is made, a model per part is trained on its good scans, and its threshold for each
rate is applied to good scans that nobody has seen and to defective ones. A second table says what the worst region of
every defective scan that has one was called.

Example:
    python benchmarks/false_alarm.py --out work --parts all --replicas 30
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from dusnet.cli import main as command
from dusnet.config import load_settings
from dusnet.data import open_dataset
from dusnet.detectors import create
from dusnet.inspection.calibration import calibrate
from dusnet.inspection.defects import find_defects

RATES = (0.01, 0.05, 0.1)


def dataset(out: Path, parts: str, good: int, per_kind: int, variation: float, points: int) -> Path:
    """The made dataset, kept from an earlier run."""
    root = out / f"data-{variation}-{points}-{good}-{per_kind}-{parts.replace(',', '_')}"
    if not root.is_dir():
        chosen = [f"points={points}", f"good={good}", f"per_kind={per_kind}"]
        words = ["synth", str(root), "--parts", parts, "--variation", str(variation), "-q"]
        assert command([*words, *(word for one in chosen for word in ("--set", one))]) == 0
    return root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the dataset")
    parser.add_argument("--parts", default="all")
    parser.add_argument("--variation", type=float, default=0.01)
    parser.add_argument("--points", type=int, default=8000)
    parser.add_argument("--good", type=int, default=20)
    parser.add_argument("--per-kind", type=int, default=3)
    parser.add_argument("--replicas", type=int, default=30)
    chosen = parser.parse_args()
    data = open_dataset(
        dataset(chosen.out, chosen.parts, chosen.good, chosen.per_kind, chosen.variation, chosen.points)
    )
    settings = load_settings(None, [f"calibration.replicas={chosen.replicas}"])
    called: dict[str, Counter[str]] = defaultdict(Counter)
    totals = np.zeros((2, len(RATES)))
    scans = np.zeros(2)
    print("| part | " + " | ".join(f"good NG at {rate:.0%} | defects found" for rate in RATES) + " |")
    print("|---|" + "---:|" * 2 * len(RATES))
    for name in data.classes:
        training = [sample.load() for sample in data.train(name)]
        detector = create(settings.detector, settings)
        detector.fit(training)
        detector.calibration = calibrate(detector, training)
        scores: dict[bool, list[float]] = {False: [], True: []}
        for sample in data.test(name):
            cloud = sample.load()
            found = detector.score(cloud)
            scores[sample.anomalous].append(found.object_score)
            defects = find_defects(cloud.points, found)
            if sample.anomalous:
                kind = defects[0].kind if defects else None
                called[sample.kind]["none" if kind is None else kind.value] += 1
        thresholds = [detector.calibration.threshold(rate) for rate in RATES]
        shares = np.array([[(np.array(scores[bad]) > limit).mean() for limit in thresholds] for bad in (False, True)])
        totals += shares
        scans += [len(scores[False]), len(scores[True])]
        print(f"| {name} | " + " | ".join(f"{a:.2f} | {b:.2f}" for a, b in shares.T) + " |", flush=True)
    mean = totals / len(data.classes)
    print("| mean | " + " | ".join(f"{a:.3f} | {b:.2f}" for a, b in mean.T) + " |")
    print(f"\n{scans[0]:.0f} good and {scans[1]:.0f} defective scans\n")
    kinds = sorted({kind for counts in called.values() for kind in counts})
    print("| made | " + " | ".join(kinds) + " |\n|---|" + "---:|" * len(kinds))
    for made, counts in sorted(called.items()):
        print(f"| {made} | " + " | ".join(str(counts[kind]) for kind in kinds) + " |")


if __name__ == "__main__":
    main()
