"""The reference of an aligner, and what a search derives from it, each made when it is first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dusnet.geometry.sampling import thin_to
from dusnet.geometry.surface import DiscSurface, Table
from dusnet.registration.ransac import Features
from dusnet.registration.sweep import Views
from dusnet.registration.turned_poses import TurnedPoses

Array = NDArray[np.float64]

_FEW = 3000  # evenly spread points that the search knows


@dataclass(frozen=True)
class Reference:
    """A surface in the normalised frame. Another surface is another reference: nothing that is derived stays."""

    surface: DiscSurface

    @cached_property
    def few(self) -> Array:
        """Evenly spread points, (M, 3)."""
        return self.surface.points[thin_to(self.surface.points, _FEW)]

    @cached_property
    def coarse(self) -> DiscSurface:
        """The surface through the evenly spread points."""
        return DiscSurface.of(self.few)

    @cached_property
    def table(self) -> Table:
        """The nearest of the evenly spread points, cell by cell."""
        return Table.of(self.coarse)

    @cached_property
    def turns(self) -> TurnedPoses:
        """Poses that most of the part cannot tell apart."""
        return TurnedPoses.of(self.surface, self.coarse)

    @cached_property
    def views(self) -> Views:
        """What is seen from each direction."""
        return Views.of(self.surface)

    @cached_property
    def features(self) -> Features:
        """Features of the points for matches."""
        return Features.of(self.surface.points, None)
