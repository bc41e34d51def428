"""Opens the window on results, presses keys as the keyboard would, and writes what is seen after each to a folder.

    python press_keys.py RESULTS FOLDER KEY ...

Keys go through the X server, so that the way from the keyboard to the picture is tested.
"""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path
from typing import Any

from dusnet.display.view import view
from dusnet.display.window import viewer
from dusnet.progress import Lines

X11, XTEST = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXtst.so.6")
X11.XOpenDisplay.restype = ctypes.c_void_p
X11.XStringToKeysym.restype = ctypes.c_ulong
DISPLAY = ctypes.c_void_p(X11.XOpenDisplay(None))


def press(name: str) -> None:
    code = X11.XKeysymToKeycode(DISPLAY, ctypes.c_ulong(X11.XStringToKeysym(name.encode())))
    for down in (1, 0):
        XTEST.XTestFakeKeyEvent(DISPLAY, code, down, 0)
    X11.XFlush(DISPLAY)


def run(window: Any, seconds: float | None) -> None:
    del seconds
    XTEST.XTestFakeMotionEvent(DISPLAY, -1, 200, 200, 0)  # without a window manager the pointer chooses the window
    X11.XFlush(DISPLAY)
    for number, key in enumerate(("", *sys.argv[3:])):
        if key:
            press(key)
        end = time.monotonic() + (0.4 if key else 1.0)
        while time.monotonic() < end:
            window.poll_events()
            window.update_renderer()
        window.capture_screen_image(str(Path(sys.argv[2]) / f"{number}.png"), do_render=True)


viewer._run = run
view([Path(sys.argv[1])], progress=Lines(sys.stdout))
