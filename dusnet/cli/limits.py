"""`dusnet limits`: what a model accepts, and limits of the user's own for it."""

from __future__ import annotations

from typing import Annotated

import typer

from dusnet.cli._options import Model, OtherFile, OwnDetector
from dusnet.cli._streams import show


def limits(
    model: Model,
    limit: Annotated[
        float | None,
        typer.Option(
            "--limit", metavar="LENGTH", help="From now on no defect may be deeper than this, in the model's unit."
        ),
    ] = None,
    max_area: Annotated[
        float | None,
        typer.Option("--max-area", metavar="AREA", help="No defect may have a larger area, in that unit squared."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove limits of your own; others given here stay.")] = False,
    out: OtherFile = None,
    detector: OwnDetector = None,
) -> None:
    """Show the limits of a model, or set limits of your own.

    A part is NG when its score is above the limit that the good scans give, or when a defect is deeper or larger than
    your own limits. Without options the model is only read.
    """
    from dusnet.errors import BadConfig
    from dusnet.inspection.own_limits import OwnLimits
    from dusnet.model import load
    from dusnet.model_files import require_model_file, require_new_model

    wanted = OwnLimits(limit, max_area)
    changes = bool(wanted) or clear
    if out is not None:
        if not changes:
            raise BadConfig("--out writes a model with other limits; give --limit, --max-area or --clear, too.")
        require_new_model(out)
    target = model if out is None else out
    if changes:
        require_model_file(target)
    loaded = load(model, detector=detector)
    if changes:
        chosen = wanted if clear else wanted.over(loaded.limits)
        loaded.set_limits(deviation=chosen.deviation, area=chosen.area)
        loaded.save(target)
    for line in loaded.limit_lines():
        show(line)
