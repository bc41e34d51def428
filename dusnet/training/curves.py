"""Loss curves of a training: JSON lines and TensorBoard, written again when their folder is removed meanwhile."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dusnet.io import write_text
from dusnet.nn.losses import Loss
from dusnet.progress import Progress

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Lines = dict[str, list[str]]
"""The lines of every stage of a training by its name: a few megabytes at most."""
EVERY = 10
"""Steps between two lines."""


Record = Callable[[int, Loss, float], None]
"""Takes in the steps done, the loss of the last one, and its learning rate."""


@contextmanager
def recorded(folder: Path, name: str, known: Lines, *, done: int, progress: Progress) -> Iterator[Record]:
    """Append the loss of every tenth step to `NAME.jsonl` and to TensorBoard; drop lines later than a resumed step.

    Args:
        folder: where the files are.
        name: of the stage.
        known: the curves of the stages so far; this one is added.
        done: steps that a resumed stage has done.
        progress: hears when the folder was removed.

    Raises:
        BadInput: a file cannot be written.
    """
    path = folder / f"{name}.jsonl"
    kept = path.read_text().splitlines(keepends=True) if done and path.is_file() else []
    # A kill may have left half a line at the end; only whole lines end in a newline.
    known[name] = [line for line in kept if line.endswith("\n") and json.loads(line)["step"] <= done]
    curves = _Curves(folder, name, known, done, progress)
    try:
        yield curves.record
        curves.require_there()
    finally:
        curves.close()


class _Curves:
    """The open files of the curves of a stage."""

    def __init__(self, folder: Path, name: str, known: Lines, done: int, progress: Progress) -> None:
        self._folder, self._name, self._known, self._progress = folder, name, known, progress
        write_text(self._jsonl(name), "".join(known[name]))
        self._lines = self._jsonl(name).open("a")
        self._writer = self._new_writer(name, done)

    def record(self, step: int, loss: Loss, rate: float) -> None:
        """Take in the loss of a step."""
        if step % EVERY:
            return
        self.require_there()
        values = {"loss": float(loss.total.detach()), **{key: float(value) for key, value in loss.terms.items()}}
        line = json.dumps({"step": step, "learning_rate": rate, **values}) + "\n"
        self._known[self._name].append(line)
        self._lines.write(line)
        self._lines.flush()
        _show(self._writer, self._name, [line])

    def require_there(self) -> None:
        """Write what is known again where it was removed: what goes into a removed file is lost in silence."""
        missing = [name for name in self._known if not self._jsonl(name).exists()]
        hidden = [name for name in self._known if not self._board(name).is_dir()]
        if not missing and not hidden and self._is_same():
            return
        self._lines.close()
        for name in {self._name, *missing}:
            write_text(self._jsonl(name), "".join(self._known[name]))
        self._lines = self._jsonl(self._name).open("a")
        for name in hidden:
            writer = self._new_writer(name)
            _show(writer, name, self._known[name])
            if name == self._name:
                writer, self._writer = self._writer, writer
            writer.close()
        self._progress.log(f"Loss curves in {self._folder} were removed while training and are written again.")

    def close(self) -> None:
        """Close the files."""
        self._writer.close()
        self._lines.close()

    def _is_same(self) -> bool:
        """Whether the file of the stage is the one that is open."""
        try:
            return os.path.samestat(self._jsonl(self._name).stat(), os.fstat(self._lines.fileno()))
        except OSError:
            return False

    def _jsonl(self, name: str) -> Path:
        return self._folder / f"{name}.jsonl"

    def _board(self, name: str) -> Path:
        """A folder for each stage: what one that is resumed purges would be purged from all in the same folder."""
        return self._folder / "tensorboard" / name

    def _new_writer(self, name: str, done: int | None = None) -> SummaryWriter:
        """What writes for TensorBoard; what is later than `done` there is not shown any more, where that is given."""
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(self._board(name), purge_step=None if done is None else done + 1)


def _show(writer: SummaryWriter, name: str, lines: Iterable[str]) -> None:
    for line in lines:
        values = json.loads(line)
        for key in values.keys() - {"step", "learning_rate"}:
            writer.add_scalar(f"{name}/{key}", values[key], values["step"])
