"""The keys of the Open3D window: which scan and which layer it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.colors.color_maps import BOX
from dusnet.display.scene import LAYER_KEYS, DrawnPoints, Layer, Scene, defect_boxes
from dusnet.words import counted

HELP = (
    "keys: H heat map, D defects, I input, R reconstruction, G ground truth, A everything side by side, "
    "N next scan, P previous scan, ? help, Q close"
)
_ZOOM_ONE = 0.4  # one scan fills the window
_RADIUS_PIXELS = 850.0  # of a scan at that zoom, with some overlap of its points
_POINT_LIMITS = (2.0, 25.0)
POINT_PIXELS = 4.0
"""Size of a point where everything is shown side by side."""


def point_cloud(o3d: ModuleType, points: NDArray[np.float64], colors: NDArray[np.float64]) -> Any:
    """An Open3D cloud whose colours are lit already: the window's own light bleaches pale colours to white.

    Args:
        o3d: the module.
        points: (N, 3) float64.
        colors: (N, 3) float64 from 0 to 255.
    """
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    cloud.colors = o3d.utility.Vector3dVector(colors / 255.0)
    return cloud


def point_upwards(window: Any, zoom: float) -> None:
    """Look along z with y up, the pose in which everything is put into the window."""
    control = window.get_view_control()
    control.set_front([0.0, 0.0, 1.0])
    control.set_up([0.0, 1.0, 0.0])
    control.set_zoom(zoom)


@dataclass(frozen=True)
class Shown:
    """What the window shows.

    Attributes:
        scan: number of the scan, from 0.
        layer: what of it; None for everything side by side.
    """

    scan: int = 0
    layer: Layer | None = None


class Keys:
    """Shows what the keys ask for in one window.

    Args:
        o3d: the module.
        window: an open `VisualizerWithKeyCallback` that shows `everything`.
        scenes: the scans that N and P go through, at least one.
        everything: the geometries of the side-by-side view.
        zoom: of the side-by-side view.
        say: where the state is written after each key: the window itself has no text.
    """

    def __init__(
        self,
        o3d: ModuleType,
        window: Any,
        scenes: Sequence[Scene],
        *,
        everything: Sequence[Any],
        zoom: float,
        say: Callable[[str], None],
    ) -> None:
        self._o3d, self._window, self._scenes = o3d, window, scenes
        self._everything, self._zoom, self._say = list(everything), zoom, say
        self._geometries = list(everything)
        self._drawn: dict[bool, DrawnPoints] = {}  # of the scan that is shown; the reconstruction under True
        self.shown = Shown()

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
        scene = self._scenes[self.shown.scan]
        if key == "?":
            self._say(HELP)
        elif key in LAYER_KEYS and LAYER_KEYS[key] not in scene.layers:
            self._say(f"{scene.loaded.name} has no {LAYER_KEYS[key].value}.")
        else:
            self._show(self._after(key))

    def _after(self, key: str) -> Shown:
        if key == "A" or key in LAYER_KEYS:
            return Shown(self.shown.scan, LAYER_KEYS.get(key))
        scan = (self.shown.scan + (1 if key == "N" else -1)) % len(self._scenes)
        layers = self._scenes[scan].layers
        return Shown(scan, self.shown.layer if self.shown.layer in layers else layers[0])

    def _show(self, wanted: Shown) -> None:
        if wanted.scan != self.shown.scan:
            self._drawn = {}
        moved = wanted.scan != self.shown.scan or (wanted.layer is None) != (self.shown.layer is None)
        pixels, geometries = POINT_PIXELS, self._everything
        if wanted.layer is not None:
            drawn = self._points(wanted.scan, wanted.layer)
            pixels = min(max(_RADIUS_PIXELS * drawn.spacing, _POINT_LIMITS[0]), _POINT_LIMITS[1])
            geometries = self._layer(self._scenes[wanted.scan], wanted.layer, drawn)
        for geometry in self._geometries:
            self._window.remove_geometry(geometry, reset_bounding_box=False)
        for geometry in geometries:
            self._window.add_geometry(geometry, reset_bounding_box=False)
        self._window.get_render_option().point_size = pixels
        if moved:
            self._window.reset_view_point(True)  # else the box of everything that was ever shown is looked at
            point_upwards(self._window, self._zoom if wanted.layer is None else _ZOOM_ONE)
        self._geometries, self.shown = list(geometries), wanted
        self._say(self._line(wanted))

    def _points(self, scan: int, layer: Layer) -> DrawnPoints:
        """All points of a layer; those of the last scan are kept: the normals of a big one take seconds."""
        rebuilt, scene = layer is Layer.RECONSTRUCTION, self._scenes[scan]
        if rebuilt not in self._drawn:
            self._drawn[rebuilt] = scene.drawn(layer, len(scene.cloud(layer)))
        return self._drawn[rebuilt]

    def _layer(self, scene: Scene, layer: Layer, drawn: DrawnPoints) -> list[Any]:
        colors = scene.colors(layer, scene.threshold)
        geometries = [point_cloud(self._o3d, drawn.points, drawn.lit(colors))]
        edges = defect_boxes(scene.defects(scene.threshold)) if layer is Layer.DEFECTS else np.zeros((0, 2, 3))
        if len(edges):
            boxes = self._o3d.geometry.LineSet(
                self._o3d.utility.Vector3dVector(scene.camera.local(edges.reshape(-1, 3))),
                self._o3d.utility.Vector2iVector(np.arange(2 * len(edges)).reshape(-1, 2)),
            )
            boxes.paint_uniform_color(np.array(BOX) / 255.0)
            geometries.append(boxes)
        return geometries

    def _line(self, shown: Shown) -> str:
        if shown.layer is None:
            return "everything side by side"
        scene = self._scenes[shown.scan]
        place = f"{scene.loaded.name} ({shown.scan + 1} of {len(self._scenes)})"
        line = f"{place}, {shown.layer.value}: {scene.verdict_line}"
        if shown.layer is Layer.DEFECTS:
            count = scene.defect_count(scene.threshold, scene.defects(scene.threshold))
            line = f"{line}; {scene.count_line(scene.threshold)}, {counted(count, 'defect')}"
        return line
