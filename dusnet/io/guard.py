"""What the readers let out of themselves: `DusnetError` and nothing else, whatever a file holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dusnet.errors import BadInput, DusnetError


@contextmanager
def only_bad_input(path: Path) -> Iterator[None]:
    """Turn every failure of a reader into a sentence about the file.

    The readers check what they know of; this is for what nobody thought of, so that one bad file never ends a batch.
    The original error stays attached as the cause. `KeyboardInterrupt` and `SystemExit` pass.

    Args:
        path: the file that is read in the block.

    Raises:
        BadInput: the block failed with anything that is not a `DusnetError`.
    """
    try:
        yield
    except DusnetError:
        raise
    except MemoryError as error:
        raise BadInput(
            f"{path} needs more memory to read than this machine has; it is damaged or too large, export it again."
        ) from error
    except Exception as error:
        raise BadInput(f"{path} cannot be read ({type(error).__name__}); it is damaged, export it again.") from error
