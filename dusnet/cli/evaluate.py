"""`dusnet evaluate`: how good detectors are on a labelled dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from dusnet.cli._common import comma_list, if_interrupted, settings_from
from dusnet.cli._options import Config, Device, Layout, Overrides, Quiet
from dusnet.cli._streams import show
from dusnet.errors import BadConfig


def evaluate(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", show_default=False, help="Root of a dataset.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", show_default=False, help="Where tables go.")],
    detectors: Annotated[
        list[str] | None,
        typer.Option(
            "--detector",
            metavar="NAME[,NAME]",
            show_default="that of the settings or the study, unless --together is given",
            help="The methods, with a model per class. May be given again.",
        ),
    ] = None,
    together: Annotated[
        list[str] | None,
        typer.Option(
            "--together",
            metavar="NAME[,NAME]",
            help="Detectors that learn all classes with one model, beside those of --detector. May be given again.",
        ),
    ] = None,
    classes: Annotated[str | None, typer.Option("--classes", metavar="a,b", help="Only these classes.")] = None,
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            metavar="NAME|FILE",
            help="Compare variants: table5 to 9, levers, cras, hpi, pbas, or a file.",
        ),
    ] = None,
    relations: Annotated[
        bool, typer.Option("--relations", help="Test whether peers relate as on the archive that DATASET is like.")
    ] = False,
    like: Annotated[
        Literal["anomaly_shapenet", "real3d_ad"] | None,
        typer.Option("--like", help="With --relations: that archive; without it the one of the layout."),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option("--beside", metavar="DIR", help="With --relations: results on a dataset like the other archive."),
    ] = None,
    layout: Layout = "auto",
    config: Config = None,
    overrides: Overrides = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds; tables show mean and spread.")] = 3,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="So many classes at a time, one process each.")] = 1,
    calibrate: Annotated[
        bool, typer.Option("--calibrate/--no-calibrate", help="Learn limits too: false alarms and found.")
    ] = True,
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute rows again that DIR already has.")] = False,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Train and score detectors on a labelled dataset: one row per class, detector and seed.

    Writes results.json, results.csv and results.md into DIR and prints the table. Finished rows are kept, so the same
    command continues an interrupted run.
    """
    from dusnet.data import open_dataset
    from dusnet.evaluation.contender import Contender, contenders_of, title_of
    from dusnet.evaluation.relations import RelationTest, archive_of, rows_elsewhere, study_of
    from dusnet.evaluation.report import markdown, relations_section
    from dusnet.evaluation.run import ClassesFailed
    from dusnet.evaluation.run import evaluate as run
    from dusnet.evaluation.setup import Evaluation
    from dusnet.evaluation.studies import contenders, load_study
    from dusnet.progress import for_terminal

    shared, alone = _names(together or ()), _names(detectors or ())
    opened = open_dataset(dataset, layout)
    test = None
    if relations:
        if study is not None or shared or alone:
            raise BadConfig("--relations has detectors of its own; leave --detector, --together and --study out.")
        archive = archive_of(opened.layout, like)
        study, test = (
            study_of(archive),
            RelationTest(archive, None if beside is None else rows_elsewhere(beside, archive)),
        )
    elif like is not None or beside is not None:
        raise BadConfig("--like and --beside say what --relations compares; add it or leave them out.")
    variants = None if study is None else load_study(study)
    if variants is not None and not variants.leaves_detectors_open and (shared or alone):
        raise BadConfig(f"Every variant of study {study} names its detector; leave --detector and --together out.")
    if not detectors and not together and (variants is None or variants.leaves_detectors_open):
        alone = [(variants and variants.detector) or settings_from(config, overrides).detector]
    if variants is None:
        entries = [
            Contender(
                title_of(name, together=one),
                name,
                settings_from(config, overrides, name, beside=[*alone, *shared], together=bool(shared)),
                together=one,
            )
            for names, one in ((alone, False), (shared, True))
            for name in names
        ]
    else:
        entries = contenders(variants, alone, together=shared, config=config, overrides=overrides or ())
    progress = for_terminal(quiet=quiet)
    with if_interrupted(lambda: f"finished rows are in {out}; the same command goes on from there."):
        setup = Evaluation(
            opened,
            contenders_of(entries),
            out,
            device=device,
            progress=progress,
            resume=not fresh,
            calibrate=calibrate,
            study=variants,
            relations=test,
        )
        try:
            rows = run(setup, classes=comma_list(classes) or None, seeds=seeds, jobs=jobs)
        except ClassesFailed as error:  # a registration that is cut down may fail: that is no reason to say nothing
            if test is not None:
                show(relations_section(setup, error.rows))
            raise
    show("\n".join(filter(None, [relations_section(setup, rows), markdown(rows)])))
    progress.log(f"wrote {out / 'results.json'}, results.csv and results.md.")


def _names(words: Sequence[str]) -> list[str]:
    """The names in comma-separated lists, each once."""
    return list(dict.fromkeys(name for word in words for name in comma_list(word)))
