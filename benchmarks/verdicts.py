"""How well verdicts keep the false-alarm rate that was asked for, and which defects they find.

A model per class is fitted to its good scans, with its limits, and judges the test scans of the class: good ones that
nobody has seen, and defective ones. A good scan is NG where its score is above the limit of a rate and nothing is
doubtful; RECHECK counts beside it. A defect is found where its scan is NG. *Best* is the share of defective scans above
the highest good score of the class, which no limit from good scans can know. A second table says what the worst region
of every defective scan was called.

Data sets are those of `dusnet synth` or of `benchmarks/accuracy.py make`. What was judged is kept, so the same command
goes on where it was stopped.

Examples:
    dusnet synth fresh --mesh boat.ply --mesh fox.ply --set good=50 --set points=8000
    python benchmarks/verdicts.py run fresh --out judged
    python benchmarks/verdicts.py run reported/full-010 --detector warp --training 1 --out judged
    python benchmarks/verdicts.py table judged
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from dusnet.data import Dataset, open_dataset
from dusnet.evaluation.markdown import table
from dusnet.fitting import fit
from dusnet.inspection.defects import find_defects
from dusnet.inspection.expected import expectations
from dusnet.inspection.verdict import decide
from dusnet.io import write_json

RATES = (0.01, 0.05, 0.1)


def judged(data: Dataset, name: str, method: str, training: int, seed: int) -> dict[str, Any]:
    """What a model of one class says of its test scans, and what its limits are."""
    start = time.perf_counter()
    model = fit([sample.load() for sample in data.train(name)][:training], detector=method, seed=seed)
    seconds = time.perf_counter() - start
    (detector,) = model.detector.detectors
    scans = []
    for sample in data.test(name):
        cloud = sample.load()
        scores = detector.score(cloud, explain=sample.anomalous)
        verdict = decide(scores, cloud.points, expected=expectations(detector))
        worst = find_defects(cloud.points, scores)[:1] if sample.anomalous else []
        scans.append(
            {
                "kind": sample.kind or "good",
                "bad": sample.anomalous,
                "score": scores.object_score,
                "doubts": [reason.code for reason in verdict.reasons if reason.is_doubt],
                "called": [one.kind.value if one.kind is not None else "unknown" for one in worst],
            }
        )
    limits = {str(rate): model.threshold_for(rate) for rate in RATES}
    return {"class": name, "detector": method, "limits": limits, "seconds": seconds, "scans": scans}


def run(chosen: argparse.Namespace) -> None:
    """Judge every class of every data set that was not judged yet."""
    for folder in chosen.data:
        data = open_dataset(folder)
        names = chosen.classes.split(",") if chosen.classes else data.classes
        for seed in range(chosen.seeds):
            for name in names:
                row = f"{folder.name}-{chosen.detector}-{chosen.training}/{name}-{seed}.json"
                if (chosen.out / row).is_file():
                    continue
                made = judged(data, name, chosen.detector, chosen.training, seed)
                (chosen.out / row).parent.mkdir(parents=True, exist_ok=True)
                write_json(chosen.out / row, made)
                print(*line(name, [made]), sep=" | ", flush=True)


def shares(rows: Sequence[dict[str, Any]], *, bad: bool) -> tuple[list[int], int, int]:
    """How many good or defective scans are NG at every rate, how many are doubtful, and how many there are."""
    ng, doubtful, count = [0] * len(RATES), 0, 0
    for row in rows:
        limits = [row["limits"][str(rate)] for rate in RATES]
        for scan in row["scans"]:
            if scan["bad"] is not bad:
                continue
            count += 1
            doubtful += bool(scan["doubts"])
            for place, limit in enumerate(limits):
                ng[place] += not scan["doubts"] and scan["score"] > limit
    return ng, doubtful, count


def best(rows: Sequence[dict[str, Any]]) -> float:
    """Share of the defective scans above the highest good score of their class."""
    above = []
    for row in rows:
        highest = max(scan["score"] for scan in row["scans"] if not scan["bad"])
        above += [scan["score"] > highest for scan in row["scans"] if scan["bad"]]
    return float(np.mean(above)) if above else float("nan")


def line(name: str, rows: Sequence[dict[str, Any]], *, intervals: bool = False) -> list[str]:
    """The cells of a line of the table; intervals are those of Clopper and Pearson, 95 %."""

    def written(count: int, of: int) -> str:
        if not of:
            return "–"
        share = f"{count / of:.3f}" if intervals else f"{count / of:.2f}"
        if not intervals:
            return share
        interval = binomtest(count, of).proportion_ci(0.95)
        return f"{share} [{interval.low:.3f}, {interval.high:.3f}]"

    good_ng, good_doubtful, good = shares(rows, bad=False)
    bad_ng, bad_doubtful, bad = shares(rows, bad=True)
    return [
        name,
        str(good),
        " / ".join(written(count, good) for count in good_ng),
        written(good_doubtful, good),
        str(bad),
        " / ".join(written(count, bad) for count in bad_ng),
        written(bad_doubtful, bad),
        f"{best(rows):.2f}",
    ]


def tables(folder: Path) -> Iterator[str]:
    """The tables of one set, detector and number of training scans: verdicts, and what defects were called."""
    rows = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
    rates = " / ".join(f"{rate:.0%}" for rate in RATES)
    taken = np.median([row["seconds"] for row in rows])
    yield f"{folder.name}: {len(rows)} models, fitted and calibrated in {taken:.0f} s (median)\n"
    head = ["class", "good", f"NG at {rates}", "RECHECK", "defects", f"found at {rates}", "RECHECK", "best"]
    names = dict.fromkeys(row["class"] for row in rows)
    lines = [line(name, [row for row in rows if row["class"] == name]) for name in names]
    yield table("lrlrrlrr", head, [*lines, line("all", rows, intervals=True)])
    called: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for scan in row["scans"]:
            if scan["bad"]:
                called[scan["kind"]].update(scan["called"] or ["no region"])
    kinds = sorted({kind for counts in called.values() for kind in counts})
    cells = [[made, *(str(counts[kind]) for kind in kinds)] for made, counts in sorted(called.items())]
    yield table("l" + "r" * len(kinds), ["made", *kinds], cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    running = verbs.add_parser("run", help="judge the test scans of data sets")
    running.add_argument("data", nargs="+", type=Path, help="folders of data sets")
    running.add_argument("--out", type=Path, required=True, help="folder for what was judged")
    running.add_argument("--detector", default="dusnet")
    running.add_argument("--training", type=int, default=4, help="good scans to learn from, at most")
    running.add_argument("--seeds", type=int, default=1)
    running.add_argument("--classes", default="", help="comma-separated; all unless given")
    showing = verbs.add_parser("table", help="print what was judged")
    showing.add_argument("out", type=Path)
    chosen = parser.parse_args()
    if chosen.verb == "run":
        run(chosen)
        return
    for folder in sorted(path for path in chosen.out.iterdir() if path.is_dir()):
        print("\n".join(tables(folder)))


if __name__ == "__main__":
    main()
