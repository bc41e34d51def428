"""Checkpoints of a training stage: everything that the next step depends on, in one file without pickle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dusnet.errors import BadModel
from dusnet.io.tensors import read_tensors, under, write_tensors

FORMAT = "dusnet-checkpoint"


@dataclass
class StageState:
    """What changes from step to step.

    Attributes:
        step: steps done.
        model: the network.
        optimizer: AdamW.
        generator: source of all randomness of the stage.
        average: exponential moving average of the weights, by parameter name; empty when not wanted.
    """

    step: int
    model: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    average: dict[str, Tensor]

    def save(self, path: Path, *, fingerprint: str) -> None:
        """Write the state, atomically.

        Args:
            path: the checkpoint file.
            fingerprint: says what is being trained on what; `load` wants the same.
        """
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": torch.as_tensor(value) for key, value in state.items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        tensors["generator"] = self.generator.get_state()
        write_tensors(path, tensors, {"format": FORMAT, "step": self.step, "fingerprint": fingerprint})

    def load(self, path: Path, *, fingerprint: str) -> None:
        """Continue where `save` left off.

        Raises:
            BadModel: the file is damaged, or belongs to another training.
        """
        tensors, metadata = read_tensors(path)
        if metadata.get("format") != FORMAT or metadata.get("fingerprint") != fingerprint:
            raise BadModel(
                f"{path} belongs to a training with other scans, settings or seed; train without --resume, "
                "or with what it was started with."
            )
        try:
            self._restore(tensors)
        except (KeyError, RuntimeError, ValueError) as error:
            raise BadModel(f"{path} was written by another version of dusnet; train without --resume.") from error
        self.step = int(metadata["step"])

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        self.model.load_state_dict(under("model", tensors))
        optimizer: dict[int, dict[str, Tensor]] = {}
        for name, value in under("optimizer", tensors).items():
            index, _, key = name.partition(".")
            optimizer.setdefault(int(index), {})[key] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": optimizer})
        stored = under("average", tensors)
        self.average = {name: stored[name].to(value.device) for name, value in self.average.items()}
        self.generator.set_state(tensors["generator"].to("cpu"))
