"""Train the paper's Down-Net alone (stage 1) on a part: `dusnet train` with no steps for the Up-Net.

Example:
    python tools/train_down.py data/Anomaly-ShapeNet --class vase0 --config paper --out down.safetensors
"""

from __future__ import annotations

import sys

from dusnet.cli import main as dusnet

HELP = """Stage 1 of the paper's networks: the Down-Net learns to undo the noise of Noise-Gen on good scans.

The Up-Net gets no steps; train it afterwards on the finished Down-Net with tools/train_up.py. The steps, batch and rate
of this stage are the settings training.down.*. Everything else is as in dusnet train with --detector dusnet_paper:

"""
STAGE = ["--detector", "dusnet_paper", "--set", "training.up.steps=0"]


def main(words: list[str]) -> int:
    if "--help" in words:
        sys.stdout.write(HELP)
        return dusnet(["train", "--help"])
    return dusnet(["train", *words, *STAGE])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
