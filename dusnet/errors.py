"""Errors that a user can cause and a user can mend.

Every message is one sentence that names what is wrong, where, and what to do. The command line prints it and exits
with code 2; anything that is not a `DusnetError` is a bug and keeps its traceback.
"""

from __future__ import annotations

_NO_MEMORY = ("can't allocate memory", "CUDA error: out of memory")


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out: Python's, NumPy's, or torch's of either kind (told without torch)."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


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
