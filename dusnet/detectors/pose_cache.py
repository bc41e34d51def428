"""One registration for several detectors: the same frame and the same poses are computed once.

Every detector of one class, seed and registration learns the same frame from the same training scans and brings a test
scan into it by the same motion. A benchmark that compares ten detectors would do that work ten times.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.config import RegistrationSettings
from dusnet.detectors.frame import ClassFrame
from dusnet.progress import Progress
from dusnet.registration import Aligner, Alignment


class PoseCache:
    """Remembers frames and poses; give one to each `RegisteredDetector` of a class and seed as its `pose_cache`.

    Results are the same bits with and without it. It keeps the training scans of the class in the frame and one
    (4, 4) motion per scan, and forgets nothing: drop it when the class changes.

    Attributes:
        cached_seconds: seconds that poses from memory took when they were computed, summed up. A measurement of time
            adds what it has grown by in the meantime, so that the time does not depend on which detector came first.
    """

    def __init__(self) -> None:
        self.cached_seconds = 0.0
        self._learned: dict[str, tuple[ClassFrame, list[NDArray[np.float64]], float]] = {}

    def learn(
        self, clouds: Sequence[PointCloud], settings: RegistrationSettings, *, seed: int, progress: Progress
    ) -> tuple[ClassFrame, list[NDArray[np.float64]]]:
        """What `ClassFrame.learn` answers; the frame remembers the poses of the scans that it brings in.

        Raises:
            BadInput: there is no cloud, or one of them cannot be used.
        """
        key = _mark(settings.model_dump_json().encode(), str(seed).encode(), *(cloud.points for cloud in clouds))
        known = self._learned.get(key)
        if known is None:
            start = time.perf_counter()
            frame, in_frame = ClassFrame.learn(clouds, settings, seed=seed, progress=progress)
            known = (replace(frame, poses=_Poses(self)), in_frame, time.perf_counter() - start)
            self._learned[key] = known
        else:
            self.cached_seconds += known[2]
        # Copies, since a detector may write into what it was given.
        return replace(known[0]), [points.copy() for points in known[1]]


class _Poses:
    """The alignments of one frame."""

    def __init__(self, cache: PoseCache) -> None:
        self._cache = cache
        self._known: dict[str, tuple[Alignment, float]] = {}

    def align(self, aligner: Aligner, points: NDArray[np.float64]) -> Alignment:
        """What `aligner.align` answers."""
        key = _mark(points)
        known = self._known.get(key)
        if known is None:
            start = time.perf_counter()
            known = (aligner.align(points), time.perf_counter() - start)
            self._known[key] = known
        else:
            self._cache.cached_seconds += known[1]
        return replace(known[0], matrix=known[0].matrix.copy())


def _mark(*parts: bytes | NDArray[np.float64]) -> str:
    digest = hashlib.blake2b()
    for part in parts:
        size = len(part) if isinstance(part, bytes) else part.shape
        digest.update(f"{size}:".encode())
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).data)
    return digest.hexdigest()
