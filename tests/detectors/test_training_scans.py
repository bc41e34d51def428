"""Training scans that do not belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree
from small_parts import SIZE_MM, motion, part, tiny

from dusnet.cloud import PointCloud
from dusnet.config import RegistrationSettings
from dusnet.detectors import create
from dusnet.detectors.frame import ClassFrame
from dusnet.detectors.training_scans import same_points
from dusnet.errors import BadInput
from dusnet.progress import Silent

ICP = RegistrationSettings(method="icp", points=600)


class Listener(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def log(self, message: str) -> None:
        self.said.append(message)


def learn(clouds: Sequence[PointCloud], settings: RegistrationSettings = ICP) -> list[str]:
    listener = Listener()
    ClassFrame.learn(clouds, settings, seed=0, progress=listener)
    return listener.said


def named(cloud: PointCloud, name: str) -> PointCloud:
    return replace(cloud, path=Path(name))


def block(seed: int, points: int = 1200) -> PointCloud:
    """Another part, about as large as the small part."""
    rng = np.random.default_rng(seed)
    faces = rng.random((points, 3))
    faces[np.arange(points), rng.integers(0, 3, points)] = rng.integers(0, 2, points)
    return PointCloud((faces - 0.5) * [1.4 * SIZE_MM, 1.4 * SIZE_MM, 0.8 * SIZE_MM])


def views(seed: int, axis: int, sign: int) -> PointCloud:
    """What is on one side of the small part."""
    points = part(seed).points
    return PointCloud(points[sign * points[:, axis] > 0])


class TestSize:
    @pytest.mark.parametrize("factor", [0.001, 1 / 25.4, 1 / 2.54, 10.0, 1000.0])
    @pytest.mark.parametrize("method", ["none", "icp"])
    def test_a_scan_in_another_unit_is_refused_and_named(self, factor: float, method: str) -> None:
        odd = named(PointCloud(part(1).points * factor), "odd.ply")
        good = [named(part(0), "a.ply"), odd, named(part(2), "b.ply")]
        with pytest.raises(BadInput, match=r"^odd\.ply is about .* than the other 2 scans.*look like"):
            learn(good, RegistrationSettings(method=method, points=600))

    def test_half_and_half_is_refused(self) -> None:
        clouds = [PointCloud(part(seed).points / (1000.0 if seed > 1 else 1.0)) for seed in range(4)]
        with pytest.raises(BadInput, match=r"scan 1 and scan 2 \(size .*\) and scan 3 and scan 4 \(size"):
            learn(clouds)

    def test_every_detector_refuses(self) -> None:
        detector = create("nearest", tiny("nearest"))
        with pytest.raises(BadInput, match=r"scan 2 is about .* times smaller"):
            detector.fit([part(0), PointCloud(part(1).points / 1000.0), part(2)])


class TestPart:
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_another_part_is_refused_and_named_wherever_it_stands(self, place: int) -> None:
        clouds = [named(part(seed), f"good{seed}.ply") for seed in range(2)]
        clouds.insert(place, named(block(7), "odd.ply"))
        with pytest.raises(BadInput, match=r"^odd\.ply does not fit the other 2 scans"):
            learn(clouds)

    def test_two_scans_of_two_parts_are_refused(self) -> None:
        with pytest.raises(BadInput, match=r"The scans do not show one part: scan . does not fit scan . in any pose"):
            learn([part(0), block(1)])

    def test_poses_that_the_user_vouches_for_are_not_judged(self) -> None:
        assert learn([part(0), part(1).transformed(motion(0, (30.0, 0, 0)))], RegistrationSettings(method="none")) == []

    @pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2, 0)])
    def test_scans_of_one_side_belong_to_whole_ones(self, order: tuple[int, ...]) -> None:
        clouds = [part(0), views(1, 0, 1), views(2, 0, -1)]
        assert learn([clouds[number] for number in order]) == []

    def test_the_frame_is_that_of_the_first_scan_where_the_others_are_brought_to_another_one(self) -> None:
        """The first and the third scan show opposite sides: neither can be brought to the other."""
        home = motion(40, (30.0, -8, 5))
        below = views(3, 2, -1).transformed(motion(170, (0, 0, 0)))
        clouds = [views(1, 2, 1).transformed(home), part(2), below]
        settings = RegistrationSettings(method="auto", points=600)
        frame, in_frame = ClassFrame.learn(clouds, settings, seed=0, progress=Silent())
        np.testing.assert_allclose(frame.frame.invert(in_frame[0]), clouds[0].points, atol=1e-9)
        there = cKDTree(part(9, points=60_000).transformed(home).points)
        assert np.quantile(there.query(frame.reference)[0], 0.9) < 1.0

    @pytest.mark.parametrize("count", [150, 1200, 6000])
    def test_density_does_not_matter(self, count: int) -> None:
        assert learn([part(0), part(1, points=count).transformed(motion(5, (3.0, 0, 0))), part(2)]) == []


class TestCopies:
    def test_copies_are_found_in_any_order_and_pose(self) -> None:
        rng = np.random.default_rng(0)
        one = part(0)
        moved = one.transformed(motion(70, (300.0, -20, 5)))
        stored = PointCloud(moved.points[rng.permutation(len(moved))].astype(np.float32).astype(np.float64))
        assert same_points([one, part(1), stored]) == [(0, 2)]

    def test_scans_of_the_same_places_with_noise_are_no_copies(self) -> None:
        one = part(0)
        noise = np.random.default_rng(1).normal(scale=0.001 * SIZE_MM, size=one.points.shape)
        assert same_points([one, PointCloud(one.points + noise)]) == []

    def test_they_are_said(self) -> None:
        clouds = [named(part(0), "a.ply"), named(part(1), "b.ply"), named(part(0), "c.ply")]
        (said,) = learn(clouds)
        assert said.startswith("c.ply holds the same points as a.ply")
        assert "2 different scans" in said
        (said,) = learn([part(0)] * 3)
        assert said.startswith("scan 2 and scan 3 hold the same points as scan 1")
        assert "1 different scan;" in said
