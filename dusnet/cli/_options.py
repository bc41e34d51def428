"""Options that several verbs share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from dusnet.errors import BadConfig

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on standard error unless something is wrong.")]
Device = Annotated[str, typer.Option("--device", help="Where to compute: cpu, cuda or cuda:N.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Fixes everything that is random.")]
Config = Annotated[
    str | None,
    typer.Option("--config", metavar="NAME|FILE", help="Settings: a known name or a YAML file."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.SUB=VALUE", help="Change one setting; may be given again."),
]
Layout = Annotated[str, typer.Option("--layout", help="auto, anomaly_shapenet, real3d_ad or folder.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", show_default=False, help="A file that `train` wrote.")]
OtherFile = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="MODEL", help="Write this file instead of changing MODEL.")
]
Scans = Annotated[
    list[Path], typer.Argument(metavar="SCAN...", show_default=False, help="Scan files, or folders of them.")
]
OtherUnit = Annotated[
    str | None,
    typer.Option("--unit", help="The unit of the scans when it is not that of training: um, mm, cm, m, in or ft."),
]
OwnDetector = Annotated[
    str | None,
    typer.Option(
        "--detector",
        metavar="PACKAGE.MODULE:CLASS",
        help="The class of a model of your own detector; a model file never says which code is run.",
    ),
]
Threshold = Annotated[float | None, typer.Option("--threshold", help="Call a scan anomalous above this object score.")]
FalseAlarm = Annotated[
    float | None,
    typer.Option("--false-alarm", help="Put the limit where this share of good parts would be called anomalous."),
]
LeastCoverage = Annotated[
    float | None,
    typer.Option(
        "--min-coverage",
        metavar="SHARE",
        help="Judge every scan that shows at least this share of the part, 0 to 1, whatever it leaves out.",
    ),
]
Gate = Annotated[
    bool, typer.Option("--gate", help="Answer by exit code: 0 all normal, 1 some anomalous, 2 not decided.")
]
DeepestDefect = Annotated[
    float | None,
    typer.Option(
        "--limit",
        metavar="LENGTH",
        help="Call a part NG where a defect is deeper than this, in the unit of the scan, whatever its score.",
    ),
]
LargestDefect = Annotated[
    float | None,
    typer.Option("--max-area", metavar="AREA", help="The same for the area of a defect, in that unit squared."),
]
Frame = Annotated[
    Path | None,
    typer.Option(
        "--frame",
        metavar="JSON",
        help="A rigid 4 x 4 matrix from the frame of the part to your own, in the unit of the training scans or of the "
        "CAD model: places and sides are then told in yours.",
    ),
]
PartNumber = Annotated[
    str | None, typer.Option("--part-number", metavar="TEXT", help="The number of the part, kept in every result.")
]
Comment = Annotated[str | None, typer.Option("--comment", metavar="TEXT", help="A comment, kept in every result.")]
Metadata = Annotated[
    list[str] | None,
    typer.Option(
        "--metadata",
        metavar="KEY=VALUE|FILE",
        help="Anything else to keep in every result, or a YAML or JSON file of names and values; may be given again.",
    ),
]
Png = Annotated[bool, typer.Option("--png", help="Also write a picture STEM.png of every scan.")]
Pages = Annotated[
    bool, typer.Option("--report", help="Also write a page STEM.report.html for every scan, and index.html for all.")
]
ColorRange = Annotated[
    float | None,
    typer.Option(
        "--color-range",
        metavar="LENGTH",
        help="With --report: deviation of the last colour, either way, in the unit of the scan; by default twice the "
        "limit.",
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue an interrupted training; models that are done are kept.")
]


def required_range(given: float | None) -> float | None:
    """`--color-range` as it was given.

    Raises:
        BadConfig: it is no positive number.
    """
    if given is not None and not (math.isfinite(given) and given > 0.0):
        raise BadConfig(f"--color-range {given:g} is no range of colours; give a positive length such as 0.5.")
    return given
