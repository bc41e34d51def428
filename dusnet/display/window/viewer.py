"""An Open3D window with scans side by side."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.display.panels import Panel, camera_of, heat_limits
from dusnet.display.scene import DrawnPoints, Scene
from dusnet.display.window.keys import HELP, POINT_PIXELS, Keys, point_cloud, point_upwards
from dusnet.errors import BadInput
from dusnet.open3d_import import open3d
from dusnet.progress import Silent

_GAP = 0.15  # between panels, fraction of the widest
_ZOOM = 0.55  # the row fills the window


def open_window(
    scenes: Sequence[Scene],
    *,
    limits: tuple[float, float] | None = None,
    threshold: float | None = None,
    title: str = "",
    seconds: float | None = None,
    say: Callable[[str], None] | None = None,
) -> None:
    """Show scans side by side until the window is closed; keys show one layer of one scan instead (`keys.HELP`).

    Panels of one scan keep their relative pose and stand in a row, seen as a picture would show them; scans follow
    each other downwards.

    Args:
        scenes: at least one.
        limits: scores of the palest and the darkest colour, see `heat_limits` for what None means.
        threshold: point score that the automatic limits are made from.
        title: of the window.
        seconds: close after so many seconds; None waits for the user.
        say: where each key writes what is shown then.

    Raises:
        BadInput: there is no display.
        MissingDependency: Open3D or one of its system libraries is absent.
    """
    if not scenes:
        raise ValueError("a window needs at least one scan")
    require_display()
    o3d = open3d()
    panels = [panel for place, scene in enumerate(scenes) for panel in scene.panels(place)]
    limits = limits or heat_limits(panels, threshold)
    clouds = []
    for panel, points in zip(panels, arrange(panels), strict=True):
        drawn = DrawnPoints.of(points, np.arange(len(points)))
        clouds.append(point_cloud(o3d, points, drawn.lit(panel.painted(limits))))
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
        tell = say or Silent().log
        Keys(o3d, window, scenes, everything=clouds, zoom=_ZOOM, say=tell).register()
        tell(HELP)
        _run(window, seconds)
    finally:
        window.destroy_window()


def arrange(panels: Sequence[Panel]) -> list[NDArray[np.float64]]:
    """The points of each panel (N, 3) as seen by the camera of its scene: x right, y up, z towards the viewer.

    Panels of a scene stand in a row without touching, scenes below each other, all in radii of their first panel.
    """
    placed: list[NDArray[np.float64]] = []
    top = 0.0
    for scene in dict.fromkeys(panel.scene for panel in panels):
        together = [panel for panel in panels if panel.scene == scene]
        camera = camera_of(together)
        seen = [camera.local(panel.points) for panel in together]
        step = max(float(np.ptp(points[:, 0])) for points in seen) * (1.0 + _GAP)
        placed += [points + np.array([column * step, top, 0.0]) for column, points in enumerate(seen)]
        top -= max(float(np.ptp(points[:, 1])) for points in seen) * (1.0 + _GAP)
    return placed


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
