"""Where networks are trained and run."""

from __future__ import annotations

import torch

from dusnet.errors import BadConfig


def require_device(device: str) -> torch.device:
    """The torch device of that name.

    Raises:
        BadConfig: there is no such device here.
    """
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise BadConfig(f"There is no device {device!r}; use cpu, cuda or cuda:N.") from error
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise BadConfig(
            "Device cuda was asked for but torch sees no CUDA device; use --device cpu or run `dusnet doctor`."
        )
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise BadConfig(f"Device {device} was asked for but there are {torch.cuda.device_count()}; use a lower number.")
    if wanted.type not in ("cpu", "cuda"):
        raise BadConfig(f"Device {device!r} is not supported; use cpu, cuda or cuda:N.")
    return wanted
