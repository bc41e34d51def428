"""Bring a scan into the frame of its class: ICP from where it is, or a search over all poses."""

from __future__ import annotations

from dusnet.geometry.normals import estimate_normals
from dusnet.registration.aligner import Aligner, Alignment
from dusnet.registration.usual import Usual, alone, beside_others

__all__ = ["Aligner", "Alignment", "Usual", "alone", "beside_others", "estimate_normals"]
