"""Real3D-AD: `<class>/{train,test,gt}`, test scans `<number>_<kind>[_cut|_copy].pcd`.

Ground truths are delimited by white space. Training clouds are full turns around the part, test clouds single sides;
coordinates are in mm.
"""

from __future__ import annotations

import re
from pathlib import Path

from dusnet.data import archive_files
from dusnet.data.sample import Sample
from dusnet.errors import BadInput

LAYOUT = "real3d_ad"
NAME = "Real3D-AD"
INNER = ("Real3D-AD-PCD", "Real3D-AD", "pcd")

_STEM = re.compile(r"^\d+_(?P<kind>[a-z][a-z_]*)$", re.IGNORECASE)
SURE = re.compile(r"^\d+_(?:template|prototype|good)(?:_cut|_copy)*$", re.IGNORECASE)

# class -> (training, good, defective) scans of the published archive
COUNTS: dict[str, tuple[int, int, int]] = {
    "airplane": (4, 50, 50),
    "candybar": (4, 50, 50),
    "car": (4, 50, 50),
    "chicken": (4, 52, 54),
    "diamond": (4, 50, 50),
    "duck": (4, 50, 50),
    "fish": (4, 50, 50),
    "gemstone": (4, 50, 50),
    "seahorse": (4, 50, 50),
    "shell": (4, 52, 48),
    "starfish": (4, 50, 50),
    "toffees": (4, 50, 50),
}

# scans of the published archive whose ground truth has another number of points
KNOWN_MISMATCHES = frozenset(
    {
        ("chicken", "705_bulge"),
        ("chicken", "706_sink"),
        ("seahorse", "265_bulge"),
        ("seahorse", "265_bulge_cut"),
        ("starfish", "433_bulge"),
    }
)


def kind_of(path: Path) -> str:
    """Kind in a test scan's name: `585_bulges_cut.pcd` -> "bulge".

    Raises:
        BadInput: the name does not follow the archive.
    """
    match = _STEM.match(path.stem)
    if match is None:
        raise BadInput(
            f"{path} is not named <number>_<kind>.pcd as in {NAME}; rename it, remove it, or use the folder layout."
        )
    return archive_files.plain_kind(match["kind"])


list_train = archive_files.training_samples


def list_test(class_name: str, folder: Path) -> list[Sample]:
    """Test samples of one class folder; files with "temp" in their name are left out, as the official loader does."""
    truths = archive_files.ground_truths(folder, str.lower)

    def kind(path: Path) -> str | None:
        return None if re.search("temp|prototype", path.stem, re.IGNORECASE) else kind_of(path)

    return archive_files.scored_samples(class_name, folder, kind, lambda path: truths.get(path.stem.lower()))
