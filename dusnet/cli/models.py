"""`dusnet train`, `calibrate` and `score`: from defect-free scans to a model file, from a model file to verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dusnet.cli._common import (
    Config,
    Device,
    Model,
    OtherUnit,
    Overrides,
    OwnDetector,
    Pages,
    Png,
    Quiet,
    Scans,
    Seed,
    allow_own,
    if_interrupted,
    settings_from,
)
from dusnet.cli._streams import warn
from dusnet.errors import BadConfig

if TYPE_CHECKING:
    from dusnet.cad.simulation import CadScans


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("train", epilog="Example: dusnet train good_scans/ --out bracket.safetensors")(train)
    app.command("calibrate", epilog="Example: dusnet calibrate bracket.safetensors more_good_scans/")(calibrate)
    app.command("score", epilog="Example: dusnet score bracket.safetensors new_scan.ply --out results --gate")(score)


def train(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SOURCE...",
            show_default=False,
            help="Defect-free scans: files, a folder of scans, a class folder, or the root of a dataset.",
        ),
    ] = None,
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="MODEL",
            show_default=False,
            help="A .safetensors file for one class; any other name is a folder that gets CLASS.safetensors per class.",
        ),
    ],
    layout: Annotated[
        str, typer.Option("--layout", help="auto, anomaly_shapenet, real3d_ad, folder, or shapes to pre-train.")
    ] = "auto",
    classes: Annotated[
        str | None, typer.Option("--class", metavar="NAME[,NAME]", help="Only these classes of the dataset.")
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            "--detector",
            metavar="NAME",
            help="The method, instead of the one in the settings; package.module:Class for one of your own.",
        ),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
    seed: Seed = 0,
    device: Device = "cpu",
    unit: Annotated[
        str, typer.Option("--unit", help="The unit of the scans, kept in the model: um, mm, cm, m, in or ft.")
    ] = "mm",
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted training; models that are done are kept.")
    ] = False,
    one_model: Annotated[
        bool,
        typer.Option(
            "--one-model", help="One model for all classes; the detector must be able to share it (cras, crr)."
        ),
    ] = False,
    cad: Annotated[
        Path | None,
        typer.Option("--cad", metavar="PART", help="Learn from simulated scans of this mesh instead of from scans."),
    ] = None,
    cad_scans: Annotated[
        int | None, typer.Option("--cad-scans", show_default="4", help="How many scans of the mesh to simulate.")
    ] = None,
    cad_variation: Annotated[
        float | None,
        typer.Option(
            "--cad-variation",
            show_default="0.01",
            help="How far good parts will differ smoothly from the mesh, as a fraction of its bounding radius.",
        ),
    ] = None,
    cad_noise: Annotated[
        float | None,
        typer.Option(
            "--cad-noise", show_default="0.001", help="Noise of the scanner, as a fraction of the bounding radius."
        ),
    ] = None,
    cad_points: Annotated[
        int | None, typer.Option("--cad-points", show_default="10000", help="Points of a simulated scan.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Learn what a good part looks like and write a model file.

    With --layout shapes the source is a pre-training archive (ShapeNetPart, PU-Net) and the result are weights for
    training.init. With --cad the good scans are simulated, for parts that nobody has made yet; train again when there
    are real ones. Checkpoints are kept beside the model in MODEL.training until it is finished. A dataset with several
    classes is trained class by class into a folder, or with --one-model into one file that tells them apart.
    """
    from dusnet.cli._train import Trainer, read_classes, simulated_class
    from dusnet.progress import for_terminal
    from dusnet.training.processes import is_first

    progress = for_terminal(quiet=quiet or not is_first())
    numbers = {"count": cad_scans, "variation": cad_variation, "noise": cad_noise, "points": cad_points}
    simulated = _simulated(sources or [], cad, numbers, layout, classes, seed)
    if layout == "shapes" and detector is None:
        detector = "dusnet_paper"  # the networks that are trained on shapes are the paper's
    settings = settings_from(config, overrides, detector, together=one_model)
    if layout == "shapes":
        from dusnet.cli._train import pretrain_on

        if sources is None or len(sources) != 1:
            raise BadConfig("--layout shapes takes one folder or file; name the archive.")
        pretrain_on(
            sources[0], out, settings, wanted=classes, seed=seed, device=device, resume=resume, progress=progress
        )
        return
    trainer = Trainer(
        settings, seed=seed, device=device, unit=unit, resume=resume, progress=progress, one_model=one_model
    )
    if one_model:
        if simulated is not None:
            raise BadConfig("--one-model learns classes of a dataset; leave it out with --cad.")
        together = read_classes(sources or [], out, layout, classes, one_model=True)
        with if_interrupted(partial(trainer.saved, together[0])):
            trainer.run_together(together)
        return
    work = [simulated_class(simulated, out)] if simulated else read_classes(sources or [], out, layout, classes)
    if simulated is not None:
        for line in (simulated.united, *simulated.warnings):
            if line:
                progress.log(line)
    for entry in work:
        with if_interrupted(partial(trainer.saved, entry)):
            trainer.run(entry)


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
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="MODEL", help="Write this file instead of changing MODEL."),
    ] = None,
    unit: OtherUnit = None,
    detector: OwnDetector = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Teach a model what more good parts score, so that its threshold keeps lower false-alarm rates.

    Prints the threshold for common rates. Once the added scans alone are enough for a rate, they alone decide; before,
    they count beside the simulated ones of the training.
    """
    from dusnet.cli._calibrate import run
    from dusnet.cli._train import require_model_file, require_new_model
    from dusnet.progress import for_terminal

    allow_own(detector)
    target = model if out is None else out
    if out is not None:
        require_new_model(out)
    require_model_file(target)
    failures = run(model, scans, target, unit=unit, device=device, progress=for_terminal(quiet=quiet))
    for failure in failures:
        warn(failure)
    if failures:
        raise typer.Exit(2)


def _simulated(
    sources: list[Path],
    cad: Path | None,
    numbers: Mapping[str, Any],
    layout: str,
    classes: str | None,
    seed: int,
) -> CadScans | None:
    """The scans that `train --cad` asks for, None where scans are given.

    Raises:
        BadConfig: there is neither or both, or an option belongs to the other.
    """
    given = {name: value for name, value in numbers.items() if value is not None}
    if cad is None:
        if given:
            raise BadConfig("--cad-scans, -variation, -noise and -points belong to --cad; name the mesh.")
        if not sources:
            raise BadConfig("there is nothing to learn from; name defect-free scans, or a mesh with --cad.")
        return None
    if sources:
        raise BadConfig("--cad makes the scans itself; leave out the scans, or --cad to learn from them.")
    if layout != "auto" or classes is not None:
        raise BadConfig("--layout and --class belong to a dataset; leave them out with --cad.")
    from dusnet.cad.simulation import CadScans

    return CadScans(cad, seed=seed, **given)


def score(
    model: Model,
    scans: Scans,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", show_default=False, help="Where results go.")],
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Call a scan anomalous above this object score.")
    ] = None,
    false_alarm: Annotated[
        float | None,
        typer.Option(
            "--false-alarm",
            help="Put the threshold where this share of good parts would be called anomalous.",
        ),
    ] = None,
    gate: Annotated[
        bool,
        typer.Option("--gate", help="Answer by exit code: 0 all normal, 1 some anomalous, 2 not decided."),
    ] = False,
    report: Pages = False,
    png: Png = False,
    unit: OtherUnit = None,
    detector: OwnDetector = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Score scans: where they differ from a good part, how much, and whether that is too much.

    Writes STEM.json and STEM.scored.ply per scan and summary.csv for all into DIR, and one line per scan to standard
    output. A scan that cannot be used is reported and the others are still scored; the exit code is then 2.
    """
    from dusnet.cli._score import Choices, Scorer, judge
    from dusnet.progress import for_terminal

    allow_own(detector)
    choices = Choices(out, threshold, false_alarm, pictures=png, unit=unit, report=report)
    scorer = Scorer(model, choices, device=device, progress=for_terminal(quiet=quiet))
    judge(scorer, scans, gate=gate)
