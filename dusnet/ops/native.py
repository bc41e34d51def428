"""Brings `torch.ops.dusnet` into being: from the compiled binary where it loads, else from plain torch.

Importing this module defines every op exactly once and remembers which implementation runs and why.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from dusnet.errors import BadConfig
from dusnet.ops import derivatives
from dusnet.ops.schemas import PLAIN_TORCH, SCHEMAS

OLDEST_TORCH = (2, 11)
SIMD_LEVELS = ("auto", "baseline", "avx2", "avx512")
REBUILD = "pip install --no-build-isolation -e ."


@dataclass(frozen=True)
class OpsStatus:
    """Which implementation of the ops runs.

    Attributes:
        backend: "cuda" (compiled for CPU and CUDA), "cpu" (compiled for CPU only) or "python" (plain torch everywhere).
        reason: one sentence: why it is this one, and how to get a faster one.
        binary: the compiled library that was loaded, or None.
        threads: how many CPU threads the ops use.
        simd: the instruction set of the compiled CPU ops (baseline, avx2 or avx512), or None for plain torch.
    """

    backend: str
    reason: str
    binary: Path | None
    threads: int
    simd: str | None


def _binary() -> Path | None:
    folder = Path(__file__).resolve().parent.parent
    found = [file for suffix in (".so", ".pyd", ".dylib") for file in sorted(folder.glob(f"_C*{suffix}"))]
    return found[0] if found else None


def _torch_version() -> tuple[int, int]:
    major, minor = torch.__version__.split(".")[:2]
    return int(major), int(minor)


def _load() -> tuple[Path | None, str]:
    """The binary that was loaded, or None, and the reason in one sentence."""
    asked = os.environ.get("DUSNET_OPS", "auto")
    if asked not in ("auto", "native", "python"):
        raise BadConfig(f"DUSNET_OPS must be auto, native or python, got {asked!r}; unset it for auto.")
    if asked == "python":
        return None, "DUSNET_OPS=python asks for the plain-torch ops; unset it to use the compiled ones."
    binary = _binary()
    if binary is None:
        reason = f"No compiled ops are installed beside the package; build them with: {REBUILD}"
    elif _torch_version() < OLDEST_TORCH:
        wanted = ".".join(map(str, OLDEST_TORCH))
        reason = f"The compiled ops need torch {wanted} or newer, but {torch.__version__} runs; upgrade torch."
    else:
        try:
            torch.ops.load_library(str(binary))
        except OSError as error:
            first = str(error).splitlines()[0]
            reason = f"The compiled ops in {binary.name} did not load ({first}); rebuild them with: {REBUILD}"
        else:
            return binary, f"The compiled ops in {binary.name} are loaded."
    if asked == "native":
        raise BadConfig(f"DUSNET_OPS=native forbids the plain-torch ops. {reason}")
    warnings.warn(f"{reason} Until then plain torch does the work, which is slower.", RuntimeWarning, stacklevel=2)
    return None, reason


def _simd() -> str | None:
    """The instruction set that the binary chose, or that DUSNET_SIMD asked for."""
    asked = os.environ.get("DUSNET_SIMD") or "auto"
    if asked not in SIMD_LEVELS:
        raise BadConfig(f"DUSNET_SIMD must be one of {', '.join(SIMD_LEVELS)}, got {asked!r}; unset it for auto.")
    if BINARY is None:
        return None
    try:
        return str(torch.ops.dusnet.simd_level())
    except RuntimeError as error:
        raise BadConfig(f"This processor cannot run DUSNET_SIMD={asked}; unset it for the best one it can.") from error


def _has_cuda_kernels() -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key("dusnet::knn", "CUDA")


BINARY, REASON = _load()
SIMD = _simd()
BACKEND = "python" if BINARY is None else "cuda" if _has_cuda_kernels() else "cpu"

LIBRARY = torch.library.Library("dusnet", "FRAGMENT")
for _name, _schema in SCHEMAS.items():
    if BINARY is None:
        LIBRARY.define(_name + _schema, tags=(torch.Tag.pt2_compliant_tag,))
    # Whatever device the binary has no kernel for is served by plain torch.
    LIBRARY.impl(_name, PLAIN_TORCH[_name], "CompositeExplicitAutograd")
derivatives.register(LIBRARY)


def status() -> OpsStatus:
    """Which implementation of the ops runs, and why."""
    return OpsStatus(BACKEND, REASON, BINARY, torch.get_num_threads(), SIMD)
