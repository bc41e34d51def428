"""Errors that a user can cause and a user can mend.

Every message is one sentence that names what is wrong, where, and what to do. The command line prints it and exits
with code 2; anything that is not a `DusnetError` is a bug, keeps its traceback, and ends the command with code 70.
"""

from __future__ import annotations

import traceback
from pathlib import Path

_NO_MEMORY = ("can't allocate memory", "CUDA error: out of memory")


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out: Python's, NumPy's, or torch's of either kind (told without torch)."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def passes(error: BaseException) -> bool:
    """Whether `error` is of memory, disk or permissions, which can be mended without another scan."""
    step: BaseException | None = error
    while step is not None:
        if out_of_memory(step) or (isinstance(step, OSError) and step.errno is not None):
            return True
        step = step.__cause__
    return False


class DusnetError(Exception):
    """Base of everything that a user can cause."""


class BadInput(DusnetError):
    """A scan, mesh, dataset or label file that cannot be used."""


class BadConfig(DusnetError):
    """A setting that does not exist, has the wrong type, or contradicts another."""


class BadModel(DusnetError):
    """A model or checkpoint file that is damaged, foreign or from another version."""


class MissingDependency(DusnetError):
    """An optional package or a system library that this operation needs is absent."""


def trouble_with(name: str, error: Exception) -> str:
    """One sentence about whatever went wrong with one scan of many, so that the others can go on.

    Args:
        name: of the scan.
        error: what was raised; a `DusnetError` says everything itself.
    """
    if isinstance(error, DusnetError):
        return str(error)
    if out_of_memory(error):
        return f"{name} needs more memory than there is; free memory or thin the scan."
    if isinstance(error, OSError) and error.strerror:
        return f"{name} cannot be processed ({error.strerror}); check the file, the disk and their permissions."
    steps = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(steps[-1].filename).name}:{steps[-1].lineno}" if steps else ""
    words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return f"{name} cannot be processed because of a mistake in dusnet ({words}{where}); please report it."
