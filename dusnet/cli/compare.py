"""`dusnet compare`: scans beside a CAD model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dusnet.cli._options import (
    ColorRange,
    Comment,
    Frame,
    Metadata,
    Pages,
    PartNumber,
    Png,
    Quiet,
    Scans,
    required_range,
)
from dusnet.cli._streams import show


def compare(
    scans: Scans,
    cad: Annotated[
        Path,
        typer.Option("--cad", metavar="PART", show_default=False, help="The CAD model: an STL, OBJ, OFF or PLY mesh."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where results go.")] = Path("compared"),
    tol_plus: Annotated[
        float | None,
        typer.Option("--tol-plus", show_default="0.1 mm", help="Allowed excess of material, in the unit of the scans."),
    ] = None,
    tol_minus: Annotated[
        float | None,
        typer.Option("--tol-minus", show_default="0.1 mm", help="Allowed lack of material, a positive number too."),
    ] = None,
    unit: Annotated[
        str, typer.Option("--unit", help="The unit of the scans and of all results: um, mm, cm, m, in or ft.")
    ] = "mm",
    cad_unit: Annotated[
        str | None, typer.Option("--cad-unit", show_default="--unit", help="The unit of the CAD model.")
    ] = None,
    align: Annotated[
        Literal["fit", "none"],
        typer.Option("--align", help="fit: find where the scan lies. none: it is in the model's coordinates already."),
    ] = "fit",
    frame: Frame = None,
    part_number: PartNumber = None,
    comment: Comment = None,
    metadata: Metadata = None,
    gate: Annotated[
        bool,
        typer.Option("--gate", help="Answer by exit code: 0 all in tolerance, 1 some are not, 2 not decided."),
    ] = False,
    png: Png = False,
    report: Pages = False,
    color_range: ColorRange = None,
    quiet: Quiet = False,
) -> None:
    """Compare scans with a CAD model: the signed deviation of every point, and whether it is within tolerance.

    Positive is excess material, negative is missing material. Writes STEM.json and STEM.scored.ply per scan and
    summary.csv for all into DIR, as `dusnet score` does. A scan may show one side of the part only.
    """
    from dusnet.batch import Comparing, Output
    from dusnet.cad.comparison import CadModel, Tolerance
    from dusnet.cli._judge import judge
    from dusnet.cli._metadata import metadata_of
    from dusnet.io import read_motion
    from dusnet.progress import for_terminal

    tolerance = Tolerance.of(tol_plus, tol_minus, unit)
    said = metadata_of(part_number, comment, metadata)
    motion = None if frame is None else read_motion(frame)
    model = CadModel(cad, unit=unit, cad_unit=cad_unit, search=align == "fit")
    colors = required_range(color_range)
    output = Output(
        out, for_terminal(quiet=quiet), show, pictures=png, report=report, metadata=said, color_range=colors
    )
    judge(Comparing(model, tolerance, output, frame=motion), scans, gate=gate)
