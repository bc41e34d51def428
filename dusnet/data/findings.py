"""What `dusnet check` says about a scan, a folder of scans or a dataset."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dusnet.data import folder
from dusnet.data.check import InputReport, inspect_scan, inspect_scans
from dusnet.data.prepare import summary, verify
from dusnet.errors import BadInput
from dusnet.io.marks import is_result
from dusnet.terminal import escaped
from dusnet.words import counted

if TYPE_CHECKING:
    from dusnet.progress import Progress


@dataclass(frozen=True)
class Findings:
    """What was found.

    Attributes:
        text: the page for people.
        data: the same for programs.
        problem: one sentence when something cannot be used, else None.
    """

    text: str
    data: dict[str, Any]
    problem: str | None


def check_scan(path: Path) -> Findings:
    """Look at one file."""
    if is_result(path):
        raise BadInput(f"{path} is a result of dusnet and no scan; name the scan itself.")
    report = inspect_scan(path)
    return Findings("" if report.error else "\n".join(map(escaped, report.lines())), report.as_dict(), report.error)


def check_folder(path: Path, layout: str, progress: Progress) -> Findings:
    """Read everything that a folder holds.

    Scans of one's own are compared with each other as well; the public archives are known.

    Raises:
        BadInput: nothing there can be understood as a dataset or as scans.
    """
    report = verify(path, layout, progress=progress)
    data, remarks, warnings = asdict(report), list[str](), 0
    problems = {problem.message for problem in report.problems if not problem.known}
    if report.layout == folder.LAYOUT:
        data["scans"] = {}
        for entry in report.classes:
            found = inspect_scans([Path(report.root) / file.file for file in entry.files], progress=progress)
            data["scans"][entry.name] = found.as_dict()
            remarks += _remarkable(found)
            warnings += len(found.warnings) + sum(len(scan.warnings) for scan in found.scans)
            problems |= {scan.error for scan in found.scans if scan.error is not None}
    text = summary(report, remarks, warnings).rstrip()
    problem = f"{path} has {counted(len(problems), 'error')}; standard output lists what keeps files from being used."
    return Findings(text, data, problem if problems else None)


def _remarkable(found: InputReport) -> list[str]:
    """Only what needs attention: a page per scan would bury it."""
    lines = []
    for scan in found.scans:
        if scan.error is not None or scan.warnings or scan.notes:
            lines += scan.lines()
    return [*lines, *(f"warning: {warning}" for warning in found.warnings)]
