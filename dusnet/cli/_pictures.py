"""Scans and result files as panels of a picture or of a window."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dusnet.cli._common import scans_in
from dusnet.errors import BadInput
from dusnet.inspection.results import RECONSTRUCTION, SCORED
from dusnet.io import read_cloud, read_scalars
from dusnet.visualization.render import Panel, render_png


@dataclass(frozen=True)
class Shown:
    """One scan to look at.

    Attributes:
        panel: the scan, with its scores as heat where the file has them.
        path: its file.
        record: the result beside it, empty when there is none.
    """

    panel: Panel
    path: Path
    record: dict[str, Any]

    @property
    def threshold(self) -> float | None:
        """Point score above which a point is a defect, None when the result does not say."""
        value = self.record.get("point_threshold")
        return float(value) if isinstance(value, int | float) else None


def show(path: Path) -> Shown:
    """A scan or a scored scan, ready to be drawn.

    Raises:
        BadInput: the file cannot be read.
    """
    record = _record(path)
    cloud, values = read_cloud(path), None
    if path.suffix == ".ply":
        scored, scalars = read_scalars(path)
        if "anomaly_score" in scalars:
            cloud, values = scored, scalars["anomaly_score"]
    caption = f"{len(cloud)} points"
    if values is not None and "object_score" in record:
        caption = f"{record['verdict']['status']}, score {record['object_score']:.3g}"
    title = path.name.removesuffix(SCORED) if values is not None else path.name
    colors = cloud.colors if values is None else None
    return Shown(Panel(title, cloud.points, values, colors, cloud.normals, caption), path, record)


def chosen_files(paths: Sequence[Path]) -> list[Path]:
    """The files that scans, results (`STEM.json`) and folders stand for.

    In a folder of results these are its scored scans, in another one all scans.

    Raises:
        BadInput: a path does not exist, a folder has nothing to show, or a JSON file is no result.
    """
    found: list[Path] = []
    for path in paths:
        scored = sorted(path.glob(f"*{SCORED}")) if path.is_dir() else []
        if scored:
            found.extend(scored)
        elif path.suffix == ".json" and path.is_file():
            beside = path.with_name(f"{path.stem}{SCORED}")
            if not beside.is_file():
                raise BadInput(f"{path} has no {beside.name} beside it; name a result of `dusnet score` or a scan.")
            found.append(beside)
        else:
            found.extend(scans_in([path]))
    return found


def draw(target: Path, shown: Sequence[Shown], *, title: str = "") -> None:
    """Write a picture of scans, at most four in a row; one heat scale for all of them."""
    thresholds = {one.threshold for one in shown if one.panel.values is not None}
    threshold = thresholds.pop() if len(thresholds) == 1 else None
    render_png(target, [one.panel for one in shown], columns=min(4, len(shown)), title=title, threshold=threshold)


def draw_result(scored: Path, target: Path) -> None:
    """Write a picture of one result: the heat map beside the surface that the part should have had."""
    shown = [show(scored)]
    rebuilt = scored.with_name(f"{scored.name.removesuffix(SCORED)}{RECONSTRUCTION}")
    if rebuilt.is_file():
        cloud, _ = read_scalars(rebuilt)
        shown.append(Shown(Panel("without defects", cloud.points, caption=f"{len(cloud)} points"), rebuilt, {}))
    draw(target, shown, title=scored.name.removesuffix(SCORED))


def _record(path: Path) -> dict[str, Any]:
    beside = path.with_name(f"{path.name.removesuffix(SCORED)}.json")
    if not path.name.endswith(SCORED) or not beside.is_file():
        return {}
    try:
        data = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{beside} is damaged; score the scan again.") from error
    if not isinstance(data, dict) or "schema_version" not in data:
        raise BadInput(f"{beside} is no result of `dusnet score`; move it away from {path.name}.")
    return data
