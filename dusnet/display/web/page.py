"""The page of `dusnet view --web`: its controls, its scene, and what happens when a control moves."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.colors.color_maps import BOX
from dusnet.display.camera import Camera, toward_defect, upright
from dusnet.display.loaded_result import LoadedResult, read_loaded_result
from dusnet.display.scene import LAYER_KEYS, DrawnPoints, Layer, Scene, defect_boxes
from dusnet.display.web.text import aside, block, legend, notice, verdict
from dusnet.display.wording import defect_line
from dusnet.errors import DusnetError
from dusnet.inspection.result_parts import Defect
from dusnet.words import counted

Array = NDArray[np.float64]

MOST_POINTS = 200_000
"""Points of a scan that a page draws at most."""
LISTED = 10
"""Defects that a page lists."""
MOST_GROUPED = 100_000
"""Points above the threshold beyond which they are only counted: grouping them takes long and makes no list."""

_FIELD = 0.6  # of view, radians
_AWAY = 3.6  # of the camera from a scan, radii
_PAUSE = 0.3  # seconds without a change before defects are searched for: not at every step of a moving slider
_NEAREST = 0.9  # of the camera from a defect, radii
_STEPS = 500  # of the threshold slider, about
_DIGITS = 3  # of the threshold that the slider starts at


@dataclass(frozen=True)
class _Look:
    """A camera in the coordinates of the page: x right, y up and z towards the viewer of the whole scan, in radii."""

    position: Array
    target: Array
    up: Array


class Page:
    """One page, the same for everybody who has it open.

    Controls only leave a note; `run` does the work, one note at a time, and skips what was overtaken meanwhile. What
    controls hold comes from browsers, which can send anything; what was not offered is put back.

    Args:
        server: a started `viser.ViserServer`.
        files: scans and scored scans, at least one.
        first: the first of them, read.
        reconstruction: whether to read the surfaces without defects.
    """

    def __init__(self, server: Any, files: Sequence[Path], first: LoadedResult, *, reconstruction: bool) -> None:
        self._server, self._files, self._reconstruction = server, files, reconstruction
        self._notes: SimpleQueue[tuple[Any, int | None] | None] = SimpleQueue()
        self._scan = 0
        self._scene: Scene | None = None
        self._painted: DrawnPoints | None = None
        self._shown: tuple[Layer, float | None] | None = None
        self._counted: float | None = None
        self._drawn: dict[bool, DrawnPoints] = {}
        self._node: Any = None
        self._marks: list[Any] = []
        self._buttons: list[Any] = []
        self._defects: tuple[Defect, ...] = ()
        self._names = [f"{number}. {path.name}" for number, path in enumerate(files, 1)]
        self._first_scan = Scene(first)
        self._lay_out()

    def run(self) -> None:
        """Show the first scan and follow the controls, until the process is interrupted."""
        self._open(self._first_scan)
        while True:
            pending = self._scene is not None and self._counted != self._threshold()
            try:
                notes = [self._notes.get(timeout=_PAUSE if pending else None)]
            except Empty:
                self._find_defects()
                continue
            while not self._notes.empty():
                notes.append(self._notes.get())
            self._follow()
            for note in notes:
                if note is not None:
                    self._face(*note)

    # --- controls ---------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        gui = self._server.gui
        gui.configure_theme(control_layout="fixed", control_width="large", show_logo=False, show_share_button=False)
        self._scans = gui.add_dropdown("Scan", self._names, initial_value=self._names[0])
        self._steps = gui.add_button_group("", ("Previous", "Next"), visible=len(self._files) > 1)
        self._verdict = gui.add_html("")
        self._layers = gui.add_dropdown("Layer", [Layer.INPUT.value], initial_value=Layer.INPUT.value)
        self._legend = gui.add_html("")
        self._order = 10.0  # of the slider, which is made anew for each scan
        self._slider: Any = None
        self._count = gui.add_html("", order=self._order + 1)
        self._reset = gui.add_button("Reset limit", order=self._order + 2)
        self._size = gui.add_slider("Point size", 0.2, 5.0, 0.1, 1.0, order=self._order + 3, hint="times the spacing")
        self._list = gui.add_folder("Defects", order=self._order + 4)
        self._notice = gui.add_html("", order=self._order + 5)
        self._scans.on_update(self._note)
        self._layers.on_update(self._note)
        self._size.on_update(self._note)
        self._steps.on_click(lambda event: self._step(1 if event.target.value == "Next" else -1))
        self._reset.on_click(lambda _: self._back_to_first())
        for key, layer in LAYER_KEYS.items():
            self._command(layer.value.capitalize(), key, layer)
        if len(self._files) > 1:
            gui.add_command("Next scan", hotkey="N").on_trigger(lambda _: self._step(1))
            gui.add_command("Previous scan", hotkey="P").on_trigger(lambda _: self._step(-1))

    def _command(self, label: str, key: str, layer: Layer) -> None:
        def choose(_: object) -> None:
            if layer.value in self._layers.options:
                self._layers.value = layer.value

        self._server.gui.add_command(label, hotkey=key).on_trigger(choose)

    def _note(self, _: object) -> None:
        self._notes.put(None)

    def _step(self, by: int) -> None:
        self._scans.value = self._names[(self._asked() + by) % len(self._names)]

    def _back_to_first(self) -> None:
        if self._slider is not None:
            self._slider.value = self._slider_first

    # --- following them ---------------------------------------------------------------------------------------------

    def _asked(self) -> int:
        """The number of the scan that is asked for; the one shown where there is none of the name."""
        name = self._scans.value
        return self._names.index(name) if name in self._names else self._scan

    def _layer(self, scene: Scene) -> Layer:
        """The layer that is asked for; the one shown, or the first, where the scan has none of the name."""
        asked = next((layer for layer in scene.layers if layer.value == self._layers.value), None)
        return asked or (self._shown[0] if self._shown else scene.layers[0])

    def _put_back(self) -> None:
        """Show the names that hold in the lists where a browser sent others: everybody sees the same lists."""
        if self._scans.value not in self._names:
            self._scans.value = self._names[self._scan]
        if self._layers.value not in self._layers.options:
            self._layers.value = self._shown[0].value if self._shown else self._layers.options[0]

    def _follow(self) -> None:
        self._put_back()
        scan = self._asked()
        if scan != self._scan:
            self._scan = scan
            self._change(self._files[scan])
        elif self._scene is not None:
            self._paint(self._scene)

    def _change(self, file: Path) -> None:
        self._verdict.content = aside(f"reading {file.name} ...", "dusnet-verdict")
        try:
            loaded = read_loaded_result(file, reconstruction=self._reconstruction)
        except DusnetError as error:  # the other scans of the list can still be looked at
            self._clear(str(error))
            return
        self._open(Scene(loaded))

    def _clear(self, sentence: str) -> None:
        self._scene = None
        if self._node is not None:
            self._node.remove()
        self._node, self._painted = None, None
        self._forget_defects()
        self._make_slider(None)
        self._verdict.content = block(html.escape(sentence), "dusnet-error")
        for text in (self._count, self._legend, self._notice):
            text.content = ""

    def _open(self, scene: Scene) -> None:
        """Show another scan: its controls, its points, and the camera in front of it."""
        self._scene, self._shown, self._drawn = scene, None, {}
        self._forget_defects()
        self._verdict.content = verdict(scene.loaded)
        offered = [layer.value for layer in scene.layers]
        chosen = self._layers.value if len(self._layers.options) > 1 else ""  # no choice was offered: none was made
        self._layers.options = offered
        self._layers.value = chosen if chosen in offered else offered[0]
        self._make_slider(scene)
        self._legend.content = legend(scene) if scene.loaded.scores is not None else ""
        self._paint(scene)
        self._look(_Look(np.array([0.0, 0.0, _AWAY]), np.zeros(3), np.array([0.0, 1.0, 0.0])), everybody=True)

    def _make_slider(self, scene: Scene | None) -> None:
        if self._slider is not None:
            self._slider.remove()
            self._slider = None
        self._first = None if scene is None else scene.threshold
        self._reset.visible = self._list.visible = self._first is not None
        if scene is None or self._first is None:
            return
        low, high = scene.threshold_range
        step = 10.0 ** math.floor(math.log10((high - low) / _STEPS))
        self._slider_first = float(f"{self._first:.{_DIGITS}g}")
        low, high = min(low, self._slider_first), max(math.ceil(high / step) * step, self._slider_first)
        self._slider = self._server.gui.add_slider(
            "Point limit",
            *(float(f"{value:.6g}") for value in (low, high, step)),
            self._slider_first,
            order=self._order,
            hint="anomaly score above which a point is part of a defect",
        )
        self._slider.on_update(self._note)

    def _threshold(self) -> float | None:
        """What the slider says; untouched, exactly the result's threshold, of which it shows the first digits."""
        if self._slider is None:
            return None
        value = _held(self._slider)
        return self._first if value == self._slider_first else value

    def _paint(self, scene: Scene) -> None:
        layer, threshold = self._layer(scene), self._threshold()
        rebuilt = layer is Layer.RECONSTRUCTION
        if rebuilt not in self._drawn:
            self._drawn[rebuilt] = scene.drawn(layer, MOST_POINTS)
        drawn = self._drawn[rebuilt]
        if self._shown is None or self._shown[0] is not layer or layer is Layer.DEFECTS:
            self._put(drawn, np.rint(drawn.lit(scene.colors(layer, threshold)[drawn.index])).astype(np.uint8))
        self._node.point_size = drawn.spacing * _held(self._size)
        self._shown = (layer, threshold)
        self._notice.content = notice(len(drawn.index), len(scene.cloud(layer)))
        if threshold is None or threshold != self._counted:
            self._tell(scene, threshold, "counting defects")
        for mark in self._marks:
            mark.visible = layer is Layer.DEFECTS

    def _find_defects(self) -> None:
        scene, threshold = self._scene, self._threshold()
        if scene is None or threshold is None:
            return
        self._counted = threshold
        if int(scene.above(threshold).sum()) > MOST_GROUPED and threshold != scene.loaded.point_threshold:
            self._defects, count, words = (), 0, "too many for a list of defects"
        else:
            self._defects = scene.defects(threshold)
            count = scene.defect_count(threshold, self._defects)
            words = counted(count, "defect")
        self._tell(scene, threshold, words)
        self._list_defects(self._defects, count, scene.loaded.unit)
        self._mark(scene, self._defects[:LISTED])

    def _forget_defects(self) -> None:
        self._counted, self._defects = None, ()
        self._list_defects((), 0, None)
        self._unmark()

    def _tell(self, scene: Scene, threshold: float | None, words: str) -> None:
        line = scene.count_line(threshold)
        text = line if threshold is None else f"{line}, {words}"
        self._count.content = block(html.escape(text), "dusnet-count")

    def _list_defects(self, defects: Sequence[Defect], count: int, unit: str | None) -> None:
        for button in self._buttons:
            button.remove()
        self._buttons = []
        self._list.label = f"Defects: {min(count, LISTED)} worst of {count}" if count > LISTED else f"Defects: {count}"
        with self._list:
            for number, defect in enumerate(defects[:LISTED]):
                button = self._server.gui.add_button(defect_line(number + 1, defect, unit))
                button.on_click(lambda event, number=number: self._notes.put((event.client, number)))
                self._buttons.append(button)

    # --- scene ------------------------------------------------------------------------------------------------------

    def _put(self, drawn: DrawnPoints, colors: NDArray[np.uint8]) -> None:
        if self._node is not None and len(self._node.points) == len(colors) and self._painted is drawn:
            self._node.colors = colors
            return
        self._painted = drawn
        self._node = self._server.scene.add_point_cloud(
            "/scan",
            drawn.points.astype(np.float32),
            colors,
            point_size=drawn.spacing * _held(self._size),
            point_shape="circle",
            point_shading="flat",
            precision="float32",
        )

    def _unmark(self) -> None:
        for mark in self._marks:
            mark.remove()
        self._marks = []

    def _mark(self, scene: Scene, defects: Sequence[Defect]) -> None:
        self._unmark()
        if not defects:
            return
        drawing, visible = self._server.scene, self._layers.value == Layer.DEFECTS.value
        ends = scene.camera.local(defect_boxes(defects)).astype(np.float32)
        color = np.broadcast_to(np.array(BOX, dtype=np.uint8), ends.shape)
        self._marks.append(
            drawing.add_line_segments("/boxes", ends, color, thickness=1.5, thickness_units="screen", visible=visible)
        )
        for number, corners in enumerate(ends.reshape(len(defects), -1, 3), 1):
            top = corners[corners[:, 1].argmax()]
            self._marks.append(
                drawing.add_label(f"/label{number}", str(number), position=top, anchor="bottom-center", visible=visible)
            )

    # --- camera -----------------------------------------------------------------------------------------------------

    def _face(self, client: Any, number: int | None) -> None:
        """Turn the camera of whoever clicked to a defect."""
        if self._scene is None or number is None or number >= len(self._defects):
            return
        look = _facing(self._scene.loaded.cloud.points, self._defects[number], self._scene.camera)
        self._look(look, everybody=False, client=client)

    def _look(self, look: _Look, *, everybody: bool, client: Any = None) -> None:
        if everybody:
            initial = self._server.initial_camera
            initial.position, initial.look_at, initial.up, initial.fov = look.position, look.target, look.up, _FIELD
        for one in self._server.get_clients().values() if everybody else [client]:
            with one.atomic():
                one.camera.up_direction = look.up
                one.camera.position = look.position
                one.camera.look_at = look.target
                one.camera.fov = _FIELD


def _held(slider: Any) -> float:
    """What a slider says, inside of its range; its lowest value where a browser sent what is no number."""
    return float(min(max(slider.min, slider.value), slider.max))  # `max` keeps its first argument beside NaN


def _facing(points: Array, defect: Defect, camera: Camera) -> _Look:
    low, high, center = np.array(defect.bounds.low), np.array(defect.bounds.high), np.array(defect.center)
    inside = ((points >= low) & (points <= high)).all(axis=1)
    direction = camera.axes @ toward_defect(points, points[inside], center, camera.center, camera.radius)
    target = camera.local(center)
    away = max(_NEAREST, 4.0 * float(np.linalg.norm(high - low)) / 2.0 / camera.radius)
    up = upright(direction, np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, -1.0]))
    return _Look(target + min(away, _AWAY) * direction, target, up)
