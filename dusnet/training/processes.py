"""Several processes of one training, as `torchrun` starts them: who speaks and writes, and where they meet."""

from __future__ import annotations

import os


def is_first() -> bool:
    """Whether this process is the one that reports and writes; true without `torchrun`."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def wait_for_all() -> None:
    """Return when every process of the training has come here; at once when there was none together."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
