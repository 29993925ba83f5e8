"""Choosing by mean and error, and Spearman's interval."""

import math

import numpy as np
import pytest

from gulmfit.evaluate.selection import choose, spearman_interval, standing


def test_a_sure_mean_wins_over_a_better_one_that_is_not() -> None:
    unsure, sure = [0.30, 0.50], [0.41, 0.41]
    assert choose({0: unsure, 1: sure}, minimise=True) == 1
    assert choose({0: [0.9, 0.5], 1: [0.68, 0.68]}, minimise=False) == 1
    assert choose({0: [0.4], 1: [0.3]}, minimise=True) == 1
    assert choose({2: [0.4, 0.4], 0: [0.4, 0.4]}, minimise=True) == 2  # the first of equals


def test_the_cheapest_within_one_error_of_the_best_wins() -> None:
    values = {0: [0.50, 0.50], 1: [0.30, 0.34], 2: [0.33, 0.35], 3: [0.341, 0.341]}  # the best: 0.32 +- 0.02
    assert choose(values, minimise=True, costs={0: 1, 1: 9, 2: 5, 3: 2}) == 2
    assert choose(values, minimise=True, costs={0: 1, 1: 4, 2: 5, 3: 2}) == 1
    flipped = {number: [-value for value in found] for number, found in values.items()}
    assert choose(flipped, minimise=False, costs={0: 1, 1: 9, 2: 5, 3: 2}) == 2


def test_the_error_is_that_of_the_mean() -> None:
    mean, error = standing([1.0, 2.0, 3.0, 4.0])
    assert (mean, error) == pytest.approx((2.5, np.std([1, 2, 3, 4], ddof=1) / 2))
    assert math.isnan(standing([1.0])[1])


def test_the_interval_covers_rho_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    pearson = 0.6
    truth = 6 / math.pi * math.asin(pearson / 2)  # Spearman's of two normal values
    inside = 0
    for _ in range(600):
        x = random.normal(size=30)
        y = pearson * x + math.sqrt(1 - pearson**2) * random.normal(size=30)
        rho, low, high = spearman_interval(x, y)
        assert low <= rho <= high
        inside += low <= truth <= high
    assert inside / 600 == pytest.approx(0.95, abs=0.03)


def test_ranks_alone_count_and_too_few_say_nothing() -> None:
    x = np.arange(10.0)
    assert spearman_interval(x, np.exp(x))[0] == pytest.approx(1)
    assert spearman_interval(x, -x)[0] == pytest.approx(-1)
    assert all(map(math.isnan, spearman_interval([1, 2, 3], [1, 2, 3])))
    assert all(map(math.isnan, spearman_interval(x, np.ones(10))))
