"""Train the Up-Net (stage 2) on a finished, frozen Down-Net: `dusnet train` from the weights of `train_down.py`.

Example:
    python tools/train_up.py data/Anomaly-ShapeNet --class vase0 --config paper --out vase0.safetensors \
        --set training.init=down.safetensors
"""

from __future__ import annotations

import sys

from dusnet.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:], "--set", "training.down.steps=0"]))
