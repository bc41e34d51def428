"""The one door to Open3D, which needs system libraries that a bare machine may lack."""

from __future__ import annotations

import importlib
from types import ModuleType

from dusnet.errors import MissingDependency

SYSTEM_PACKAGES = (
    "libusb-1.0-0",
    "libgl1",
    "libegl1",
    "libx11-6",
    "libgomp1",
    "libvulkan1",
    "mesa-vulkan-drivers",
)


def open3d() -> ModuleType:
    """The `open3d` module.

    Raises:
        MissingDependency: the package or one of its system libraries is absent; the message has the exact command.
    """
    try:
        module = importlib.import_module("open3d")
    except ModuleNotFoundError as error:
        if error.name != "open3d":
            raise
        raise MissingDependency("Open3D is not installed; run `pip install open3d`.") from error
    except (ImportError, OSError) as error:
        packages = " ".join(SYSTEM_PACKAGES)
        raise MissingDependency(
            f"Open3D cannot load a system library ({error}); run `sudo apt-get install -y {packages}`."
        ) from error
    module.utility.set_verbosity_level(module.utility.VerbosityLevel.Error)
    return module
