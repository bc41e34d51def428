"""A cloud that is searched more than once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dusnet.ops import checks
from dusnet.ops.neighbors import check_k, inverse_distance_weights

ops = torch.ops.dusnet


class PointIndex:
    """A batch of clouds prepared for searches: the work that depends on the points alone is done once.

    Results are those of the functions of the same name in `dusnet.ops`, to the bit, gradients included. Where the ops
    have nothing to prepare (plain torch, CUDA) the searches work as without an index.

    The points must not be changed in place afterwards; a search notices and refuses. It cannot notice changes of
    inference tensors and those made through NumPy or `.data`, which torch does not count.

    Attributes:
        points: (B, N, 3) float, any unit.
        lengths: (B,) int64, how many leading points of each cloud count, or None for all.

    Examples:
        >>> line = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [4, 0, 0]]])
        >>> PointIndex(line).knn(line, 2)[1]
        tensor([[[0, 1],
                 [1, 0],
                 [2, 1]]])
    """

    def __init__(self, points: Tensor, *, lengths: Tensor | None = None) -> None:
        """Prepare the points.

        Args:
            points: (B, N, 3) float, any unit.
            lengths: (B,) integers, how many leading points of each cloud count; None for all.

        Raises:
            ValueError: an argument has the wrong shape, type or range.
        """
        self.points = checks.cloud("points", points)
        used = checks.lengths("lengths", lengths, self.points)
        self.lengths = None if used is None else used.clone()
        self._index: Tensor = ops.build_index(self.points.detach(), self.lengths)
        self._version = _version(self.points)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and unpickled objects are built anew from their points."""
        return _rebuilt, (self.points, self.lengths)

    def knn(self, query: Tensor, k: int, *, query_lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Squared distances and indices (B, M, k) of the k nearest points; see `dusnet.ops.knn`.

        Args:
            query: (B, M, 3) float, the same unit, type and device as the points.
            k: from 1 to N.
            query_lengths: (B,) integers, how many leading query points of each cloud count; None for all.

        Raises:
            ValueError: an argument has the wrong shape, type or range, or the points have changed.
        """
        query, query_lengths = self._checked(query, query_lengths)
        check_k(k, self.points)
        distance, index = ops.knn(query, self.points, k, query_lengths, self.lengths, self._index)
        return distance, index

    def nearest(self, query: Tensor, *, query_lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Squared distance and index (B, M) of the nearest point.

        Args:
            query: (B, M, 3) float, the same unit, type and device as the points.
            query_lengths: (B,) integers, how many leading query points of each cloud count; None for all.

        Raises:
            ValueError: an argument has the wrong shape or type, or the points have changed.
        """
        distance, index = self.knn(query, 1, query_lengths=query_lengths)
        return distance[..., 0], index[..., 0]

    def three_nn(self, query: Tensor, *, query_lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Weights and indices (B, M, 3) for `dusnet.ops.three_interpolate`; see `dusnet.ops.three_nn`.

        Args:
            query: (B, M, 3) float, the same unit, type and device as the points.
            query_lengths: (B,) integers, how many leading query points of each cloud count; None for all.

        Raises:
            ValueError: an argument has the wrong shape or type, or the points have changed.
        """
        found = min(3, self.points.shape[1])
        return inverse_distance_weights(*self.knn(query.detach(), found, query_lengths=query_lengths))

    def ball(
        self, query: Tensor, radius: float, k: int, *, query_lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Indices (B, M, k) of the at most k nearest points within a radius, and how many (B, M); see `ball_query`.

        Args:
            query: (B, M, 3) float, the same unit, type and device as the points.
            radius: in the same unit, positive.
            k: the most neighbours to return, at least 1; may exceed N.
            query_lengths: (B,) integers, how many leading query points of each cloud count; None for all.

        Raises:
            ValueError: an argument has the wrong shape, type or range, or the points have changed.
        """
        query, query_lengths = self._checked(query.detach(), query_lengths)
        checks.positive("radius", radius)
        check_k(k, self.points, count=False)
        index, count = ops.ball_query(
            query, self.points.detach(), float(radius), k, query_lengths, self.lengths, self._index
        )
        return index, count

    def _checked(self, query: Tensor, query_lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if _version(self.points) != self._version:
            raise ValueError("the points of this PointIndex were changed in place; build a new one.")
        query, _ = checks.pair("query", query, "points", self.points[:, :1])
        if query.dtype != self.points.dtype:
            raise ValueError(
                f"query must be {self.points.dtype} as the points of the PointIndex, got {query.dtype}; convert it."
            )
        return query, checks.lengths("query_lengths", query_lengths, query)


def _rebuilt(points: Tensor, lengths: Tensor | None) -> PointIndex:
    return PointIndex(points, lengths=lengths)


def _version(points: Tensor) -> int | None:
    """How often a tensor was changed in place; None for inference tensors, which do not know."""
    return None if points.is_inference() else points._version
