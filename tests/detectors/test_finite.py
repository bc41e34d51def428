"""Networks that are damaged give numbers that nothing can be made of: one sentence, whichever detector it is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_foreign_models import OWN_NETWORKS, egg, make, model_of, score_scan, settings_of
from torch.nn.functional import linear

from dusnet.detectors import create
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.errors import BadModel
from dusnet.nn.chunks import in_halves
from dusnet.nn.finite import LARGEST_GIVEN, require_finite, require_given

WRONG = (float("nan"), float("inf"), -float("inf"))
SENTENCE = (
    r"gives numbers that are not finite or too large; its file is damaged .* copy the file again or train again\.$"
)


def saying(said: FrameScores) -> RegisteredDetector:
    """A fitted detector that says the same of every scan."""
    model = create("nearest", settings_of("nearest"))
    model.fit([egg(0), egg(1)])
    assert isinstance(model, RegisteredDetector)
    model._judge = lambda _: said  # type: ignore[method-assign]
    return model


@pytest.mark.parametrize("wrong", [*WRONG, 2 * LARGEST_GIVEN, -2 * LARGEST_GIVEN])
def test_one_wrong_number_of_a_network_is_enough(wrong: float) -> None:
    given = torch.zeros(3, 4, 5)
    given[1, 2, 3] = wrong
    with pytest.raises(BadModel, match=SENTENCE):
        require_given(given)
    with pytest.raises(BadModel, match=SENTENCE):
        in_halves(lambda one: (one, given), (torch.zeros(3, 4),))


@pytest.mark.parametrize("right", [torch.zeros(0), torch.full((2, 3), LARGEST_GIVEN), torch.tensor(-1.0)])
def test_what_networks_give_stays_as_it_is(right: torch.Tensor) -> None:
    assert require_given(right) is right


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("field", ["point_scores", "object_score", "distances", "reconstruction", "offsets"])
def test_one_guard_looks_at_all_that_a_detector_says(field: str, wrong: float) -> None:
    scan = egg(9, 120)
    right = FrameScores(
        np.zeros(120, np.float32), 0.0, np.zeros(120, np.float32), np.zeros((7, 3)), np.zeros((120, 3), np.float32)
    )
    damaged: Any = wrong
    if field != "object_score":
        damaged = getattr(right, field).copy()
        damaged.flat[-1] = wrong
    model = saying(dataclasses.replace(right, **{field: damaged}))
    with pytest.raises(BadModel, match=f"^This nearest model {SENTENCE}"):
        model.score(scan)
    assert saying(right).score(scan).object_score == 0.0
    require_finite("It", None, 1.0)


@pytest.mark.parametrize("kind", ["dusnet", "own networks", "offset", "cras", "pbas", "crr", "cras of images"])
def test_networks_of_every_detector_are_guarded(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their last layers alone give NaN, so that no check of what is in the file can see it."""
    path = tmp_path / "m.safetensors"
    if kind == "own networks":
        model_of("dusnet_paper", path, **OWN_NETWORKS)
        score = score_scan
    else:
        score = make(kind, path)
    score(path)
    monkeypatch.setattr(torch.nn.Linear, "forward", lambda layer, given: linear(given, layer.weight) * float("nan"))
    with pytest.raises(BadModel, match=SENTENCE):
        score(path)
