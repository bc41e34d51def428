"""The peak memory of one stretch of work in this process."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
Scope = Literal["row", "process"]


@dataclass(frozen=True)
class PeakMemory:
    """How much memory was resident at the worst moment.

    Attributes:
        mib: resident set of this process (code, libraries, data), MiB.
        scope: `row` when the mark was reset before the work; `process` when the system does not allow that, so that
            the figure is the peak since the process started.
        gpu_mib: peak of what torch had allocated on the GPU during the work, MiB; None on the CPU.
    """

    mib: float
    scope: Scope
    gpu_mib: float | None


def _high_water() -> float | None:
    if not _STATUS.is_file():
        return None
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return float(line.split()[1]) / 1024.0
    return None


class PeakMeter:
    """Measures from its creation until `read`."""

    def __init__(self, device: str = "cpu") -> None:
        """Start measuring.

        Args:
            device: the GPU to watch besides the process, or `cpu`.
        """
        self._device = device if device.startswith("cuda") else None
        self._scope: Scope = "process"
        if _high_water() is not None:
            try:
                _RESET.write_text("5")
            except OSError:
                pass  # not allowed here: the peak since the start of the process is reported, and called that
            else:
                self._scope = "row"
        if self._device is not None:
            import torch

            torch.cuda.reset_peak_memory_stats(self._device)
        self._before = self.read()

    def read(self) -> PeakMemory:
        """The peak so far."""
        gpu = None
        if self._device is not None:
            import torch

            gpu = torch.cuda.max_memory_allocated(self._device) / 2**20
        water = _high_water()
        if water is None:
            unit = 1.0 if sys.platform == "darwin" else 1024.0
            water = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
        return PeakMemory(water, self._scope, gpu)

    def growth(self) -> float:
        """MiB by which the peak is above what was in use at the creation: of the GPU where one is watched."""
        now = self.read()
        if now.gpu_mib is not None and self._before.gpu_mib is not None:
            return now.gpu_mib - self._before.gpu_mib
        return now.mib - self._before.mib
