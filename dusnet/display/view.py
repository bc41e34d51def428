"""`dusnet view`: scans and results as a picture or in a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dusnet.display.color_maps import label_colors
from dusnet.display.layers import verdict_line
from dusnet.display.loaded_result import LoadedResult, read_loaded_result, viewable_files
from dusnet.display.render import Panel, render_rows
from dusnet.display.window.viewer import open_window, require_display
from dusnet.errors import BadInput
from dusnet.progress import Progress, Silent

_COLUMNS = 4  # scans per row where each needs one panel only


@dataclass(frozen=True)
class Scene:
    """One scan with what belongs to it, as panels.

    Attributes:
        loaded: what is known of the scan.
        panels: the scan first; then its reconstruction and its ground truth where they exist.
    """

    loaded: LoadedResult
    panels: tuple[Panel, ...]

    @property
    def point_threshold(self) -> float | None:
        """Point score above which a point is part of a defect, None when nobody said."""
        return self.loaded.point_threshold

    @property
    def color_range(self) -> tuple[float, float] | None:
        """Scores of the palest and the darkest colour in the result, None when nobody said."""
        return self.loaded.color_range


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
        open_window(
            [panel for row in rows for panel in row],
            all_loaded=[scene.loaded for scene in scenes],
            low=low,
            high=high,
            threshold=threshold,
            title=title,
            say=progress.log,
        )
        return
    if all(len(row) == 1 for row in rows):
        single = [row[0] for row in rows]
        rows = [single[start : start + _COLUMNS] for start in range(0, len(single), _COLUMNS)]
    render_rows(png, rows, width=width, title=title, low=low, high=high, threshold=threshold, label=label)
    progress.log(f"wrote {png}.")


def read_scene(path: Path, *, reconstruction: bool = True) -> Scene:
    """What there is to see of one scan or scored scan.

    Args:
        path: a cloud, a mesh, or `STEM.scored.ply` with `STEM.json` and `STEM.reconstruction.ply` beside it or not.
        reconstruction: whether to read the latter.

    Raises:
        BadInput: a file cannot be read or is damaged.
    """
    loaded = read_loaded_result(path, reconstruction=reconstruction)
    return Scene(loaded, tuple(_panels(loaded)))


def _panels(loaded: LoadedResult) -> list[Panel]:
    cloud = loaded.cloud
    caption = verdict_line(loaded)
    if loaded.scores is None:
        caption = "; ".join([f"{len(cloud):,} points", *loaded.remarks])
    panels = [
        Panel(
            loaded.name,
            cloud.points,
            values=loaded.scores if loaded.bands is None else loaded.deviation,
            bands=loaded.bands,
            colors=None if loaded.scores is not None else cloud.colors,
            normals=cloud.normals,
            caption=caption,
        )
    ]
    surface = loaded.reconstruction
    if surface is not None:
        caption = f"{len(surface):,} points"
        panels.append(Panel("without defects", surface.points, normals=surface.normals, caption=caption))
    if cloud.labels is not None:
        caption = f"{int(cloud.labels.sum()):,} of {len(cloud):,} points are defective"
        colors = label_colors(cloud.labels)
        panels.append(Panel("ground truth", cloud.points, colors=colors, normals=cloud.normals, caption=caption))
    return panels


def _label(scenes: Sequence[Scene]) -> str:
    """What the colours of a picture show.

    Raises:
        BadInput: they show different things.
    """
    colored = [scene for scene in scenes if scene.panels[0].values is not None]
    scales = {(scene.loaded.bands, scene.loaded.unit if scene.loaded.bands else None) for scene in colored}
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
