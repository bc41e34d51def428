"""PatchCore against its equations, with and without registration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from peer_checks import check_finds_the_dent, check_permutation, check_round_trip, fitted
from small_parts import motion, part, tiny

from dusnet.cloud import PointCloud
from dusnet.detectors import Detector, create, load_model
from dusnet.detectors.peers.patchcore import reweighted

BOTH = ["patchcore", "patchcore_unaligned"]


@pytest.fixture(scope="module", params=BOTH)
def patchcore(request: pytest.FixtureRequest, good: list[PointCloud]) -> Detector:
    return fitted(request.param, good)


def test_permuted_points_get_permuted_scores(patchcore: Detector) -> None:
    check_permutation(patchcore)


def test_a_loaded_model_gives_the_same_scores(patchcore: Detector, tmp_path) -> None:
    check_round_trip(patchcore, tmp_path)


@pytest.mark.parametrize("name", BOTH)
def test_the_dent_is_where_the_scores_are_high(name: str) -> None:
    check_finds_the_dent(name, 0.92)


class TestReweighting:
    def test_by_hand(self) -> None:
        """One feature dimension: memories 0, 1, 3 and 10, and a test feature at -2."""
        memory = torch.tensor([[10.0], [0.0], [1.0], [3.0]])
        weight = 1 - np.exp(2) / (np.exp(2) + np.exp(3) + np.exp(5))
        assert reweighted(torch.tensor([-2.0]), memory, 1, 3) == pytest.approx(2 * weight)
        pair = 1 - np.exp(2) / (np.exp(2) + np.exp(3))
        assert reweighted(torch.tensor([-2.0]), memory, 1, 2) == pytest.approx(2 * pair)

    def test_exponents_are_divided_by_the_root_of_the_dimension(self) -> None:
        memory = torch.tensor([[0.0, 0, 0, 0], [4.0, 0, 0, 0]])
        weight = 1 - np.exp(1) / (np.exp(1) + np.exp(3))
        assert reweighted(torch.tensor([-2.0, 0, 0, 0]), memory, 0, 2) == pytest.approx(2 * weight)

    def test_a_lonely_neighbourhood_keeps_the_distance(self) -> None:
        memory = torch.tensor([[0.0], [5.0]])
        assert reweighted(torch.tensor([-2.0]), memory, 0, 1) == 2
        assert reweighted(torch.tensor([-2.0]), memory[:1], 0, 9) == 2

    def test_equal_memories_share_the_weight(self) -> None:
        memory = torch.zeros(6, 3)
        assert reweighted(torch.tensor([0.0, 3, 4]), memory, 4, 5) == pytest.approx(5 * (1 - 1 / 5))

    def test_huge_distances_do_not_overflow(self) -> None:
        memory = torch.tensor([[0.0], [1.0]])
        assert reweighted(torch.tensor([1e6]), memory, 1, 2) == pytest.approx(
            (1e6 - 1) * (1 - 1 / (1 + np.e)), rel=1e-6
        )


def test_the_object_score_is_the_reweighted_largest_distance(good: list[PointCloud]) -> None:
    detector = fitted("patchcore", good)
    points = detector.class_frame.place(part(9, dent=6)).points  # type: ignore[attr-defined]
    described = detector._describe(detector._thin(points))  # type: ignore[attr-defined]
    memory = detector._tensors()["features"].double().numpy()  # type: ignore[attr-defined]
    test = described.features.double().numpy()
    apart = np.linalg.norm(test[:, None] - memory[None], axis=-1)
    worst = apart.min(axis=1).argmax()
    home = apart[worst].argmin()
    around = np.argsort(np.linalg.norm(memory - memory[home], axis=1), kind="stable")[:3]
    assert home in around
    exponents = np.exp(apart[worst] / np.sqrt(33))
    expected = (1 - exponents[home] / exponents[around].sum()) * apart[worst, home]
    assert detector.score(part(9, dent=6)).object_score == pytest.approx(expected, rel=1e-6)


class TestWithoutRegistration:
    GLOBAL = {"method": "icp"}  # noqa: RUF012

    def test_whatever_the_settings_say_it_does_not_align(self, good: list[PointCloud], tmp_path) -> None:
        detector = create("patchcore_unaligned", tiny("patchcore_unaligned", registration=self.GLOBAL))
        assert detector.settings.registration.method == "none"
        detector.fit(good)
        moved = part(9).transformed(motion(40, (5.0, 0.0, 0.0)))
        detector.save(tmp_path / "model.safetensors")
        for one in (detector, load_model(tmp_path / "model.safetensors")):
            scores = one.score(moved)
            assert scores.alignment is not None
            assert scores.alignment.method == "none"
            np.testing.assert_array_equal(scores.alignment.matrix, np.eye(4))
            assert scores.alignment.residual > 0.02  # the scan lies elsewhere, and that is said
            assert (scores.distances, scores.unseen, scores.reconstruction) == (None, None, None)

    def test_the_aligned_one_does(self, good: list[PointCloud]) -> None:
        detector = create("patchcore", tiny("patchcore", registration=self.GLOBAL))
        detector.fit(good)
        scores = detector.score(part(9).transformed(motion(4, (5.0, 0.0, 0.0))))
        assert scores.alignment is not None
        assert scores.alignment.method == "icp"
        assert scores.alignment.residual < 0.02
        assert scores.distances is not None
        assert scores.unseen is not None

    def test_scores_hardly_depend_on_the_pose(self, good: list[PointCloud]) -> None:
        """FPFH is the same in every pose; thinning is not."""
        detector = fitted("patchcore_unaligned", good)
        for degrees, shift in ((0, (1e5, 2e6, 30.0)), (70, (0.0, 0.0, 0.0)), (160, (-9.0, 3.0, 1.0))):
            moved = detector.score(part(9).transformed(motion(degrees, shift))).point_scores
            assert moved.mean() == pytest.approx(detector.score(part(9)).point_scores.mean(), rel=0.3)

    def test_both_agree_on_a_scan_in_the_frame(self, good: list[PointCloud]) -> None:
        """They differ in nothing but the pose and the place that normals point away from."""
        one, other = fitted("patchcore", good).score(part(9)), fitted("patchcore_unaligned", good).score(part(9))
        assert np.corrcoef(one.point_scores, other.point_scores)[0, 1] > 0.95
