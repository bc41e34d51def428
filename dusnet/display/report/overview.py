"""What a folder of results says as a whole: `summary.csv` and `index.html`, made from the results that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dusnet.display.report.index import INDEX, write_index
from dusnet.display.report.page import REPORT, ReportPage, read_report
from dusnet.io.locks import folder_lock
from dusnet.io.marks import FileKind, kind_of
from dusnet.summary import SUMMARY, stored_results, write_summary


def renew_overview(
    out_dir: Path, *, reports: Mapping[str, ReportPage] | None = None, failures: Sequence[str] = (), index: bool = False
) -> list[str]:
    """Make the overviews anew from all results of a folder, those of earlier runs and of other processes included.

    One process at a time does so; what a killed run did not list is listed by the next. Without any result, and
    without an overview that is there already, nothing is written. The time grows with the number of results.

    Args:
        out_dir: folder of the results.
        reports: pages of the scans by stem where they are known; others are looked for in the folder.
        failures: one sentence per scan that could not be scored, for the index.
        index: whether there shall be an `index.html`; one that is there is renewed in any case.

    Returns:
        One sentence per JSON file that is no result, or a damaged one.

    Raises:
        BadInput: the folder cannot be read, or a file cannot be written or was written by others.
    """
    if not out_dir.is_dir():
        return []
    with folder_lock(out_dir):
        results, trouble = stored_results(out_dir)
        if results or (out_dir / SUMMARY).is_file():
            write_summary(out_dir, results)
        if (index and (results or failures)) or kind_of(out_dir / INDEX) is FileKind.PAGE:
            pages = dict(reports or {})
            for stem in {result.stem for result in results} - pages.keys():
                page = read_report(out_dir / f"{stem}{REPORT}")
                if page is not None:
                    pages[stem] = page
            write_index(out_dir, results, reports=pages, failures=failures)
    return trouble
