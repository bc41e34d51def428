"""The keys of the Open3D window: which scan and which layer it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.display.camera import Camera
from dusnet.display.color_maps import ANCHORS
from dusnet.display.layers import (
    Layer,
    State,
    box_edges,
    brightness,
    count_line,
    defect_count_at,
    defects_at,
    first_threshold,
    layer_cloud,
    layer_colors,
    layers_of,
    spacing,
    verdict_line,
)
from dusnet.display.loaded_result import LoadedResult
from dusnet.display.render import Panel, camera_of
from dusnet.geometry.normals import estimate_normals

Array = NDArray[np.float64]

LAYER_KEYS = {
    "I": Layer.INPUT,
    "R": Layer.RECONSTRUCTION,
    "H": Layer.HEAT,
    "D": Layer.DEFECTS,
    "G": Layer.TRUTH,
}
HELP = (
    "keys: H heat map, D defects, I input, R reconstruction, G ground truth, A everything side by side, "
    "N next scan, P previous scan, ? help, Q close"
)
_BOX = ANCHORS[-1]
_NORMAL_NEIGHBORS = 16
_ZOOM_ONE = 0.4  # one scan fills the window
_RADIUS_PIXELS = 850.0  # of a scan at that zoom, with some overlap of its points
_POINT_LIMITS = (2.0, 25.0)
POINT_PIXELS = 4.0
"""Size of a point where everything is shown side by side."""


class LitCloud:
    """An Open3D cloud whose colours are shaded here: the window's own light bleaches pale colours to white.

    Args:
        o3d: the module.
        points: (N, 3) float64, x right, y up, z towards the viewer.
    """

    def __init__(self, o3d: ModuleType, points: Array) -> None:
        self._o3d = o3d
        self.geometry = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
        self.spacing = spacing(points)
        self._brightness = brightness(estimate_normals(points, _NORMAL_NEIGHBORS))[:, None]

    def painted(self, colors: NDArray[np.uint8]) -> Any:
        """The geometry with these colours, (N, 3) uint8."""
        self.geometry.colors = self._o3d.utility.Vector3dVector(colors / 255.0 * self._brightness)
        return self.geometry


def point_upwards(window: Any, zoom: float) -> None:
    """Look along z with y up, the pose in which everything is put into the window."""
    control = window.get_view_control()
    control.set_front([0.0, 0.0, 1.0])
    control.set_up([0.0, 1.0, 0.0])
    control.set_zoom(zoom)


class Keys:
    """Shows what the keys ask for in one window.

    Args:
        o3d: the module.
        window: an open `VisualizerWithKeyCallback` that shows `everything`.
        all_loaded: the scans that N and P go through, at least one.
        everything: the geometries of the side-by-side view.
        zoom: of the side-by-side view.
        say: where the state is written after each key: the window itself has no text.
    """

    def __init__(
        self,
        o3d: ModuleType,
        window: Any,
        all_loaded: Sequence[LoadedResult],
        *,
        everything: Sequence[Any],
        zoom: float,
        say: Callable[[str], None],
    ) -> None:
        self._o3d, self._window, self._all_loaded = o3d, window, all_loaded
        self._everything, self._zoom, self._say = list(everything), zoom, say
        self._shown = list(everything)
        self._cameras: dict[int, Camera] = {}
        self._clouds: dict[bool, LitCloud] = {}  # of the scan that is shown; the reconstruction under True
        self.state = State()

    def register(self) -> None:
        """Bind the keys; Open3D's own meaning of a key gives way."""
        for key in (*LAYER_KEYS, "A", "N", "P"):
            self._window.register_key_callback(ord(key), partial(self._pressed, key))
        self._window.register_key_callback(ord("/"), partial(self._pressed, "?"))  # the key, with or without shift

    def _pressed(self, key: str, window: Any) -> bool:
        del window
        self.press(key)
        return False  # the geometries are replaced here; nothing is left for Open3D to update

    def press(self, key: str) -> None:
        """Do what a key asks for, and say what is shown then."""
        if key == "?":
            self._say(HELP)
            return
        loaded = self._all_loaded[self.state.scan]
        if key in LAYER_KEYS and LAYER_KEYS[key] not in layers_of(loaded):
            self._say(f"{loaded.name} has no {LAYER_KEYS[key].value}.")
            return
        self._show(self._after(key))

    def _after(self, key: str) -> State:
        if key == "A":
            return replace(self.state, layer=None)
        if key in LAYER_KEYS:
            return replace(self.state, layer=LAYER_KEYS[key])
        state = self.state.stepped(1 if key == "N" else -1, len(self._all_loaded))
        offered = layers_of(self._all_loaded[state.scan])
        return state if state.layer in offered else replace(state, layer=offered[0])

    def _show(self, state: State) -> None:
        if state.scan != self.state.scan:
            self._clouds = {}
        moved = state.scan != self.state.scan or (state.layer is None) != (self.state.layer is None)
        geometries = self._everything if state.layer is None else self._geometries(state, state.layer)
        for geometry in self._shown:
            self._window.remove_geometry(geometry, reset_bounding_box=False)
        for geometry in geometries:
            self._window.add_geometry(geometry, reset_bounding_box=False)
        self._window.get_render_option().point_size = self._point_pixels(state.layer)
        if moved:
            self._window.reset_view_point(True)  # else the box of everything that was ever shown is looked at
            point_upwards(self._window, self._zoom if state.layer is None else _ZOOM_ONE)
        self._shown, self.state = list(geometries), state
        self._say(self._line(state))

    def _geometries(self, state: State, layer: Layer) -> list[Any]:
        loaded = self._all_loaded[state.scan]
        threshold = first_threshold(loaded)
        camera = self._camera(state.scan)
        colors = layer_colors(loaded, layer, threshold)
        rebuilt = layer is Layer.RECONSTRUCTION
        if rebuilt not in self._clouds:  # its normals take seconds for a big scan
            self._clouds[rebuilt] = LitCloud(self._o3d, _seen(layer_cloud(loaded, layer).points, camera))
        shown = [self._clouds[rebuilt].painted(colors)]
        edges = box_edges(defects_at(loaded, threshold)) if layer is Layer.DEFECTS else np.zeros((0, 2, 3))
        if len(edges):
            boxes = self._o3d.geometry.LineSet(
                self._o3d.utility.Vector3dVector(_seen(edges.reshape(-1, 3), camera)),
                self._o3d.utility.Vector2iVector(np.arange(2 * len(edges)).reshape(-1, 2)),
            )
            boxes.paint_uniform_color(np.array(_BOX) / 255.0)
            shown.append(boxes)
        return shown

    def _point_pixels(self, layer: Layer | None) -> float:
        """Points that touch each other, within reason."""
        if layer is None:
            return POINT_PIXELS
        close = self._clouds[layer is Layer.RECONSTRUCTION].spacing
        return min(max(_RADIUS_PIXELS * close, _POINT_LIMITS[0]), _POINT_LIMITS[1])

    def _camera(self, number: int) -> Camera:
        if number not in self._cameras:
            loaded = self._all_loaded[number]
            self._cameras[number] = camera_of([Panel(loaded.name, loaded.cloud.points, values=loaded.scores)])
        return self._cameras[number]

    def _line(self, state: State) -> str:
        if state.layer is None:
            return "everything side by side"
        loaded = self._all_loaded[state.scan]
        line = (
            f"{loaded.name} ({state.scan + 1} of {len(self._all_loaded)}), {state.layer.value}: {verdict_line(loaded)}"
        )
        if state.layer is Layer.DEFECTS:
            threshold = first_threshold(loaded)
            count = defect_count_at(loaded, threshold, defects_at(loaded, threshold))
            line = f"{line}; {count_line(loaded, threshold)}, {count} {'defect' if count == 1 else 'defects'}"
        return line


def _seen(points: Array, camera: Camera) -> Array:
    """Points (N, 3) in radii as the camera sees them: x right, y up, z towards the viewer."""
    return np.asarray((points - camera.center) / camera.radius @ camera.axes.T)
