"""Point-cloud ops on tensors: exact, deterministic, differentiable, without memory proportional to N times M.

The public functions check their arguments and call `torch.ops.dusnet`, which is the compiled binary where one is
installed and plain torch elsewhere; `status()` says which and why.
"""

from __future__ import annotations

from dusnet.ops.distances import ChamferMatches, chamfer_distance, earth_movers_distance
from dusnet.ops.native import OpsStatus, status
from dusnet.ops.neighbors import (
    ball_query,
    farthest_point_sample,
    gather_points,
    knn,
    three_interpolate,
    three_nn,
)
from dusnet.ops.point_index import PointIndex

__all__ = [
    "ChamferMatches",
    "OpsStatus",
    "PointIndex",
    "ball_query",
    "chamfer_distance",
    "earth_movers_distance",
    "farthest_point_sample",
    "gather_points",
    "knn",
    "status",
    "three_interpolate",
    "three_nn",
]
