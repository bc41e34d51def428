"""Groups beside the good surface: what the guided Down-Net sees of a scan.

A group is seen from both sides: the scan's points around a centre with how far each lies off the good surface, and the
places of the good surface around it with how far each lies from any point of the scan. The first shows what is
displaced, the second what is missing. All coordinates are local, so that nothing depends on the part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dusnet import ops
from dusnet.detectors.dusnet.settings import GuideSettings
from dusnet.registration.good_surface import GoodSurface, ScanComparison
from dusnet.registration.tolerance import ToleranceField

HEIGHT = 0.01
"""Unit of distances off the surface, in the frame."""
SCAN_CHANNELS, PLACE_CHANNELS, CENTER_CHANNELS = 6, 4, 5


@dataclass(frozen=True)
class GuidedGroups:
    """Groups of one scan or several, ready for the network.

    Attributes:
        centers: group centres in the reference shape, (B, G, 3) in the frame.
        displacement: vectors from the centres to the good surface, (B, G, 3).
        axes: rows are two tangents and the normal at the foot of each centre, (B, G, 3, 3).
        scan: points around each centre, (B, G, K, SCAN_CHANNELS).
        places: places of the good surface around it, (B, G, K', PLACE_CHANNELS).
        about: numbers of the centre itself, (B, G, CENTER_CHANNELS).
    """

    centers: Tensor
    displacement: Tensor
    axes: Tensor
    scan: Tensor
    places: Tensor
    about: Tensor

    @staticmethod
    def stack(groups: list[GuidedGroups]) -> GuidedGroups:
        """Several scans with equally many groups as one batch."""
        return GuidedGroups(*(torch.cat([vars(one)[name] for one in groups]) for name in vars(groups[0])))

    def tensors(self, device: torch.device) -> tuple[Tensor, ...]:
        """All parts in order, as the network takes them."""
        return tuple(value.to(device) for value in vars(self).values())


@dataclass(frozen=True)
class GuidedScan:
    """A scan beside the good surface with everything that groups are cut from.

    Attributes:
        points: centres that can be asked for, in the reference shape, (N, 3) float32.
        distance: signed distance of the points to the surface, (N,).
        normals: normals of the surface there, (N, 3).
        tolerance: what good scans show there, (N,).
        around: indices into `points` of what surrounds each of them, (N, K) int32.
        places: places of the good surface, (M, 3).
        empty: distance of each to the nearest point of the scan, (M,).
        beside: indices into `places` of what surrounds each point's foot, (N, K') int32.
        spacing: mean distance of neighbouring points of the scan.
        level: tolerance of the class.
    """

    points: Tensor
    distance: Tensor
    normals: Tensor
    tolerance: Tensor
    around: Tensor
    places: Tensor
    empty: Tensor
    beside: Tensor
    spacing: float
    level: float

    @classmethod
    def of(cls, found: ScanComparison, surface: GoodSurface, settings: GuideSettings, *, seed: int) -> GuidedScan:
        """Find neighbours once, for many groups.

        Args:
            found: the scan beside the surface; all of its points can be centres.
            surface: the good surface.
            settings: how many neighbours.
            seed: of the thinning of the surface to the density of the scan.
        """
        points = found.shaped
        # About as dense as the scan would be if it covered the whole part.
        places = surface.thinned(min(len(points), int(np.mean(surface.sizes))), seed)
        squared, around = found.search.knn(points[None], min(settings.neighbors * settings.stride, len(points)))
        spacing = float(squared[0, :, 1].sqrt().mean())
        empty, _ = found.search.nearest(places[None])
        _, beside = ops.knn(found.foot[None], places[None], min(settings.places, len(places)))
        level = max(surface.tolerance.level if surface.tolerance is not None else 0.0, 1e-6)
        here = torch.full((len(points),), level)
        if surface.tolerance is not None:
            here = surface.tolerance.at(points)
        return cls(
            points,
            found.distance,
            found.normals,
            here,
            around[0, :, :: settings.stride].int(),
            places,
            empty[0].sqrt(),
            beside[0].int(),
            spacing,
            level,
        )

    def groups(self, index: Tensor, turns: Tensor) -> GuidedGroups:
        """The groups of some centres.

        Args:
            index: rows of `points`, (G,) int64.
            turns: angles of the tangents, radians, (G,); which way a tangent points means nothing, and training shows
                the network all of them.

        Returns:
            One scan, B = 1.
        """
        normals = self.normals[index]
        axes = _axes(normals, turns)
        foot = self.points[index] - self.distance[index].unsqueeze(1) * normals
        around, beside = self.around[index].long(), self.beside[index].long()
        units = torch.tensor([self.spacing, self.spacing, HEIGHT])
        seen = torch.einsum("gij,gkj->gki", axes, self.points[around] - foot.unsqueeze(1)) / units
        agree = torch.einsum("gkj,gj->gk", self.normals[around], normals)
        off = self.distance[around] * agree.sign() / HEIGHT
        unusual = self.distance.abs() / (self.tolerance + ToleranceField.FLOOR * self.level)
        missing = torch.einsum("gij,gkj->gki", axes, self.places[beside] - foot.unsqueeze(1)) / units
        about = torch.stack(
            [
                self.distance[index] / HEIGHT,
                self.tolerance[index] / HEIGHT,
                torch.full((len(index),), self.level / HEIGHT),
                torch.full((len(index),), self.spacing / HEIGHT),
                unusual[index],
            ],
            dim=1,
        )
        return GuidedGroups(
            self.points[index][None],
            (foot - self.points[index])[None],
            axes[None],
            _squash(torch.cat([seen, torch.stack([off, agree.abs(), unusual[around]], dim=2)], dim=2))[None],
            _squash(torch.cat([missing, (self.empty[beside] / self.spacing).unsqueeze(2)], dim=2))[None],
            _squash(about)[None],
        )


def _axes(normals: Tensor, turns: Tensor) -> Tensor:
    helper = torch.where(normals[:, :1].abs() < 0.6, torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
    first = functional.normalize(torch.linalg.cross(normals, helper), dim=1)
    second = torch.linalg.cross(normals, first)
    cos, sin = turns.cos().unsqueeze(1), turns.sin().unsqueeze(1)
    return torch.stack([cos * first + sin * second, cos * second - sin * first, normals], dim=1)


def _squash(values: Tensor) -> Tensor:
    """Logarithmic beyond one, so that a far-off point is no outlier to the network."""
    return values.sign() * torch.where(values.abs() > 1, 1 + values.abs().clamp_min(1).log(), values.abs())
