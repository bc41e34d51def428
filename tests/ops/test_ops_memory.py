"""No op allocates memory proportional to the product of the sizes of two clouds."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys, torch
from dusnet import ops
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
n = int(sys.argv[1])
x, y = torch.rand(1, n, 3, generator=generator), torch.rand(1, n, 3, generator=generator)
ops.chamfer_distance(x[:, :64], y[:, :64])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
{call}
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def _megabytes(call: str, count: int, mode: str) -> int:
    import os

    environment = {**os.environ, "DUSNET_OPS": mode, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT.format(call=call), str(count)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=240)
    return int(done.stdout)


# All pairs of 100 000 points would take 40 GB, those of 12 000 points 576 MB.
@pytest.mark.parametrize(
    ("call", "count", "mode"),
    [
        ("ops.chamfer_distance(x, y)", 100_000, "auto"),
        ("ops.knn(x, y, 8)", 100_000, "auto"),
        ("ops.ball_query(x, y, 0.02, 8)", 100_000, "auto"),
        ("ops.farthest_point_sample(x, 1000)", 100_000, "auto"),
        ("ops.knn(x, y, 8)", 12_000, "python"),
        ("ops.earth_movers_distance(x, y, eps=0.05)", 12_000, "auto"),
    ],
)
def test_memory_stays_small(call: str, count: int, mode: str) -> None:
    from dusnet import ops

    if mode == "auto" and ops.status().backend == "python":
        pytest.skip(f"plain torch would take minutes at this size: {ops.status().reason}")
    assert _megabytes(call, count, mode) < 250
