"""What `dusnet compare` does: a batch of scans beside a CAD model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dusnet.cad.comparison import CadModel, Tolerance
from dusnet.cli._score import Batch, Choices
from dusnet.display.deviation_bands import DeviationBands
from dusnet.display.report import PointField, ReportPage, banded_scale, write_report
from dusnet.inspection.results import Result

if TYPE_CHECKING:
    from dusnet.cloud import PointCloud
    from dusnet.detectors import Scores
    from dusnet.progress import Progress


class Comparer(Batch):
    """Compares scans with one CAD model.

    Args:
        cad: the model.
        tolerance: what scans may deviate, in the unit of the scans.
        choices: what the user decided.
        progress: where to report.
    """

    _doing = "comparing"

    def __init__(self, cad: CadModel, tolerance: Tolerance, choices: Choices, *, progress: Progress) -> None:
        super().__init__(choices, progress)
        self._cad, self._tolerance = cad, tolerance
        source = "" if tolerance.chosen else " (by default 0.1 mm)"
        if cad.united:
            progress.log(cad.united)
        progress.log(f"tolerance +{tolerance.plus:g} / -{tolerance.minus:g} {cad.unit}{source}, positive is excess.")

    def _judge(self, cloud: PointCloud, stem: str) -> tuple[Result, Scores]:
        return self._cad.compare(cloud, self._choices.out, self._tolerance, stem=stem)

    def _page(self, page: Path, result: Result, cloud: PointCloud, scores: Scores) -> ReportPage:
        assert scores.deviation is not None
        bands = DeviationBands(self._tolerance.plus, self._tolerance.minus)
        deviation = PointField(
            "Deviation",
            scores.deviation,
            banded_scale(bands),
            unit=self._cad.unit,
            explanation="From the CAD model; positive is excess material, negative is missing.",
        )
        return write_report(page, result, cloud, scores, fields=[deviation], title="CAD comparison")

    def _words(self, result: Result) -> str:
        deviation, unit = result.record["deviation"], self._cad.unit
        share = result.record["comparison"]["out_of_tolerance"]["share"]
        regions = f", {len(result.regions)} regions" if result.regions else ""
        return (
            f"{result.object_score:.0%} of the tolerance used, 98 % of the points within "
            f"{deviation['p1']:+.3g} to {deviation['p99']:+.3g} {unit}, {share:.2%} out of tolerance{regions}"
        )
