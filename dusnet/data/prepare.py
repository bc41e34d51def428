"""Verify a dataset before hours are spent on it: counts, missing and damaged files, ground truths that do not fit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from dusnet.data import ARCHIVES, anomaly_shapenet, archive_files, folder, open_dataset
from dusnet.data.sample import GOOD, UNKNOWN, Dataset, Sample
from dusnet.errors import BadInput
from dusnet.io import read_cloud, read_labelled_points, write_json
from dusnet.progress import Progress, Silent
from dusnet.terminal import escaped, one_line
from dusnet.words import counted

MANIFEST_VERSION = 1  # of the layout of the manifest


@dataclass(frozen=True)
class Problem:
    """Something wrong with a class.

    Attributes:
        class_name: the class.
        message: one sentence: which file, what is wrong, both numbers where numbers differ.
        known: the published archive itself has this mistake; loading copes with it.
    """

    class_name: str
    message: str
    known: bool = False


@dataclass(frozen=True)
class FileRecord:
    """One scan as found; counts are None when scans were not read or could not be.

    Attributes:
        file: the scan, relative to the dataset's root where it lies below it.
        split: "train" or "test".
        kind: "good", the kind of defect, or "unknown".
        points: points in the scan.
        ground_truth: the ground-truth text, or None.
        ground_truth_points: its rows.
        defective_points: rows labelled as defect.
    """

    file: str
    split: str
    kind: str
    points: int | None = None
    ground_truth: str | None = None
    ground_truth_points: int | None = None
    defective_points: int | None = None


@dataclass(frozen=True)
class ClassReport:
    """What a class holds.

    Attributes:
        name: the class.
        train: number of training scans.
        good: number of good test scans.
        defective: number of defective test scans.
        unknown: number of test scans that nothing describes.
        expected: (train, good, defective) of the published archive; train is None where its version has none.
        files: every scan.
    """

    name: str
    train: int
    good: int
    defective: int
    unknown: int
    expected: tuple[int | None, int, int] | None
    files: tuple[FileRecord, ...]


@dataclass(frozen=True)
class Report:
    """The outcome of `verify`.

    Attributes:
        dataset: name of the dataset.
        root: the folder.
        layout: its layout.
        classes: one report per class.
        problems: everything wrong, in order of classes.
    """

    dataset: str
    root: str
    layout: str
    classes: tuple[ClassReport, ...]
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no problem beyond the known mistakes of the published archives."""
        return all(problem.known for problem in self.problems)


def verify(
    path: str | Path,
    layout: str = "auto",
    *,
    classes: Collection[str] | None = None,
    official: bool = True,
    read: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Look through a dataset and say everything that is wrong with it, not just the first thing.

    Args:
        path: as for `open_dataset`.
        layout: as for `open_dataset`.
        classes: only these; all when None.
        official: compare the counts of classes that have the name of a published one with the published counts.
        read: read every file, which finds damaged ones and ground truths of another length; False looks at names only.
        progress: where to report to.

    Raises:
        BadInput: there is no dataset, or it has no such class.
    """
    dataset = open_dataset(path, layout)
    chosen = list(dataset.classes if classes is None else dict.fromkeys(classes))
    progress = progress if progress is not None else Silent()
    reports: list[ClassReport] = []
    problems: list[Problem] = []
    for name in chosen:
        report, found = _verify_class(dataset, name, official=official, read=read, progress=progress)
        reports.append(report)
        problems += found
    if official and classes is None:
        problems += _missing_classes(dataset)
    return Report(dataset.name, str(dataset.root), dataset.layout, tuple(reports), tuple(problems))


def write_manifest(report: Report, path: Path) -> None:
    """Write a report as JSON: `manifest` (version), `ok`, and the fields of `Report` with everything below them."""
    write_json(path, {"manifest": MANIFEST_VERSION, "ok": report.ok, **asdict(report)})


def summary(report: Report, remarks: Sequence[str] = (), warnings: int = 0) -> str:
    """The report as text: one line per class, the problems, what else there is to say, and how many of each there are.

    Args:
        report: of the dataset.
        remarks: lines to print between the problems and the last line.
        warnings: how many of them warn of something.
    """
    names = [one_line(entry.name) for entry in report.classes]
    width = max([len("class"), *map(len, names)])
    lines = [
        f"{report.dataset} ({report.layout}) at {report.root}",
        f"{'class':<{width}}  train   good  defective",
    ]
    for name, entry in zip(names, report.classes, strict=True):
        extra = f"  unknown {entry.unknown}" if entry.unknown else ""
        lines.append(f"{name:<{width}}  {entry.train:5d}  {entry.good:5d}  {entry.defective:9d}{extra}")
    lines += [f"{'known' if problem.known else 'WRONG'}: {problem.message}" for problem in report.problems]
    wrong = sum(not problem.known for problem in report.problems)
    errors = counted(wrong, "error") if wrong else "no errors"
    lines += [*remarks, f"{errors}, {counted(warnings, 'warning')}" if warnings else errors]
    return "\n".join(map(escaped, lines)) + "\n"


def _missing_classes(dataset: Dataset) -> list[Problem]:
    """Published classes that are absent, unless only one class folder was named or none of them is a published one."""
    present = {name for name in dataset.classes if _expected(dataset, name) is not None}
    if not present or dataset.root.absolute() in dataset.folders.values():
        return []
    missing = [name for name in ARCHIVES[dataset.layout].COUNTS if name not in present]
    return [Problem(name, f"the class {name} is missing in {dataset.root}; unpack it.") for name in missing]


def _verify_class(
    dataset: Dataset, name: str, *, official: bool, read: bool, progress: Progress
) -> tuple[ClassReport, list[Problem]]:
    problems: list[Problem] = []
    class_folder = dataset.folder(name)
    samples: list[Sample] = []
    for listing in (dataset.train, dataset.test):
        try:
            samples += listing(name)
        except BadInput as error:
            problems.append(Problem(name, str(error)))
    records = []
    with progress.task(f"verify {name}", len(samples)) as task:
        for sample in samples:
            record, found = _verify_sample(dataset, sample, read=read)
            records.append(record)
            problems += found
            task.advance()
    kinds = [sample.kind for sample in samples if sample.split == "test"]
    good, unknown = kinds.count(GOOD), kinds.count(UNKNOWN)
    report = ClassReport(
        name=name,
        train=len(samples) - len(kinds),
        good=good,
        defective=len(kinds) - good - unknown,
        unknown=unknown,
        expected=_expected(dataset, name) if official else None,
        files=tuple(records),
    )
    problems += _count_problems(report, class_folder)
    problems += [Problem(name, message) for message in _orphans(dataset.layout, class_folder, samples)]
    return report, problems


def _expected(dataset: Dataset, name: str) -> tuple[int | None, int, int] | None:
    counts = ARCHIVES[dataset.layout].COUNTS.get(name) if dataset.layout in ARCHIVES else None
    if counts is None or archive_files.is_embedded(dataset.folders[name]):
        return None
    without_train = dataset.layout == anomaly_shapenet.LAYOUT and dataset.folders[name].parent.name == "16384"
    return (None if without_train else counts[0], counts[1], counts[2])


def _count_problems(report: ClassReport, class_folder: Path) -> Iterator[Problem]:
    if report.expected is None:
        return
    found = (report.train, report.good, report.defective)
    for what, count, expected in zip(("training", "good test", "defective test"), found, report.expected, strict=True):
        if expected is not None and count != expected:
            yield Problem(
                report.name, f"{class_folder} has {count} {what} scans but {expected} were published; unpack it again."
            )


def _orphans(layout: str, class_folder: Path, samples: list[Sample]) -> Iterator[str]:
    """Ground truths that no scan uses, which is how a missing scan shows."""
    if layout == folder.LAYOUT:
        return  # listing refuses them
    used = {sample.ground_truth for sample in samples}
    scans = {sample.path.stem.lower() for sample in samples}
    for stem, truth in archive_files.ground_truths(class_folder, str.lower).items():
        if truth not in used and stem not in scans:
            yield f"{truth} is the ground truth of no scan in {class_folder / 'test'}; its scan is missing."


def _verify_sample(dataset: Dataset, sample: Sample, *, read: bool) -> tuple[FileRecord, list[Problem]]:
    """What a scan and its ground truth hold, and what is wrong with them."""
    record = FileRecord(_relative(sample.path, dataset.root), sample.split, sample.kind)
    problems: list[Problem] = []
    truth = sample.ground_truth
    if truth is not None and not truth.is_file():
        problems.append(Problem(sample.class_name, f"the ground truth of {sample.path} is missing, expected {truth}."))
        truth = None
    if truth is not None:
        record = replace(record, ground_truth=_relative(truth, dataset.root))
    if not read:
        return record, problems
    notes: tuple[str, ...] = ()
    try:
        cloud = read_cloud(sample.path)
        record, notes = replace(record, points=len(cloud)), cloud.notes
    except BadInput as error:
        problems.append(Problem(sample.class_name, str(error)))
    if truth is not None:
        try:
            labels = read_labelled_points(truth)[1]
            defective = int(np.count_nonzero(labels))
            record = replace(record, ground_truth_points=len(labels), defective_points=defective)
        except BadInput as error:
            problems.append(Problem(sample.class_name, str(error)))
    return record, [*problems, *_content_problems(dataset, sample, record, notes)]


def _content_problems(
    dataset: Dataset, sample: Sample, record: FileRecord, notes: tuple[str, ...]
) -> Iterator[Problem]:
    points, rows = record.points, record.ground_truth_points
    if record.defective_points == 0:
        yield Problem(sample.class_name, f"{sample.ground_truth} labels none of its {rows} points as defect.")
    if points is not None and rows is not None and points != rows:
        archive = ARCHIVES.get(dataset.layout)
        known = archive is not None and (sample.class_name, sample.name) in archive.KNOWN_MISMATCHES
        remark = " (the published archive has this mistake)" if known else ""
        dropped = f" ({'; '.join(notes)})" if notes else ""
        counts = (
            f"{sample.path} has {points} points{dropped} but its ground truth {sample.ground_truth} has {rows} rows"
        )
        yield Problem(sample.class_name, f"{counts}{remark}.", known)


def _relative(path: Path, root: Path) -> str:
    absolute = root.absolute()
    return path.relative_to(absolute).as_posix() if path.is_relative_to(absolute) else str(path)
