"""Networks that see a scan in chunks: what they make of every point once, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dusnet import ops
from dusnet.errors import out_of_memory
from dusnet.nn.finite import require_given

TOKENS_AT_ONCE = 4096
"""Centres that a network takes at a time: more of them are no faster, and need more memory."""


def random_chunks(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Disjoint random chunks that cover 0..count-1; the last one is filled up from the beginning.

    Returns:
        (ceil(count / size), min(size, count)) int64.
    """
    size = min(size, count)
    order = torch.randperm(count, generator=generator)
    chunks = -(-count // size)
    return torch.cat([order, order[: chunks * size - count]]).view(chunks, size)


def through_chunks(
    network: Callable[..., Any],
    inputs: tuple[Tensor, ...],
    size: int,
    generator: torch.Generator,
    *,
    device: torch.device,
    prepare: Callable[..., tuple[Tensor, ...]] | None = None,
    finish: Callable[..., tuple[Tensor, ...]] | None = None,
) -> tuple[Tensor, ...]:
    """What a network makes of N points that it sees in disjoint random chunks, each of them once.

    Args:
        network: (B, G, ...) tensors -> one (B, G, ...) tensor or a tuple of them; the points of a chunk see each other.
        inputs: (N, ...) each.
        size: G.
        generator: of the chunks.
        device: where the network is.
        prepare: changes the inputs of some chunks before the network sees them.
        finish: changes the outputs of all points, (N, ...) each, while they lie as the chunks do. How a function rounds
            depends on where a number lies in memory, so that the same scan gets the same bits here alone.

    Returns:
        (N, ...) float32 each, on the CPU, in the order of the inputs.

    Raises:
        BadModel: an output is NaN, infinite or far too large.
    """
    count = len(inputs[0])
    chunks = random_chunks(count, size, generator)
    made = []
    for batch in chunks.split(max(1, TOKENS_AT_ONCE // chunks.shape[1])):
        given = tuple(part[batch] for part in inputs)
        if prepare is not None:
            given = prepare(*given)
        made.append(in_halves(network, tuple(part.to(device) for part in given)))
    # The chunks begin with every point once; what fills the last one is predicted a second time and dropped.
    order = chunks.flatten()[:count]
    found = tuple(torch.cat(parts).flatten(0, 1)[:count] for parts in zip(*made, strict=True))
    whole = []
    for values in found if finish is None else finish(*found):
        ordered = torch.empty_like(values)
        ordered[order] = values
        whole.append(ordered)
    return tuple(whole)


def dealt_chunks(points: Tensor, size: int, most: int) -> Tensor:
    """Disjoint chunks of at most `size` points that each cover the whole cloud: the farthest points, dealt out in turn.

    Args:
        points: (N, 3).
        size: points of a chunk.
        most: points that are dealt out, of a bigger cloud.

    Returns:
        (C, G) int64 indices, G being `size` or all that are dealt out where these are fewer.
    """
    order = ops.farthest_point_sample(points[None], min(len(points), most))[0]
    size = min(size, len(order))
    chunks = max(1, len(order) // size)
    return order[: chunks * size].view(size, chunks).T


def in_halves(network: Callable[..., Any], chunks: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What `network` makes of some chunks, on the CPU; in halves where memory does not allow all at once.

    Args:
        network: takes and gives whole chunks, one per entry of the first axis.
        chunks: its inputs, on its device.

    Returns:
        Its outputs in float32, a tuple also when it gives one tensor.

    Raises:
        BadModel: an output is NaN, infinite or far too large.
    """
    try:
        made = network(*chunks)
        return tuple(require_given(one.float().cpu()) for one in (made if isinstance(made, tuple) else (made,)))
    except (RuntimeError, MemoryError) as error:
        count = len(chunks[0])
        if count == 1 or not out_of_memory(error):
            raise
    # Here, not in the handler: the traceback keeps everything alive that did not fit.
    if chunks[0].device.type == "cuda":
        torch.cuda.empty_cache()
    halves = (tuple(tensor[: count // 2] for tensor in chunks), tuple(tensor[count // 2 :] for tensor in chunks))
    return tuple(torch.cat(both) for both in zip(*(in_halves(network, half) for half in halves), strict=True))
