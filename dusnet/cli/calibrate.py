"""`dusnet calibrate`: more good scans for the limit of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dusnet.cli._options import Device, Model, OtherFile, OtherUnit, OwnDetector, Quiet
from dusnet.cli._streams import show, warn


def calibrate(
    model: Model,
    scans: Annotated[
        list[Path],
        typer.Argument(
            metavar="GOOD_SCAN...",
            show_default=False,
            help="Defect-free scans that the model did not learn from, or folders of them.",
        ),
    ],
    out: OtherFile = None,
    unit: OtherUnit = None,
    detector: OwnDetector = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Teach a model what more good parts score, so that its limit is surer.

    Prints the limit for common rates. Once the added scans alone are enough for a rate, they alone decide; before,
    they count beside those of the training.
    """
    from dusnet.model import load
    from dusnet.model_files import require_model_file, require_new_model
    from dusnet.progress import for_terminal
    from dusnet.scans import files_in

    target = model if out is None else out
    if out is not None:
        require_new_model(out)
    require_model_file(target)
    progress = for_terminal(quiet=quiet)
    loaded = load(model, device=device, detector=detector)
    added = loaded.calibrate(files_in(scans, progress.log), unit=unit, progress=progress)
    for sentence in added.refused:
        progress.log(sentence)
    loaded.save(target)
    for line in loaded.calibration_lines(added):
        show(line)
    progress.log(f"wrote {target}.")
    for failure in added.failures:
        warn(failure)
    if added.failures:
        raise typer.Exit(2)
