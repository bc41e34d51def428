"""Results of scores that a test made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dusnet.cloud import PointCloud
from dusnet.detectors.base import Scores
from dusnet.inspection.result_parts import ModelFile
from dusnet.inspection.verdict import Verdict
from dusnet.result import Context, Result


def result_of(
    cloud: PointCloud,
    scores: Scores,
    *,
    stem: str | None = None,
    verdict: Verdict | None = None,
    model: str = "m",
    sha256: str | None = None,
    **context: Any,
) -> Result:
    """A result that is not written; `context` are fields of `Context`."""
    known = Context(ModelFile(id=model, sha256=sha256), **context)
    return Result.of(cloud, scores, known, stem=stem, verdict=verdict)


def written_result(folder: Path, cloud: PointCloud, scores: Scores, **words: Any) -> Result:
    """A result with its files in `folder`; `words` as for `result_of`."""
    result = result_of(cloud, scores, **words)
    result.write(folder)
    return result


def changed(result: Result, **changes: Any) -> Result:
    """A result with other values for some keys of its JSON."""
    made = Result.model_validate({**result.record, **changes})
    for new, old in zip(made.defects, result.defects, strict=False):
        new._indices = old.indices
    made._folder, made._scores = result._folder, result._scores
    return made
