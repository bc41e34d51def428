"""Score scans with a model: `dusnet score` under its usual script name.

Example:
    python tools/score.py vase0.safetensors scans/ --out results
"""

from __future__ import annotations

import sys

from dusnet.cli import main

if __name__ == "__main__":
    sys.exit(main(["score", *sys.argv[1:]]))
