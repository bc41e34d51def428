"""What random solids are drawn from: numbers that are sizes can differ a little from specimen to specimen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from manifold3d import Manifold

from dusnet.synthesis.surface import Floats

MOST_DRAWS = 1000  # of a shape or a solid until one is usable; one in two to ten is thrown away


class Draws(np.random.Generator):
    """A generator that knows which of its numbers are sizes.

    Args:
        source: whose stream it continues.
        change: gives the factor of the next size; None leaves all sizes as drawn. It has its own source of randomness,
            so that a seed draws the same numbers with it and without.
    """

    def __init__(self, source: np.random.Generator, change: Callable[[], float] | None = None) -> None:
        super().__init__(source.bit_generator)
        self._change = change

    def size(self, low: float, high: float) -> float:
        """One size within bounds, then changed."""
        return float(self.sizes(low, high, 1)[0])

    def sizes(self, low: float, high: float, count: int) -> Floats:
        """Several of them, (count,)."""
        return self.uniform(low, high, count) * self.changes(count)

    def changes(self, count: int) -> Floats:
        """Factors of sizes that are drawn in another way, (count,)."""
        return np.array([1.0 if self._change is None else self._change() for _ in range(count)])

    def chance(self, share: float) -> bool:
        """True in this share of all cases."""
        return bool(self.random() < share)


def random_turn(g: np.random.Generator) -> Floats:
    """A proper rotation drawn evenly from all, (3, 3) float64."""
    w, x, y, z = (q := g.normal(size=4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def moved(solid: Manifold, turn: Floats, to: Floats) -> Manifold:
    """A solid after x -> turn x + to."""
    return solid.transform(np.ascontiguousarray(np.column_stack([turn, to])))
