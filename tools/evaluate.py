"""Train and score detectors on a labelled dataset and write tables: `dusnet evaluate` under its usual script name.

Example:
    python tools/evaluate.py data/Anomaly-ShapeNet --detector dusnet --classes vase0,cup0 --seeds 3 --out results
"""

from __future__ import annotations

import sys

from dusnet.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
