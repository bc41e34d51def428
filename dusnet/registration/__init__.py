"""Bring a scan into the frame of its class: ICP from where it is, or a search over all poses."""

from __future__ import annotations

from dusnet.registration.aligner import Aligner, Alignment
from dusnet.registration.normals import estimate_normals

__all__ = ["Aligner", "Alignment", "estimate_normals"]
