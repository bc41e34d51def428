"""An Open3D window with panels side by side."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.display.loaded_result import LoadedResult
from dusnet.display.render import Panel, camera_of, heat_range
from dusnet.display.window.keys import HELP, POINT_PIXELS, Keys, LitCloud, point_upwards
from dusnet.errors import BadInput
from dusnet.open3d_import import open3d
from dusnet.progress import Silent

_GAP = 0.15  # between panels, fraction of the widest
_ZOOM = 0.55  # the row fills the window


def open_window(
    panels: Sequence[Panel],
    *,
    all_loaded: Sequence[LoadedResult] = (),
    low: float | None = None,
    high: float | None = None,
    threshold: float | None = None,
    title: str = "",
    seconds: float | None = None,
    say: Callable[[str], None] | None = None,
) -> None:
    """Show panels side by side until the window is closed.

    Panels of one scene keep their relative pose and stand in a row, seen as `render_png` would show them; scenes
    follow each other downwards. With `all_loaded`, keys show one layer of one scan instead (`window_keys.HELP`).

    Args:
        panels: at least one.
        all_loaded: the scans that the keys go through; none leaves the keys to Open3D.
        low: value of the palest colour, see `heat_range` for what None means.
        high: value of the darkest colour.
        threshold: point score that the automatic range is made from.
        title: of the window.
        seconds: close after so many seconds; None waits for the user.
        say: where each key writes what is shown then.

    Raises:
        BadInput: there is no display.
        MissingDependency: Open3D or one of its system libraries is absent.
    """
    if not panels:
        raise ValueError("a window needs at least one panel")
    require_display()
    o3d = open3d()
    automatic = heat_range(panels, threshold)
    limits = (automatic[0] if low is None else low, automatic[1] if high is None else high)
    placed = zip(panels, arrange(panels), strict=True)
    clouds = [LitCloud(o3d, points).painted(panel.painted(*limits)) for panel, points in placed]
    window = o3d.visualization.VisualizerWithKeyCallback()
    shown = window.create_window(window_name=title or "dusnet", width=1600, height=900)
    try:
        if not shown:
            raise BadInput("No window can be opened on this display; use --png FILE or --web instead.")
        for cloud in clouds:
            window.add_geometry(cloud)
        window.get_render_option().point_size = POINT_PIXELS
        window.get_render_option().light_on = False
        point_upwards(window, _ZOOM)
        if all_loaded:
            tell = say or Silent().log
            Keys(o3d, window, all_loaded, everything=clouds, zoom=_ZOOM, say=tell).register()
            tell(HELP)
        _run(window, seconds)
    finally:
        window.destroy_window()


def arrange(panels: Sequence[Panel]) -> list[NDArray[np.float64]]:
    """The points of each panel (N, 3) as seen by the camera of its scene: x right, y up, z towards the viewer.

    Panels of a scene stand in a row without touching, scenes below each other, all in radii of their first panel.
    """
    scenes: dict[int, list[int]] = {}
    for number, panel in enumerate(panels):
        scenes.setdefault(panel.scene, []).append(number)
    placed: dict[int, NDArray[np.float64]] = {}
    top = 0.0
    for numbers in scenes.values():
        camera = camera_of([panels[number] for number in numbers])
        seen = [(panels[number].points - camera.center) / camera.radius @ camera.axes.T for number in numbers]
        step = max(float(np.ptp(points[:, 0])) for points in seen) * (1.0 + _GAP)
        for column, (number, points) in enumerate(zip(numbers, seen, strict=True)):
            placed[number] = points + np.array([column * step, top, 0.0])
        top -= max(float(np.ptp(points[:, 1])) for points in seen) * (1.0 + _GAP)
    return [placed[number] for number in range(len(panels))]


def require_display() -> None:
    """Raise `BadInput` where no window can be shown.

    Open3D itself opens an invisible window in that case, which nobody can close.
    """
    if not sys.platform.startswith("linux") or os.environ.get("WAYLAND_DISPLAY"):
        return
    name = os.environ.get("DISPLAY")
    if not name:
        raise BadInput("There is no display to open a window on; use --png FILE for a picture or --web for a browser.")
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError:
        return  # Open3D names the missing library when it is loaded
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    display = x11.XOpenDisplay(None)
    if not display:
        raise BadInput(f"The display {name} does not answer; use --png FILE for a picture or --web for a browser.")
    x11.XCloseDisplay(display)


def _run(window: Any, seconds: float | None) -> None:
    if seconds is None:
        window.run()
        return
    end = time.monotonic() + seconds
    while time.monotonic() < end and window.poll_events():
        window.update_renderer()
