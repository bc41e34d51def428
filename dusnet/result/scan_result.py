"""What a model says of one scan: the record, the arrays behind it, and the files that both are written to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import PrivateAttr, ValidationError

from dusnet.cloud import PointCloud
from dusnet.errors import BadInput, MissingDependency
from dusnet.inspection.result_files import remove_result, write_clouds
from dusnet.inspection.verdict import Verdict
from dusnet.io import parse_json, read_scalars, write_json
from dusnet.io.files import reason
from dusnet.io.marks import FileKind, json_kind
from dusnet.result.columns import COLUMNS
from dusnet.result.contents import Context, record_of
from dusnet.result.record import Record

if TYPE_CHECKING:
    import pandas

    from dusnet.detectors.base import Scores

STRAY_COLOR = (128, 128, 128)
"""Of points that have no score."""
_LARGEST_FILE = 1 << 25
"""Bytes that no result file comes near: it lists 50 defects at most."""


class NoResult(BadInput):
    """A JSON file that is whole but belongs to something else."""


class Result(Record):
    """What a model says of one scan.

    The fields are the keys of `STEM.json`; in the file, `defects` are called `regions`, and the three `..._statistics`
    by the first word or two of their names. The arrays (`point_scores`, `deviation`, `distances`, `reconstruction`)
    are those that were computed, or, in a result that was read, come from the files beside the JSON.
    """

    _cloud: PointCloud | None = PrivateAttr(default=None)
    _scores: Scores | None = PrivateAttr(default=None)
    _folder: Path | None = PrivateAttr(default=None)

    @classmethod
    def of(
        cls,
        cloud: PointCloud,
        scores: Scores,
        context: Context,
        *,
        stem: str | None = None,
        verdict: Verdict | None = None,
    ) -> Result:
        """The result of a scan that was scored; nothing is written.

        Args:
            cloud: the scan, its own unit and pose, N points.
            scores: what the detector answered, `point_scores` (N,).
            context: what else the result says.
            stem: what the names of its files begin with; None takes the name of the cloud's file, or `scan`.
            verdict: the decision; None decides from the scores alone.

        Raises:
            ValueError: scores and points differ in number, or there is a comparison but no deviation.
        """
        name = stem or (cloud.path.stem if cloud.path is not None else "scan")
        if len(scores.point_scores) != len(cloud):
            raise ValueError(f"one score per point is needed, got {len(scores.point_scores)} for {len(cloud)} points")
        if context.comparison is not None and scores.deviation is None:
            raise ValueError("a comparison paints deviations, and these scores have none")
        result = record_of(cls, cloud, scores, context, name, verdict)
        result._cloud, result._scores = cloud, scores
        return result

    @classmethod
    def read(cls, path: str | Path) -> Result:
        """The result that `STEM.json` holds.

        Args:
            path: the JSON file, under the name that it was written with.

        Raises:
            NoResult: it is no result of dusnet.
            BadInput: it cannot be read, is damaged, or was renamed.
        """
        path = Path(path)
        try:
            if path.stat().st_size > _LARGEST_FILE:
                raise NoResult(f"{path} is no result of dusnet.")
            record = parse_json(path.read_bytes().decode("utf-8"))
        except OSError as error:
            raise BadInput(f"{path} cannot be read ({reason(error)}); check its permissions.") from error
        except ValueError as error:
            raise BadInput(f"{path} is no valid JSON; score the scan again or remove the file.") from error
        if json_kind(record) is not FileKind.RECORD:
            raise NoResult(f"{path} is no result of dusnet.")
        try:
            result = cls.model_validate(record)
        except (ValidationError, RecursionError) as error:
            raise BadInput(f"{path} is a damaged result or one of another version; score the scan again.") from error
        if path.name != f"{result.stem}.json":
            raise BadInput(f"{path} is a result under another name than it was written with.")
        result._folder = path.parent
        return result

    def __repr__(self) -> str:
        return f"Result({self.name}, {self.verdict.status.value}, score {self.object_score:.4g})"

    __str__ = __repr__

    @property
    def scores(self) -> Scores:
        """What the detector answered, in the unit of the scan.

        Raises:
            ValueError: the result was read from its files, which do not hold all of it.
        """
        if self._scores is None:
            raise ValueError(f"the result of {self.name} was read from its files; score the scan again")
        return self._scores

    @property
    def cloud(self) -> PointCloud:
        """The scan; from a result that was read, the scored scan with its heat colours."""
        return self._cloud if self._cloud is not None else read_scalars(self.scored_path)[0]

    @property
    def point_scores(self) -> NDArray[Any]:
        """Score of every point of the scan, in its order, (N,)."""
        if self._scores is not None:
            return self._scores.point_scores
        return read_scalars(self.scored_path)[1]["anomaly_score"]

    @property
    def distances(self) -> NDArray[Any] | None:
        """Distance of every point to the reconstruction, (N,), the unit of the scan; None where none is measured."""
        if self._scores is not None:
            return self._scores.distances
        return read_scalars(self.scored_path)[1].get("distance")

    @property
    def deviation(self) -> NDArray[Any] | None:
        """How far every point is outside of where it should be, (N,), the unit of the scan; None where unknown."""
        if self._scores is not None:
            return self._scores.deviation
        return read_scalars(self.scored_path)[1].get("deviation")

    @property
    def reconstruction(self) -> NDArray[np.float64] | None:
        """The surface without defects, (M, 3), unit and pose of the scan; None where the detector rebuilds none."""
        if self._scores is not None:
            return self._scores.reconstruction
        path = self.reconstruction_path
        return None if path is None else read_scalars(path)[0].points

    @property
    def json_path(self) -> Path:
        """The JSON file; known once the result is written or read."""
        return self._beside(f"{self.stem}.json")

    @property
    def scored_path(self) -> Path:
        """The scan with scores and colours; known once the result is written or read."""
        return self._beside(self.files.scored)

    @property
    def reconstruction_path(self) -> Path | None:
        """The surface without defects, or None; known once the result is written or read."""
        return None if self.files.reconstruction is None else self._beside(self.files.reconstruction)

    def _beside(self, name: str) -> Path:
        if self._folder is None:
            raise ValueError(f"the result of {self.name} has no files yet; write it first")
        return self._folder / name

    def write(self, folder: str | Path) -> Path:
        """Write the result files, each atomically, the JSON last: where it is, the others are complete.

        Files of an earlier result with the same stem are replaced; its reconstruction is removed when there is none
        now.

        Args:
            folder: where to write; made when absent.

        Returns:
            The JSON file.

        Raises:
            BadInput: a file cannot be written, or one of the same name was written by others.
            ValueError: the result was read from its files.
        """
        folder, scores = Path(folder), self.scores
        painted = replace(self.cloud, colors=self._colors(scores), labels=None)
        remove_result(folder, self.stem)  # where the JSON is, the clouds beside it belong to it
        write_clouds(folder, self.stem, painted, scores)
        target = folder / f"{self.stem}.json"
        write_json(target, self.record)
        self._folder = folder
        return target

    def _colors(self, scores: Scores) -> NDArray[np.uint8]:
        from dusnet.colors.color_maps import heat_colors
        from dusnet.colors.deviation_bands import DeviationBands

        if self.comparison is not None and scores.deviation is not None:
            allowed = self.comparison.tolerance
            colors = DeviationBands(allowed.plus, allowed.minus).colors(scores.deviation)
        else:
            span = self.color_range
            colors = heat_colors(np.asarray(scores.point_scores, dtype=np.float32), span.low, span.high)
        if scores.stray is not None:
            colors[scores.stray] = STRAY_COLOR
        return colors

    def without_arrays(self) -> Result:
        """The result of a scan that is written, without the scan and its scores in memory."""
        made = self.model_copy()
        made._cloud = made._scores = None
        return made

    def row(self) -> dict[str, Any]:
        """The line of `summary.csv`: values by column, None where one is not known."""
        return {name: value(self) for name, value in COLUMNS.items()}

    def to_frame(self) -> pandas.DataFrame:
        """The points as a table of pandas: x, y, z, `anomaly_score`, and `distance` and `deviation` where known.

        Raises:
            MissingDependency: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingDependency("pandas is not installed; install it with `pip install pandas`.") from error
        columns = dict(zip("xyz", self.cloud.points.T, strict=True)) | {"anomaly_score": self.point_scores}
        for name, values in (("distance", self.distances), ("deviation", self.deviation)):
            if values is not None:
                columns[name] = values
        return pandas.DataFrame(columns)
