"""The largest defect that the user accepts, as a length and as an area, whatever good scans score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dusnet.errors import BadConfig
from dusnet.inspection.verdict import DEEP, LARGE, Reason
from dusnet.units import squared

if TYPE_CHECKING:
    from dusnet.inspection.regions import Region

LIMITS = "limits"
"""Where the provenance of a model keeps them."""


@dataclass(frozen=True)
class OwnLimits:
    """What a part may have and still be good; None for no limit.

    Attributes:
        deviation: how far the deepest defect may lie from the good surface, either way, and how far missing material
            may be from the rest of the scan; a positive length.
        area: of the largest defect, a positive length squared.

    Raises:
        BadConfig: one of them is zero, negative, or no finite number.
    """

    deviation: float | None = None
    area: float | None = None

    def __post_init__(self) -> None:
        for option, value, example in (("limit", self.deviation, "0.5"), ("max-area", self.area, "30")):
            if value is not None and not (math.isfinite(value) and value > 0.0):
                raise BadConfig(f"--{option} {value:g} is no limit; give a positive number such as {example}.")

    def __bool__(self) -> bool:
        return self.deviation is not None or self.area is not None

    def over(self, usual: OwnLimits) -> OwnLimits:
        """These limits, and the usual ones where there is none."""
        return OwnLimits(
            usual.deviation if self.deviation is None else self.deviation,
            usual.area if self.area is None else self.area,
        )

    def scaled(self, factor: float) -> OwnLimits:
        """The same limits in a unit in which every length is `factor` times the number."""
        return OwnLimits(
            None if self.deviation is None else factor * self.deviation,
            None if self.area is None else factor**2 * self.area,
        )

    def passed_by(self, defect: Region) -> bool:
        """Whether a defect is deeper or larger than what is accepted."""
        return self._too_deep(defect) or self._too_large(defect)

    def reasons(self, defects: Sequence[Region], unit: str | None) -> tuple[Reason, ...]:
        """Why defects are not accepted, a sentence per limit that one of them passes.

        Args:
            defects: of one scan, in the unit of the limits.
            unit: its name, for the sentences.
        """
        of_unit = f" {unit}" if unit else ""
        found = []
        deep = [depth_of(one) for one in defects if self._too_deep(one)]
        if deep:
            worst = max(deep, key=abs)
            words = f"The deepest defect, {worst:+.3g}{of_unit}, exceeds the limit of {self.deviation:g}{of_unit}."
            found.append(Reason(DEEP, words))
        large = [one.area for one in defects if self._too_large(one)]
        if large:
            of_area = f" {squared(unit)}" if unit else ""
            words = f"The largest defect, {max(large):.3g}{of_area}, exceeds the limit of {self.area:g}{of_area}."
            found.append(Reason(LARGE, words))
        return tuple(found)

    def _too_deep(self, defect: Region) -> bool:
        return self.deviation is not None and abs(depth_of(defect)) > self.deviation

    def _too_large(self, defect: Region) -> bool:
        return self.area is not None and defect.area > self.area

    def to_json(self) -> dict[str, float | None]:
        """As plain numbers."""
        return {"deviation": self.deviation, "area": self.area}

    @classmethod
    def from_json(cls, data: Any) -> OwnLimits:
        """The inverse of `to_json`.

        Raises:
            ValueError: the data are none of limits.
        """
        from dusnet.io.stored import Unusable, mapping, number

        known = mapping(data, "limits")
        if known.keys() != {"deviation", "area"}:
            raise Unusable("its limits are not those of a deviation and an area")
        values = {name: None if one is None else number(one, f"limit of the {name}") for name, one in known.items()}
        try:
            return cls(**values)
        except BadConfig as error:
            raise Unusable(f"one of its limits is none: {error}") from error


NO_LIMITS = OwnLimits()


def depth_of(defect: Region) -> float:
    """The signed deviation of a defect, or minus the distance that missing material leaves bare; 0 where unknown."""
    if defect.gap is not None:
        return -defect.gap
    return 0.0 if defect.peak_deviation is None else defect.peak_deviation
