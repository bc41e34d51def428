"""Wrong arguments are refused in one sentence that says what was expected and what came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from dusnet import ops

CLOUD = torch.zeros(2, 5, 3)
CASES: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], str]] = [
    (ops.knn, (CLOUD[0], CLOUD, 1), {}, r"query must be \(B, N, 3\), got \(5, 3\)"),
    (ops.knn, (CLOUD, torch.zeros(2, 5, 4), 1), {}, r"points must be \(B, N, 3\), got \(2, 5, 4\)"),
    (ops.knn, (CLOUD, CLOUD[:, :0], 1), {}, "points must hold at least one point"),
    (ops.knn, (CLOUD, CLOUD, 6), {}, r"k must lie between 1 and 5 \(the number of points\), got 6"),
    (ops.knn, (CLOUD, CLOUD, 0), {}, "k must lie between 1 and 5"),
    (ops.knn, (CLOUD, CLOUD[:1], 1), {}, "same number of clouds, got 2 and 1"),
    (ops.knn, (CLOUD.long(), CLOUD, 1), {}, "query must be a floating-point tensor, got torch.int64"),
    (ops.knn, (CLOUD, CLOUD / 0, 1), {}, "points must hold finite coordinates, got 10 points"),
    (ops.knn, (CLOUD, CLOUD, 1), {"lengths": torch.tensor([5])}, r"lengths must be \(2,\) integers"),
    (ops.knn, (CLOUD, CLOUD, 1), {"lengths": torch.tensor([0, 9])}, "lengths must lie between 1 and 5, got 0 to 9"),
    (ops.farthest_point_sample, (CLOUD, 6), {}, "k must lie between 1 and 5"),
    (ops.farthest_point_sample, (CLOUD, 2), {"start": 5}, "start must lie between 0 and 4"),
    (ops.farthest_point_sample, (CLOUD, 2), {"start": 2, "lengths": torch.tensor([2, 5])}, "between 0 and 1"),
    (ops.ball_query, (CLOUD, CLOUD, -1.0, 2), {}, "radius must be a positive number, got -1.0"),
    (ops.ball_query, (CLOUD, CLOUD, 1.0, 0), {}, "k must be at least 1, got 0"),
    (ops.three_interpolate, (CLOUD[0], CLOUD, CLOUD), {}, r"features must be \(B, N, C\)"),
    (ops.three_interpolate, (CLOUD, CLOUD.long(), CLOUD[:, :4]), {}, r"weights must be \(2, 5, 3\), got \(2, 4, 3\)"),
    (ops.three_interpolate, (CLOUD, CLOUD.long() + 5, CLOUD), {}, r"idx must lie between -1 \(padding\) and 4"),
    (ops.gather_points, (CLOUD, CLOUD[..., 0]), {}, "idx must be int64"),
    (ops.gather_points, (CLOUD, torch.zeros(3, 2).long()), {}, "idx must start with the batch size 2"),
    (ops.earth_movers_distance, (CLOUD, CLOUD[:, :4]), {}, "same number of points, got 5 and 4"),
    (ops.earth_movers_distance, (CLOUD, CLOUD), {"eps": 0.0}, "eps must be a positive number, got 0.0"),
    (ops.earth_movers_distance, (CLOUD, CLOUD), {"max_iter": 0}, "max_iter must be at least 1, got 0"),
]


@pytest.mark.parametrize(("function", "arguments", "named", "message"), CASES)
def test_refused(function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        function(*arguments, **named)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")


def test_mixed_precision_takes_the_wider_type() -> None:
    distance, _ = ops.knn(CLOUD.half(), CLOUD.double(), 1)
    assert distance.dtype == torch.float64
    assert ops.knn(CLOUD.bfloat16(), CLOUD.half(), 1)[0].dtype == torch.float32


def test_the_op_itself_refuses_an_index_out_of_range(native: Any) -> None:
    with pytest.raises(RuntimeError, match="index out of range"):
        native.scatter_sum(torch.zeros(1, 2, 3), torch.tensor([[0, 7]]), 3)
