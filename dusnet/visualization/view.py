"""`dusnet view`: scans and results as a picture or in a window."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.errors import BadInput
from dusnet.inspection.results import RECONSTRUCTION, SCORED
from dusnet.io import find_clouds, read_cloud, read_scalars
from dusnet.progress import Progress, Silent
from dusnet.visualization.color_maps import label_colors
from dusnet.visualization.deviation_bands import DeviationBands
from dusnet.visualization.render import Panel, render_rows
from dusnet.visualization.viewer import open_window, require_display

_COLUMNS = 4  # scans per row where each needs one panel only


@dataclass(frozen=True)
class Scene:
    """One scan with what belongs to it.

    Attributes:
        panels: the scan first; then its reconstruction and its ground truth where they exist.
        point_threshold: point score above which a point is part of a defect, None when nobody said.
        color_range: scores of the palest and the darkest colour in the result, None when nobody said.
        unit: of the deviations that the panels show in bands.
    """

    panels: tuple[Panel, ...]
    point_threshold: float | None = None
    color_range: tuple[float, float] | None = None
    unit: str | None = None


def view(
    paths: Sequence[Path],
    *,
    png: Path | None = None,
    reconstruction: bool = True,
    title: str = "",
    width: int = 1600,
    progress: Progress | None = None,
) -> None:
    """Show scans and results: in a window, or in a picture when `png` is given. All heat is on one scale.

    Results of `dusnet compare` show their deviations in bands.

    Args:
        paths: at least one of: scans, meshes, results (`STEM.scored.ply` or `STEM.json`), or folders of either.
        png: the picture to write; None opens a window and returns when it is closed.
        reconstruction: show the surface without defects beside each result that has one.
        title: line over everything.
        width: of the picture in pixels.
        progress: where to say what was done.

    Raises:
        BadInput: a path cannot be shown, or there is no display for a window.
        MissingDependency: a window is asked for and Open3D is absent.
    """
    progress = progress or Silent()
    scenes = [read_scene(file, reconstruction=reconstruction) for file in viewable_files(paths)]
    rows = [[replace(panel, scene=number) for panel in scene.panels] for number, scene in enumerate(scenes)]
    label = _label(scenes)
    threshold, limits = _agreed(scenes)
    low, high = limits or (None, None)
    if png is None:
        require_display()
        progress.log("opening a window; close it to return.")
        open_window([panel for row in rows for panel in row], low=low, high=high, threshold=threshold, title=title)
        return
    if all(len(row) == 1 for row in rows):
        single = [row[0] for row in rows]
        rows = [single[start : start + _COLUMNS] for start in range(0, len(single), _COLUMNS)]
    render_rows(png, rows, width=width, title=title, low=low, high=high, threshold=threshold, label=label)
    progress.log(f"wrote {png}.")


def viewable_files(paths: Sequence[Path]) -> list[Path]:
    """The scans and scored scans that files and folders stand for, in order.

    In a folder of results these are its scored scans; in any other, all clouds. `STEM.json` stands for the scored scan
    beside it.

    Raises:
        BadInput: a path does not exist or a folder holds nothing to show.
    """
    found: list[Path] = []
    for path in paths:
        scored = sorted(path.glob(f"*{SCORED}")) if path.is_dir() else []
        if scored:
            found += scored
        elif path.suffix == ".json":
            beside = path.with_name(f"{path.stem}{SCORED}")
            if not beside.is_file():
                raise BadInput(f"{path} has no {beside.name} beside it; name a scan or a result of `dusnet score`.")
            found.append(beside)
        else:
            clouds = find_clouds(path)
            if not clouds:
                raise BadInput(f"{path} holds no scans and no results; name a scan, a result or a folder of them.")
            found += clouds
    return found


def read_scene(path: Path, *, reconstruction: bool = True) -> Scene:
    """What there is to see of one scan or scored scan.

    Args:
        path: a cloud, a mesh, or `STEM.scored.ply` with `STEM.json` and `STEM.reconstruction.ply` beside it or not.
        reconstruction: whether to read the latter.

    Raises:
        BadInput: a file cannot be read or is damaged.
    """
    stem = path.name.removesuffix(SCORED)
    if stem == path.name:
        return _plain_scene(path)
    cloud, scalars = read_scalars(path)
    if "anomaly_score" not in scalars:
        raise BadInput(f"{path} has no property anomaly_score; score the scan again or rename it to end in {stem}.ply.")
    record = _record(path.with_name(f"{stem}.json"))
    bands = _bands(record) if "distance" in scalars else None
    values = scalars["anomaly_score" if bands is None else "distance"]
    panels = [_panel(cloud, title=stem, values=values, bands=bands, caption=_verdict(record, len(cloud)))]
    rebuilt = path.with_name(f"{stem}{RECONSTRUCTION}")
    if reconstruction and rebuilt.is_file():
        surface, _ = read_scalars(rebuilt)
        panels.append(_panel(surface, title="without defects", caption=f"{len(surface):,} points"))
    panels += _truth(cloud, scalars)
    if bands is not None:
        return Scene(tuple(panels), unit=record.get("unit"))
    return Scene(tuple(panels), _positive(record.get("point_threshold")), _range(record.get("color_range")))


def _plain_scene(path: Path) -> Scene:
    if path.suffix.lower() in (".ply", ".pcd"):
        cloud, scalars = read_scalars(path)
        if "anomaly_score" in scalars:
            caption = f"{len(cloud):,} points"
            scored = _panel(cloud, title=path.name, values=scalars["anomaly_score"], caption=caption)
            return Scene((scored, *_truth(cloud, scalars)))
        truth = _truth(cloud, scalars)
        if truth:
            return Scene((_panel(cloud, title=path.name, colors=cloud.colors, caption=_count(cloud)), *truth))
    cloud = read_cloud(path)
    return Scene((_panel(cloud, title=path.name, colors=cloud.colors, caption=_count(cloud)),))


def _count(cloud: PointCloud) -> str:
    return "; ".join([f"{len(cloud):,} points", *cloud.notes])


def _panel(cloud: PointCloud, **what: Any) -> Panel:
    cloud.require_usable()
    normals = cloud.normals
    if normals is not None and not np.isfinite(normals).all():
        normals = None
    return Panel(points=cloud.points, normals=normals, **what)


def _truth(cloud: PointCloud, scalars: Mapping[str, NDArray[np.float64]]) -> list[Panel]:
    """The ground truth where the file has a property `label`, true above 0.5."""
    if "label" not in scalars:
        return []
    labels = scalars["label"] > 0.5
    caption = f"{int(labels.sum()):,} of {len(cloud):,} points are defective"
    return [_panel(cloud, title="ground truth", colors=label_colors(labels), caption=caption)]


def _record(path: Path) -> dict[str, Any]:
    """The result's JSON, empty where there is none."""
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{path} is no valid JSON; score the scan again or remove the file.") from error
    if not isinstance(record, dict) or "object_score" not in record:
        raise BadInput(f"{path} is no result of `dusnet score`; move it away from the scan of the same name.")
    return record


def _verdict(record: dict[str, Any], points: int) -> str:
    words = []
    status = record.get("verdict")
    if isinstance(status, dict) and status.get("status"):
        words.append(str(status["status"]))
    for name, key in (("score", "object_score"), ("threshold", "threshold")):
        if isinstance(record.get(key), int | float):
            words.append(f"{name} {record[key]:.3g}")
    return ", ".join([*words, f"{points:,} points"])


def _positive(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) and value > 0 else None


def _range(value: object) -> tuple[float, float] | None:
    if not isinstance(value, dict):
        return None
    low, high = value.get("low"), value.get("high")
    if isinstance(low, int | float) and isinstance(high, int | float) and np.isfinite([low, high]).all() and low < high:
        return float(low), float(high)
    return None


def _bands(record: dict[str, Any]) -> DeviationBands | None:
    """The bands of a comparison with a CAD model, None for every other result."""
    comparison = record.get("comparison")
    tolerance = comparison.get("tolerance") if isinstance(comparison, dict) else None
    if not isinstance(tolerance, dict):
        return None
    plus, minus = _positive(tolerance.get("plus")), _positive(tolerance.get("minus"))
    return None if plus is None or minus is None else DeviationBands(plus, minus)


def _label(scenes: Sequence[Scene]) -> str:
    """What the colours of a picture show.

    Raises:
        BadInput: they show different things.
    """
    colored = [scene for scene in scenes if scene.panels[0].values is not None]
    scales = {(scene.panels[0].bands, scene.unit) for scene in colored}
    if not any(bands for bands, _ in scales):
        return "anomaly score"
    if len(scales) > 1:
        raise BadInput("These results have different colour scales; show those of one tolerance and unit together.")
    ((_, unit),) = scales
    return f"deviation in {unit}" if unit else "deviation"


def _agreed(scenes: Sequence[Scene]) -> tuple[float | None, tuple[float, float] | None]:
    """The threshold and the colour range that all results share; None where they differ or none is known."""
    scored = [scene for scene in scenes if scene.panels[0].values is not None]
    thresholds = {scene.point_threshold for scene in scored}
    ranges = {scene.color_range for scene in scored}
    return (
        next(iter(thresholds)) if len(thresholds) == 1 else None,
        next(iter(ranges)) if len(ranges) == 1 else None,
    )
