"""Train the paper's Down-Net alone (stage 1) on a part: `dusnet train` with no steps for the Up-Net.

Example:
    python tools/train_down.py data/Anomaly-ShapeNet --class vase0 --config paper --out down.safetensors
"""

from __future__ import annotations

import sys

from dusnet.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:], "--set", "guide.enabled=false", "--set", "training.up.steps=0"]))
