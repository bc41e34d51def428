"""Train the paper's Up-Net (stage 2) on a finished, frozen Down-Net, from the weights of `train_down.py`.

Example:
    python tools/train_up.py data/Anomaly-ShapeNet --class vase0 --config paper --init down.safetensors \
        --out vase0.safetensors
"""

from __future__ import annotations

import argparse
import json
import sys

from dusnet.cli import main as dusnet

HELP = """Stage 2 of the paper's networks: the Up-Net learns to rebuild the dense cloud from the centres of a Down-Net.

The Down-Net is finished and frozen: --init FILE (required) names the weights that tools/train_down.py wrote. The steps,
batch and rate of this stage are the settings training.up.*. Everything else is as in dusnet train with --detector
dusnet_paper:

"""
STAGE = ["--detector", "dusnet_paper", "--set", "training.down.steps=0"]


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="train_up.py", add_help=False, allow_abbrev=False)
    parser.add_argument("--init", metavar="FILE")
    options, rest = parser.parse_known_args(words)
    if "--help" in rest:
        sys.stdout.write(HELP)
        return dusnet(["train", "--help"])
    if options.init is None:
        sys.stderr.write("train_up.py: the Up-Net needs a trained Down-Net; name it with --init FILE.\n")
        return 2
    # Quoted, since the value of --set is read as YAML.
    init = f"training.init={json.dumps(options.init)}"
    return dusnet(["train", *rest, *STAGE, "--set", init])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
