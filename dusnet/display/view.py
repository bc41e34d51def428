"""`dusnet view`: scans and results as a picture or in a window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dusnet.display.loaded_result import LoadedResult, read_loaded_result, viewable_files
from dusnet.display.picture import draw_picture
from dusnet.display.scene import Scene
from dusnet.display.window.viewer import open_window, require_display
from dusnet.errors import BadInput
from dusnet.progress import Progress, Silent

_COLUMNS = 4  # scans per row where each needs one panel only


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
    scenes = [Scene(read_loaded_result(file, reconstruction=reconstruction)) for file in viewable_files(paths)]
    label = _label([scene.loaded for scene in scenes])
    threshold, limits = _agreed([scene.loaded for scene in scenes])
    if png is None:
        require_display()
        progress.log("opening a window; close it to return.")
        open_window(scenes, limits=limits, threshold=threshold, title=title, say=progress.log)
        return
    rows = [scene.panels(place) for place, scene in enumerate(scenes)]
    if all(len(row) == 1 for row in rows):
        single = [row[0] for row in rows]
        rows = [single[start : start + _COLUMNS] for start in range(0, len(single), _COLUMNS)]
    draw_picture(png, rows, width=width, title=title, limits=limits, threshold=threshold, label=label)
    progress.log(f"wrote {png}.")


def _label(results: Sequence[LoadedResult]) -> str:
    """What the colours of a picture show.

    Raises:
        BadInput: they show different things.
    """
    scales = {(one.bands, one.unit if one.bands else None) for one in results if one.scores is not None}
    if not any(bands for bands, _ in scales):
        return "anomaly score"
    if len(scales) > 1:
        raise BadInput("These results have different colour scales; show those of one tolerance and unit together.")
    ((_, unit),) = scales
    return f"deviation in {unit}" if unit else "deviation"


def _agreed(results: Sequence[LoadedResult]) -> tuple[float | None, tuple[float, float] | None]:
    """The point limit and the colour range that all results share; None where they differ or none is known."""
    scored = [one for one in results if one.scores is not None]
    thresholds = {one.point_threshold for one in scored}
    ranges = {one.color_range for one in scored}
    return (
        thresholds.pop() if len(thresholds) == 1 else None,
        ranges.pop() if len(ranges) == 1 else None,
    )
