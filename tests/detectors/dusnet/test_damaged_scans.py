"""Damaged scans: the same from the same numbers, and with targets that are exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from guided_parts import small_guide

from dusnet.config import WarpSettings
from dusnet.detectors.dusnet import simulated_scans as module
from dusnet.detectors.dusnet.simulated_scans import DamagedScan, damaged_scans_of
from dusnet.detectors.dusnet.solid_scans import SolidScans
from dusnet.synthesis.pseudo_defects import MASK_THRESHOLD

WARP, GUIDE = WarpSettings(), small_guide()
MOST_MOVED = 0.1
"""Largest amplitude of a pseudo-defect in a scan."""


def tensors(one: DamagedScan) -> dict[str, torch.Tensor]:
    held = vars(one.seen) | {"clean": one.clean, "wrong": one.wrong}
    return {name: value for name, value in held.items() if isinstance(value, torch.Tensor)}


@pytest.fixture(scope="module")
def made() -> list[DamagedScan]:
    return damaged_scans_of(0, 4, WARP, GUIDE)


@pytest.fixture(scope="module")
def several(made: list[DamagedScan]) -> list[DamagedScan]:
    return made + damaged_scans_of(0, 0, WARP, GUIDE) + damaged_scans_of(0, 1, WARP, GUIDE)


def test_a_scan_is_all_float32_of_one_length(several: list[DamagedScan]) -> None:
    for one in several:
        count = len(one.wrong)
        assert one.wrong.dtype == torch.bool
        for value in (one.clean, one.seen.points, one.seen.normals):
            assert value.shape == (count, 3)
            assert value.dtype == torch.float32
        assert one.seen.distance.shape == one.seen.tolerance.shape == (count,)
        assert all(value.isfinite().all() for value in tensors(one).values())


def test_seed_and_number_decide_and_nothing_else(made: list[DamagedScan]) -> None:
    torch.manual_seed(99)
    before = torch.get_rng_state()
    again = damaged_scans_of(0, 4, WARP, GUIDE)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(again) == len(made)
    for one, other in zip(made, again, strict=True):
        held = tensors(other)
        assert [name for name, value in tensors(one).items() if not torch.equal(value, held[name])] == []
        assert (one.seen.spacing, one.seen.level) == (other.seen.spacing, other.seen.level)


@pytest.mark.parametrize(("seed", "number"), [(1, 4), (0, 0)])
def test_another_seed_or_number_is_another_solid(made: list[DamagedScan], seed: int, number: int) -> None:
    other = damaged_scans_of(seed, number, WARP, GUIDE)
    assert not any(
        one.clean.shape == two.clean.shape and torch.allclose(one.clean, two.clean, atol=0.01)
        for one in made
        for two in other
    )


def test_the_scans_of_a_solid_are_different(made: list[DamagedScan]) -> None:
    places = [tuple(one.clean[0].tolist()) for one in made]
    assert len(set(places)) == len(made)


def test_a_scan_without_defects_is_its_own_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEFECTS", 1)
    for one in damaged_scans_of(0, 4, WARP, GUIDE):
        assert not one.wrong.any()
        torch.testing.assert_close(one.seen.points, one.clean, rtol=0, atol=1e-6)


def test_what_is_not_wrong_lies_where_it_lay(several: list[DamagedScan]) -> None:
    """The foot of a defect moves by less than the share of its amplitude that makes a point wrong."""
    for one in several:
        moved = (one.seen.points - one.clean).norm(dim=1)
        right = moved[~one.wrong]
        assert right.max() < 1.1 * MASK_THRESHOLD * MOST_MOVED
        assert (right < 1e-6).float().mean() > 0.8  # the least of twelve scans .95, deviation .04 over five seeds


def test_what_moved_far_is_wrong_and_stays_within_the_amplitude(several: list[DamagedScan]) -> None:
    moved = torch.cat([(one.seen.points - one.clean).norm(dim=1) for one in several])
    wrong = torch.cat([one.wrong for one in several])
    assert wrong[moved > 1.1 * MASK_THRESHOLD * MOST_MOVED].all()
    assert (moved > 0.02).sum() > 50  # 900, deviation a factor of 1.8 over five seeds
    assert moved.max() < 1.1 * MOST_MOVED


def test_defects_are_few_but_there(several: list[DamagedScan]) -> None:
    shares = np.array([float(one.wrong.float().mean()) for one in several])
    # Over five seeds .09 (deviation .04), .026 (a factor of 1.5) and .83 (.16).
    assert shares.max() < 0.4
    assert 0.005 < shares.mean() < 0.2
    assert (shares > 0).mean() > 0.25


def test_the_frame_holds_the_part(several: list[DamagedScan]) -> None:
    """Bounding radius about one: of all scans of a solid, the farthest point is near the unit sphere."""
    for start in range(0, len(several), module.SCANS):
        farthest = max(float(one.clean.norm(dim=1).max()) for one in several[start : start + module.SCANS])
        assert 0.85 < farthest < 1.15  # .99 to 1.02 over five seeds


def test_a_target_lies_nearer_to_the_good_surface_than_the_defect(several: list[DamagedScan]) -> None:
    """The distance to the nearest place of the surface, for points that moved by more than the surface's spacing."""
    before, after = [], []
    for one in several:
        far = (one.seen.points - one.clean).norm(dim=1) > 0.04
        if far.any():
            before.append(torch.cdist(one.seen.points[far], one.seen.places).amin(dim=1))
            after.append(torch.cdist(one.clean[far], one.seen.places).amin(dim=1))
    assert before
    assert torch.cat(after).median() < 0.6 * torch.cat(before).median()  # .29 times, deviation .06 over five seeds


def test_scans_too_small_for_pseudo_defects_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole scans count, before pseudo-defects take something away."""
    sizes, draw = iter((150, 200, 199, 3000)), SolidScans.draw

    def cropped(*given):
        solid = draw(*given)
        return replace(solid, test=lambda rng: solid.test(rng)[: next(sizes)])

    monkeypatch.setattr(module.SolidScans, "draw", cropped)
    made = damaged_scans_of(0, 4, WARP, GUIDE)
    assert [len(one.wrong) > 200 for one in made] == [False, True]
    assert 100 < len(made[0].wrong) <= 200


def test_no_more_points_than_the_detector_judges() -> None:
    guide = GUIDE.model_copy(update={"centers": 2000})
    made = damaged_scans_of(0, 4, WARP, guide)
    assert len(made) == module.SCANS
    assert all(1000 < len(one.wrong) <= 2000 for one in made)
