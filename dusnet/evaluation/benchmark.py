"""Train and score detectors on the classes of a dataset; every finished row is on disk at once."""

from __future__ import annotations

import csv
import io
import platform
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dusnet.detectors.frame_cache import FrameCache
from dusnet.errors import BadConfig, BadInput, DusnetError
from dusnet.evaluation import metrics, tables
from dusnet.evaluation.compute import compute_row
from dusnet.evaluation.plan import Create, Plan
from dusnet.evaluation.rows import Row, fingerprint, load_row, row_name
from dusnet.io import write_json, write_text
from dusnet.progress import Progress, Silent

if TYPE_CHECKING:
    from dusnet.config import Settings
    from dusnet.data import Dataset

RESULTS_SCHEMA = 1


def evaluate(
    dataset: Dataset,
    detectors: Sequence[str],
    *,
    settings: Settings | Mapping[str, Settings],
    classes: Sequence[str] | None = None,
    seeds: int = 1,
    out: Path,
    device: str = "cpu",
    progress: Progress | None = None,
    resume: bool = True,
    calibrate: bool = True,
    create: Create | None = None,
) -> list[Row]:
    """One row per class, detector and seed: train on the class's good scans, score its test scans one by one.

    A finished row is written to `out/rows/` at once, and `results.json`, `results.csv` and `results.md` are renewed
    after it, so a kill or Ctrl-C loses at most the row in progress. A class that fails does not stop the others.

    Args:
        dataset: what `dusnet.data.open_dataset` returned.
        detectors: names, see `dusnet.detectors.DETECTORS`.
        settings: for all detectors, or one per name.
        classes: which classes, None for all.
        seeds: how many; the seeds are 0, 1, ...
        out: folder of the results, made when absent.
        device: `cpu`, `cuda` or `cuda:N`.
        progress: where to report; None is silent.
        resume: take finished rows, and checkpoints of an unfinished one, from `out` when they were computed from the
            same settings, files and version; False computes everything again.
        calibrate: give each detector its threshold from good scans, as training a model for use does, so that the rows
            can say how many good scans it calls anomalous and how many anomalous ones it finds.
        create: makes a detector from `(name, settings, seed=, device=)`; None takes `dusnet.detectors.create`.

    Returns:
        The rows in the order class, detector, seed.

    Raises:
        BadConfig: a detector has no settings or does not exist, or `seeds` is below 1.
        BadInput: an unknown class.
        DusnetError: classes failed; the message names them, and the rows of the others are saved.
    """
    if create is None:
        from dusnet.detectors import create as create_detector

        create = create_detector
    names = _unique(detectors, "detector")
    chosen = _unique(dataset.classes if classes is None else classes, "class")
    if seeds < 1:
        raise BadConfig(f"seeds is {seeds} but at least one is needed; leave it out or give 1 or more.")
    for name in chosen:
        if name not in dataset.classes:
            dataset.train(name)  # raises with the nearest known names
            raise BadInput(f"{dataset.root} has no class {name!r}; choose from {', '.join(dataset.classes)}.")
    plan = Plan(
        dataset=dataset,
        settings=_settings_of(names, settings),
        out=out,
        device=device,
        progress=progress if progress is not None else Silent(),
        resume=resume,
        calibrate=calibrate,
        create=create,
    )
    try:
        (out / "rows").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{out} cannot hold results ({error.strerror}); choose another folder.") from error
    for name in names:  # a name that does not exist must not wait for hours of other work
        create(name, plan.settings[name], seed=0, device=device)
    return _run(plan, names, chosen, seeds)


def _unique(names: Sequence[str], what: str) -> list[str]:
    if isinstance(names, str):
        raise TypeError(f"{what} names must be a sequence of names, got the one name {names!r}")
    found = list(dict.fromkeys(names))
    if not found:
        raise BadConfig(f"There is no {what} to evaluate; name at least one.")
    return found


def _settings_of(names: list[str], settings: Settings | Mapping[str, Settings]) -> dict[str, Settings]:
    if not isinstance(settings, Mapping):
        return dict.fromkeys(names, settings)
    missing = [name for name in names if name not in settings]
    if missing:
        raise BadConfig(f"There are no settings for the detector {missing[0]!r}; give one entry per detector.")
    return {name: settings[name] for name in names}


def _run(plan: Plan, names: list[str], classes: list[str], seeds: int) -> list[Row]:
    rows: dict[tuple[str, str, int], Row] = {}
    failed: dict[tuple[str, str], str] = {}
    with plan.progress.task("evaluate", total=len(names) * len(classes) * seeds) as task:
        for seed in range(seeds):  # outermost, so that a first complete table is there as early as possible
            for class_name in classes:
                frames = FrameCache()  # of one class and seed, which all detectors have in common
                for name in names:
                    task.describe(f"evaluate {name} on {class_name}, seed {seed}")
                    if (class_name, name) not in failed:
                        try:
                            rows[class_name, name, seed] = _row(plan, name, class_name, seed, frames)
                        except DusnetError as error:
                            failed[class_name, name] = f"class {class_name} ({name}, seed {seed}): {error}"
                            plan.progress.log(f"failed: {failed[class_name, name]}")
                    _write_results(plan, _ordered(rows, classes, names), list(failed.values()))
                    task.advance()
    if failed:
        first, *others = failed
        more = f" (failed too: {', '.join(f'{one} with {name}' for one, name in others)})" if others else ""
        raise DusnetError(
            f"{failed[first].rstrip('.')}{more}; finished rows are kept in {plan.out}, so mend it and run again."
        )
    return _ordered(rows, classes, names)


def _ordered(rows: Mapping[tuple[str, str, int], Row], classes: list[str], names: list[str]) -> list[Row]:
    return [rows[key] for key in sorted(rows, key=lambda key: (classes.index(key[0]), names.index(key[1]), key[2]))]


def _row(plan: Plan, name: str, class_name: str, seed: int, frames: FrameCache) -> Row:
    """Take the row from disk, or compute and save it."""
    stem = row_name(name, class_name, seed)
    mark = fingerprint(
        plan.dataset, class_name, name, plan.settings[name], seed=seed, device=plan.device, calibrate=plan.calibrate
    )
    target = plan.out / "rows" / f"{stem}.json"
    known = load_row(target, mark) if plan.resume else None
    if known is not None:
        return known
    workdir = plan.out / "work" / f"{stem}--{mark[:12]}"
    if not plan.resume and workdir.exists():
        shutil.rmtree(workdir)
    row = compute_row(plan, name, class_name, seed, mark, workdir, frames)
    write_json(target, row.record())
    shutil.rmtree(workdir, ignore_errors=True)
    return row


def _write_results(plan: Plan, rows: Sequence[Row], failed: Sequence[str]) -> None:
    import torch

    from dusnet import __version__

    summary = {
        "schema_version": RESULTS_SCHEMA,
        "dataset": {"name": plan.dataset.name, "root": str(plan.dataset.root), "layout": plan.dataset.layout},
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "device": plan.device,
        "versions": {
            "dusnet": __version__,
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "conventions": {**metrics.CONVENTIONS, **tables.CONVENTIONS},
        "settings": {name: one.model_dump(mode="json") for name, one in plan.settings.items()},
        "failed": list(failed),
        "means": [mean.record() for mean in tables.means(rows)],
        "rows": [row.record() for row in rows],
    }
    write_json(plan.out / "results.json", summary)
    write_text(plan.out / "results.csv", _csv(rows))
    title = f"# {plan.dataset.name}: evaluation\n\n"
    trouble = "".join(f"* failed: {text}\n" for text in failed)
    write_text(plan.out / "results.md", title + (trouble + "\n" if trouble else "") + tables.markdown(rows))


CSV_FIELDS: tuple[str, ...] = (
    "class",
    "detector",
    "seed",
    *metrics.METRICS,
    "false_alarms",
    "found",
    "train_scans",
    "test_scans",
    "test_points",
    "train_seconds",
    "train_resumed",
    "calibrate_seconds",
    "score_seconds",
    "scans_per_second",
    "peak_memory_mib",
    "peak_memory_scope",
    "peak_gpu_mib",
    "device",
    "fingerprint",
)


def _csv(rows: Sequence[Row]) -> str:
    """One line per row; an empty field is a value that is undefined or was not measured."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_FIELDS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        record = row.record()
        writer.writerow({**record, **record["metrics"], "class": row.class_name})
    return text.getvalue()
