"""One step of the loop against the formulas: AdamW, clipping, moving average, mixed precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny_training import make_run
from torch import Tensor, nn

from dusnet.config import StageSettings
from dusnet.detectors.dusnet_paper.networks import Networks, TrainingLengths
from dusnet.detectors.dusnet_paper.stages import GroupSource
from dusnet.detectors.settings import Settings
from dusnet.nn.losses import Loss
from dusnet.training.loop import learning_rate, train_stage


class Slope:
    """A stage whose gradient is known: the loss is the sum of weight times slope."""

    name = "slope"

    def __init__(self, slopes: list[float]) -> None:
        self.model: nn.Module = nn.Linear(len(slopes), 1, bias=False)
        nn.init.ones_(self.model.weight)  # type: ignore[arg-type]
        self.slopes = torch.tensor(slopes)
        self.draws: list[float] = []
        self.training: list[bool] = []

    def loss(self, model: nn.Module, generator: torch.Generator) -> Loss:
        self.draws.append(float(torch.rand((), generator=generator)))
        self.training.append(model.training)
        return Loss(model(self.slopes).sum(), {})

    @property
    def weights(self) -> Tensor:
        weight: Tensor = self.model.weight.detach()[0]  # type: ignore[operator,index]
        return weight


def adamw(slopes: list[float], settings: StageSettings) -> list[np.ndarray]:
    """Weights after every step, from the paper of Loshchilov and Hutter."""
    gradient = np.array(slopes)
    gradient = gradient * min(1.0, settings.clip / np.linalg.norm(gradient))
    weights, first, second, history = np.ones(len(slopes)), 0.0, 0.0, []
    for step in range(settings.steps):
        rate = learning_rate(settings, step)
        weights = weights * (1 - rate * settings.weight_decay)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        corrected = first / (1 - 0.9 ** (step + 1))
        weights = weights - rate * corrected / (np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8)
        history.append(weights)
    return history


SETTINGS = StageSettings(steps=9, learning_rate=0.05, weight_decay=0.1, warmup=0.3, clip=1e9)


def test_steps_are_adamw_at_the_scheduled_rate() -> None:
    stage = Slope([3.0, -0.5])
    train_stage(stage, SETTINGS, make_run())
    np.testing.assert_allclose(stage.weights.numpy(), adamw([3.0, -0.5], SETTINGS)[-1], rtol=1e-5)


def test_the_norm_of_the_gradient_never_exceeds_clip() -> None:
    """AdamW forgets a constant factor, so the gradient itself is looked at."""
    stage = Slope([3.0, -4.0])
    train_stage(stage, SETTINGS.model_copy(update={"clip": 0.5, "steps": 1}), make_run())
    weight = stage.model.weight
    assert isinstance(weight, nn.Parameter)
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad[0], torch.tensor([0.3, -0.4]), atol=1e-5, rtol=0)


def test_a_small_gradient_is_not_clipped() -> None:
    stage = Slope([0.3, -0.4])
    train_stage(stage, SETTINGS.model_copy(update={"clip": 0.6, "steps": 1}), make_run())
    weight = stage.model.weight
    assert isinstance(weight, nn.Parameter)
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad[0], torch.tensor([0.3, -0.4]))


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_the_average_of_the_weights_is_what_remains(decay: float) -> None:
    stage = Slope([3.0, -0.5])
    train_stage(stage, SETTINGS.model_copy(update={"ema": decay}), make_run())
    average = np.ones(2)
    for weights in adamw([3.0, -0.5], SETTINGS):
        average = decay * average + (1 - decay) * weights
    np.testing.assert_allclose(stage.weights.numpy(), average, rtol=1e-5)


def test_zero_steps_change_nothing() -> None:
    stage = Slope([1.0])
    train_stage(stage, SETTINGS.model_copy(update={"steps": 0}), make_run())
    assert stage.weights.tolist() == [1.0]


def test_the_model_trains_in_training_mode_and_is_left_in_evaluation_mode() -> None:
    stage = Slope([1.0])
    stage.model.eval()
    train_stage(stage, SETTINGS, make_run())
    assert stage.training == [True] * 9
    assert not stage.model.training


def test_every_step_draws_from_the_seeded_generator() -> None:
    stage = Slope([1.0])
    train_stage(stage, SETTINGS, make_run(seed=7))
    generator = torch.Generator().manual_seed(7000)
    assert stage.draws == [float(torch.rand((), generator=generator)) for _ in range(9)]


def test_mixed_precision_takes_steps_on_the_cpu(settings: Settings, source: GroupSource) -> None:
    """Products in bfloat16, weights and losses in float32, and nearly the same result."""
    measured = TrainingLengths(cell=0.05, patch_radius=0.2, wall=0.4, spacing=0.3)
    results = {}
    for precision in ("32-true", "bf16-mixed"):
        networks = Networks(settings, measured, seed=3)
        before = networks.tensors()["down.head.2.weight"].clone()
        seen: list[torch.dtype] = []
        networks.down.join.register_forward_hook(lambda _m, _i, output, seen=seen: seen.append(output.dtype))
        networks.train(source, make_run(precision=precision))
        assert seen[0] == (torch.bfloat16 if precision == "bf16-mixed" else torch.float32)
        results[precision] = networks.tensors()
        assert not torch.equal(results[precision]["down.head.2.weight"], before)
    for name, value in results["bf16-mixed"].items():
        assert value.dtype == torch.float32, name
        assert bool(torch.isfinite(value).all()), name
    apart = [float((results["bf16-mixed"][n] - results["32-true"][n]).abs().max()) for n in results["32-true"]]
    assert 0 < max(apart) < 12 * 0.01 * 2  # no weight can be farther than all steps of AdamW together
    assert math.isfinite(max(apart))
