"""The page of a batch: `index.html`, a table of all scans that links to theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from dusnet.display.report.charts import TrendPoint, trend_chart, verdict_mark
from dusnet.display.report.markup import asset, badge, cell, fill, header_cell, page_head, text
from dusnet.display.report.page import ReportPage
from dusnet.display.report.sections import when
from dusnet.display.report.stills import THUMBNAIL, data_uri
from dusnet.display.wording import MISSING, grouped, number
from dusnet.inspection.regions import DefectKind
from dusnet.io import remove_file, write_text
from dusnet.io.marks import FileKind, kind_of, require_replaceable
from dusnet.result import Result, deciding_defect, kind_words
from dusnet.words import counted

INDEX = "index.html"
_TILES = (("OK", "OK"), ("NG", "NG"), ("RECHECK", "to check again"))


def write_index(
    out_dir: Path,
    results: Sequence[Result],
    *,
    reports: Mapping[str, ReportPage] | None = None,
    failures: Sequence[str] = (),
    title: str = "Inspection results",
) -> Path:
    """Write `index.html` for a batch, atomically; it needs no file but the pages that it links to.

    Args:
        out_dir: folder of the results.
        results: in the order of the table; may be empty.
        reports: the pages of the scans by stem; a scan without one has no link and no picture.
        failures: one sentence per scan that could not be scored.
        title: of the page.

    Returns:
        The file.

    Raises:
        BadInput: the file cannot be written, or one of this name was written by others.
    """
    pages = reports or {}
    page = fill(
        "index.html",
        {
            "title": text(title),
            "head": page_head(title, results[0].versions["dusnet"] if results else ""),
            "under": text(_under(results)),
            "tiles": _tiles(results, len(failures)),
            "failures": _failures(failures),
            "trend": _trend(out_dir, results, pages),
            "table": _table(out_dir, results, pages),
            "footer": "The same table for programs is summary.csv. A score at or below its limit is normal.",
            "script": asset("sort.js"),
        },
    )
    target = out_dir / INDEX
    require_replaceable(target, FileKind.PAGE)
    write_text(target, page)
    return target


def remove_index(out_dir: Path) -> None:
    """Remove the index of an earlier batch, whose links may lead nowhere now; a page by others is left alone."""
    target = out_dir / INDEX
    if kind_of(target) is FileKind.PAGE:
        remove_file(target)


def _under(results: Sequence[Result]) -> str:
    models = sorted({result.model.id for result in results})
    times = [result.timestamp for result in results]
    words = [counted(len(results), "scan")]
    if models:
        words.append(f"model {', '.join(models)}")
    if times:
        words.append(when(times[0]) if len(times) == 1 else f"{when(times[0])} to {when(times[-1])}")
    return " · ".join(words)


def _tiles(results: Sequence[Result], failed: int) -> str:
    counts = Counter(result.verdict.status.value for result in results)
    tiles = [(counts[status], status.lower(), words) for status, words in _TILES]
    if failed:
        tiles.append((failed, "failed", "not scored"))
    decided = counts["OK"] + counts["NG"]
    found = "".join(f'<div class="{kind}"><strong>{count}</strong>{text(words)}</div>' for count, kind, words in tiles)
    share = f"{100.0 * counts['OK'] / decided:.1f} %" if decided else MISSING
    return f"{found}<div><strong>{share}</strong>OK of those decided</div>"


def _failures(failures: Sequence[str]) -> str:
    if not failures:
        return ""
    items = "".join(f"<li>{text(failure)}</li>" for failure in failures)
    return f'<section><h2>Not scored</h2><ul class="reasons">{items}</ul></section>'


def _trend(out_dir: Path, results: Sequence[Result], pages: Mapping[str, ReportPage]) -> str:
    chart = trend_chart(
        [
            TrendPoint(
                result.name,
                float(result.object_score),
                result.threshold,
                result.verdict.status.value,
                _link(out_dir, pages.get(result.stem)),
            )
            for result in results
        ]
    )
    if chart is None:
        return ""
    legend = "".join(
        f'<span><svg viewBox="0 0 14 14" aria-hidden="true">{verdict_mark(status, 7, 7)}</svg>{status}</span>'
        for status, _ in _TILES
    )
    return (
        '<section class="keep" aria-labelledby="h-trend"><h2 id="h-trend">Score over the batch</h2>'
        f'<div class="scroll wide">{chart}</div><p class="legend">{legend}</p></section>'
    )


def _link(out_dir: Path, report: ReportPage | None) -> str:
    """The page of a scan, relative to the index."""
    return "" if report is None else "./" + quote(report.path.relative_to(out_dir).as_posix())


def _table(out_dir: Path, results: Sequence[Result], pages: Mapping[str, ReportPage]) -> str:
    head = [header_cell("No.")]
    if pages:
        head.append(header_cell("Picture", sortable=False))
    head += [
        header_cell("Scan").replace("<th ", '<th class="l" ', 1),
        header_cell("Verdict").replace("<th ", '<th class="l" ', 1),
        header_cell("Score"),
        header_cell("Score / limit"),
        header_cell("Defects"),
        header_cell("Worst defect", hint="What decided, its deviation or else its size, and where it is").replace(
            "<th ", '<th class="l" ', 1
        ),
        header_cell("Points"),
        header_cell("Fit error", unit="%", hint="Mean distance from the model, in per cent of the part's radius"),
        header_cell("Remarks", hint="What reading and scoring had to remark"),
        header_cell("Time").replace("<th ", '<th class="l" ', 1),
    ]
    rows = "".join(_row(place + 1, out_dir, result, pages) for place, result in enumerate(results))
    return f'<table id="scans"><thead><tr>{"".join(head)}</tr></thead><tbody>{rows}</tbody></table>'


def _row(place: int, out_dir: Path, result: Result, pages: Mapping[str, ReportPage]) -> str:
    report = pages.get(result.stem)
    name, link = text(result.name), text(_link(out_dir, report))
    cells = [cell(str(place), place)]
    if pages:
        picture = ""
        if report is not None and report.thumbnail:
            width, height = THUMBNAIL
            picture = (
                f'<a href="{link}" tabindex="-1" aria-hidden="true"><img alt="" width="{width}" height="{height}" '
                f'src="{data_uri(report.thumbnail)}"></a>'
            )
        cells.append(cell(picture, kind="thumb"))
    cells.append(cell(f'<a href="{link}">{name}</a>' if report else name, result.name, kind="name"))
    status = result.verdict.status.value
    codes = text(", ".join(code.replace("_", " ") for code in result.verdict.codes if status == "RECHECK"))
    note = f'<br><span class="unit">{codes}</span>' if codes else ""
    cells.append(cell(badge(status) + note, status, kind="l"))
    score, limit = result.object_score, result.threshold
    ratio = score / limit if limit else None
    cells += [cell(number(score), score), cell(number(ratio, 3), ratio)]
    cells.append(cell(str(result.region_count), result.region_count))
    cells.append(_worst(result))
    cells.append(cell(grouped(result.points), result.points))
    residual = None if result.alignment is None else result.alignment.residual
    cells.append(cell(number(None if residual is None else 100.0 * residual, 3), residual))
    remarks = len(result.warnings)
    cells.append(cell(str(remarks) if remarks else MISSING, remarks))
    cells.append(cell(_time(result.timestamp), result.timestamp, kind="l when"))
    return f"<tr>{''.join(cells)}</tr>"


def _time(timestamp: str) -> str:
    """Date over time; the offset from UTC is in the tooltip and at the head of the page."""
    full = when(timestamp)
    date, clock = full.split()[:2]
    return f'<time datetime="{text(timestamp)}" title="{text(full)}">{date}<br>{clock}</time>'


def _worst(result: Result) -> str:
    """The defect that the finding names: what it looks like, how far it is off, and where; sorted by how far."""
    worst = deciding_defect(result)
    if worst is None:
        return cell(MISSING)
    unit = f" {result.unit}" if result.unit else ""
    off = None if worst.kind is DefectKind.MISSING_MATERIAL else worst.peak_deviation
    size = f"{number(worst.size[0], 2)}{unit} across" if off is None else f"{number(off, 3, signed=True)}{unit}"
    place = "" if worst.side is None else f"<br>{text(worst.side)} side"
    far = abs(off) if off is not None else worst.size[0]
    return cell(f"{text(kind_words(worst.kind))} {text(size)}{place}", far, kind="l")
