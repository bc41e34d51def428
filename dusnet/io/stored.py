"""What a model file says, checked: anybody can write one, and its checksum says no more than that it is whole.

Every number and every tensor that a detector takes from a file goes through one of these functions, so that a file that
cannot be right is refused when it is opened and not in the middle of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

LARGEST_SEED = 2**63 - 1
LENGTHS = (1e-9, 1e3)
"""Between these every length in the frame of a part lies, whose radius is 1."""


class Unusable(ValueError):
    """Something in a model file is not what it can be; the text names it, as the second half of a sentence."""


def mapping(data: Any, what: str) -> dict[str, Any]:
    """`data` when it is a JSON object."""
    if not isinstance(data, dict):
        raise Unusable(f"its {what} is no set of named values")
    return data


def text(data: Any, what: str) -> str:
    """`data` when it is text."""
    if not isinstance(data, str):
        raise Unusable(f"its {what} is no text")
    return data


def flag(data: Any, what: str) -> bool:
    """`data` when it is true or false."""
    if not isinstance(data, bool):
        raise Unusable(f"its {what} is neither true nor false")
    return data


def entries(data: Any, what: str) -> list[Any]:
    """`data` when it is a list."""
    if not isinstance(data, list):
        raise Unusable(f"its {what} is no list")
    return data


def number(data: Any, what: str, least: float = -math.inf, most: float = math.inf) -> float:
    """`data` when it is a number from `least` to `most`, and finite."""
    if isinstance(data, bool) or not isinstance(data, int | float) or not math.isfinite(data):
        raise Unusable(f"its {what} is no number")
    if not least <= data <= most:
        raise Unusable(f"its {what} is {data:.4g}, not from {least:.4g} to {most:.4g}")
    return float(data)


def length(data: Any, what: str) -> float:
    """`data` when it is a length in the frame of a part."""
    return number(data, what, *LENGTHS)


def whole(data: Any, what: str, least: int = 0, most: int = LARGEST_SEED) -> int:
    """`data` when it is a whole number from `least` to `most`."""
    if isinstance(data, bool) or not isinstance(data, int):
        raise Unusable(f"its {what} is no whole number")
    return int(number(data, what, least, most)) if abs(data) < 2**53 else _in_range(data, what, least, most)


def _in_range(data: int, what: str, least: int, most: int) -> int:
    if not least <= data <= most:
        raise Unusable(f"its {what} is out of range")
    return data


def numbers(data: Any, what: str, most: int = 1_000_000) -> tuple[float, ...]:
    """`data` when it is a list of finite numbers."""
    found = entries(data, what)
    if len(found) > most:
        raise Unusable(f"its {what} has {len(found)} entries, more than {most}")
    return tuple(number(one, what) for one in found)


def tensor(tensors: Mapping[str, Tensor], name: str, *shape: int | None, dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor of a file.

    Args:
        tensors: of the file, by name.
        name: of this one.
        shape: what it must have; None is any size from 1 up.
        dtype: what it must hold.

    Raises:
        KeyError: there is none of this name.
        Unusable: it has another shape or holds something else.
    """
    found = tensors[name]
    fits = len(found.shape) == len(shape) and all(
        size == wanted if wanted is not None else size > 0 for size, wanted in zip(found.shape, shape, strict=True)
    )
    if not fits or found.dtype != dtype:
        wanted_shape = ", ".join("any" if one is None else str(one) for one in shape)
        raise Unusable(
            f"its tensor {name} is {str(found.dtype).removeprefix('torch.')} of shape {tuple(found.shape)}, "
            f"not {str(dtype).removeprefix('torch.')} of shape ({wanted_shape})"
        )
    return found


def require_network(build: Callable[[], nn.Module], tensors: Mapping[str, Tensor], what: str) -> None:
    """Check that the tensors are those of a network before it is built: its settings may ask for any size.

    Args:
        build: makes the network.
        tensors: what will be loaded into it.
        what: the network, for the error.

    Raises:
        KeyError: a tensor is missing.
        Unusable: one is left over, or of another shape or kind.
    """
    wanted = _shapes_of(build)
    if wanted.keys() != tensors.keys():
        odd = min(wanted.keys() ^ tensors.keys())
        if odd in wanted:
            raise KeyError(odd)
        raise Unusable(f"its {what} has no place for {odd[:80]!r}")
    for name, (shape, dtype) in wanted.items():
        found = tensor(tensors, name, *shape, dtype=dtype)
        if not shape and dtype.is_floating_point:  # what lengths are divided by
            length(float(found), name)


class _Unfilled(TorchFunctionMode):
    """Leaves new tensors as they are: memory that nothing is written into is never taken."""

    FILLING = frozenset({"uniform_", "normal_", "trunc_normal_", "fill_", "zero_", "copy_"})

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        options = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init" or getattr(func, "__name__", "") in self.FILLING:
            return args[0] if args else options["tensor"]
        return func(*args, **options)


def _shapes_of(build: Callable[[], nn.Module]) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Shape and kind of every tensor in the state of a network, without the memory for it.

    torch has a device "meta" for this, but its first use loads 800 modules.

    Args:
        build: makes the network; what it draws at random leaves no trace.

    Returns:
        name -> (shape, dtype), in the order of the state.
    """
    with torch.random.fork_rng(devices=[]), _Unfilled():
        state = build().state_dict()
    return {name: (tuple(value.shape), value.dtype) for name, value in state.items()}
