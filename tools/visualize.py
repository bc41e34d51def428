"""Show scans and results in a window or draw a picture of them: `dusnet view` under its usual script name.

Example:
    python tools/visualize.py results/part.scored.ply --png part.png
"""

from __future__ import annotations

import sys

from dusnet.cli import main

if __name__ == "__main__":
    sys.exit(main(["view", *sys.argv[1:]]))
