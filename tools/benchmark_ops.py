"""Time the point-cloud ops beside plain torch, SciPy and Open3D: `dusnet bench ops` under its usual script name.

Example:
    python tools/benchmark_ops.py
"""

from __future__ import annotations

import sys

from dusnet.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "ops", *sys.argv[1:]]))
