"""Limits from good scores."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from dusnet.detectors.base import Scores
from dusnet.detectors.calibration import Calibration, GoodScores, fitted_limit


def good(*objects: float) -> GoodScores:
    return GoodScores(objects, tuple(0.1 * one for one in objects))


def answer(score: float) -> Scores:
    return Scores(np.full(10, score, np.float32), score)


class TestFittedLimit:
    def test_one_scan_and_the_usual_spread(self) -> None:
        """Eight degrees of freedom: the table of Student's t has 1.8595 at .95 and 2.8965 at .99."""
        assert fitted_limit([2.0], 0.05, 0.3) == pytest.approx(2.0 * np.exp(1.8595 * 0.3 * np.sqrt(2)), rel=1e-4)
        assert fitted_limit([2.0], 0.01, 0.3) == pytest.approx(2.0 * np.exp(2.8965 * 0.3 * np.sqrt(2)), rel=1e-4)
        assert fitted_limit([2.0], 0.5, 0.3) == pytest.approx(2.0)

    def test_four_scans_move_level_and_spread(self) -> None:
        """Logarithms 0, 1, 1, 2: mean 1, squares 2; (8 x .09 + 2) / 11 degrees of freedom, t 1.7959 at .95."""
        scores = np.exp([0.0, 1.0, 1.0, 2.0])
        expected = np.exp(1 + 1.7959 * np.sqrt(2.72 / 11) * np.sqrt(1.25))
        assert fitted_limit(scores, 0.05, 0.3) == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize("rate", [0.01, 0.05, 0.1])
    @pytest.mark.parametrize("spread", [0.3, 1.0])
    def test_new_scans_exceed_it_at_the_rate_that_was_asked(
        self, rate: float, spread: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Parts whose variance is drawn as the fit supposes, about the usual one: then the rate is exact."""
        monkeypatch.setattr("dusnet.detectors.calibration.FARTHEST", 1e12)
        rng = np.random.default_rng(0)
        alarms, tries = 0, 10_000
        for _ in range(tries):
            logs = rng.normal(rng.normal(), spread * np.sqrt(8 / rng.chisquare(8)), 5)
            alarms += np.exp(logs[4]) > fitted_limit(np.exp(logs[:4]), rate, spread)
        assert alarms / tries == pytest.approx(rate, abs=3.5 * np.sqrt(rate * (1 - rate) / tries))

    def test_one_odd_scan_does_not_decide(self) -> None:
        usual = fitted_limit([1.0, 1.1, 0.9, 1.0], 0.05)
        assert fitted_limit([1.0, 1.1, 0.9, 1000.0], 0.05) == fitted_limit([1.0, 1.1, 0.9, 8.4], 0.05)
        assert fitted_limit([1.0, 1.1, 0.9, 1000.0], 0.05) < 8 * usual

    def test_the_scale_of_the_scores_does_not_matter(self) -> None:
        scores = np.array([0.2, 0.3, 0.25, 0.5])
        assert fitted_limit(1000 * scores, 0.05) == pytest.approx(1000 * fitted_limit(scores, 0.05))

    def test_scores_that_have_no_logarithm_scatter_by_themselves(self) -> None:
        """-1, 0, 1 and three degrees less one: t of two degrees is 2.9200 at .95."""
        assert fitted_limit([-1.0, 0.0, 1.0], 0.05) == pytest.approx(2.92 * np.sqrt(4 / 3), rel=1e-4)
        assert fitted_limit([-1.0], 0.05) == -1.0
        assert fitted_limit([0.0, 0.0], 0.05) == 0.0


class TestCalibration:
    def test_simulated_scans_count_where_none_was_left_out(self) -> None:
        only = Calibration(simulated=good(1.0, 2.0))
        assert only.good == good(1.0, 2.0)
        assert replace(only, left_out=good(3.0)).good == good(3.0)

    def test_added_scans_count_like_left_out_ones_until_they_are_many(self) -> None:
        made = Calibration(left_out=good(1.0, 3.0), source="two")
        few = made.with_scans([answer(2.0)], "one more")
        assert few.good.objects == (1.0, 2.0, 3.0)
        assert few.threshold(0.05) == fitted_limit([1.0, 2.0, 3.0], 0.05)
        assert few.provenance(0.05)["good_scans"] == {"simulated": 0, "left_out": 2, "added": 1}
        assert few.source == "two; one more"
        many = made.with_scans([answer(float(number)) for number in range(100)], "a hundred")
        assert many.threshold(0.05) == 95.0  # the 96th of them: ceil(101 x .95)
        assert many.provenance(0.05)["good_scans"] == {"simulated": 0, "left_out": 0, "added": 100}
        assert many.threshold(0.01) != 99.0, "one scan above the limit tells little about one in a hundred"

    def test_ranks_that_are_read_off_are_exact(self) -> None:
        """Rounding of (n + 1)(1 - rate) must not lift a whole number to the next one."""
        for count in range(50, 120):
            scores = GoodScores(*(tuple(float(number) for number in range(1, count + 1)),) * 2)
            made = Calibration(left_out=good(1.0), added=scores)
            for percent in (10, 20, 30, 50):
                product = (count + 1) * (1 - Fraction(percent, 100))
                expected = -(-product.numerator // product.denominator)
                assert made.threshold(percent / 100) == made.point_threshold(percent / 100) == expected

    def test_rates_that_can_be_promised(self) -> None:
        made = Calibration(left_out=good(1.0, 2.0))
        assert made.supports(0.01)
        assert not made.supports(0.005)
        assert made.with_scans([answer(1.0)] * 1000, "many").supports(0.005)

    def test_scores_of_one_scan_stay_together(self) -> None:
        scored = [Scores(np.full(10, point, np.float32), score) for score, point in ((2.0, 0.5), (1.0, 0.75))]
        assert GoodScores.of(scored) == GoodScores((1.0, 2.0), (0.75, 0.5))
        assert GoodScores.of(scored[:1]) + GoodScores.of(scored[1:]) == GoodScores.of(scored)

    def test_json_round_trip(self) -> None:
        made = Calibration(good(0.1, 0.2), good(), "two", good(0.3), ((0.1, 0.2),), 1.0)
        assert Calibration.from_json(json.loads(json.dumps(made.to_json()))) == made
