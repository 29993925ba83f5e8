"""Methods over many data sets: Holm is closed testing, signed ranks are all choices of signs."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import DataError
from gulmfit.evaluate.many_sets import holm, over_sets, signed_ranks


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_holm_is_closed_testing_with_bonferroni(p_values: list[float]) -> None:
    numbers = range(len(p_values))
    subsets = [some for size in range(1, len(p_values) + 1) for some in itertools.combinations(numbers, size)]
    for at, corrected in enumerate(holm(p_values)):
        all_with_it = [min(1.0, len(some) * min(p_values[i] for i in some)) for some in subsets if at in some]
        assert corrected == pytest.approx(max(all_with_it))


def test_what_is_no_test_does_not_count() -> None:
    assert holm([0.02, math.nan, 0.03])[0] == pytest.approx(0.04)
    assert math.isnan(holm([0.02, math.nan])[1])
    assert holm([]) == []


def test_signed_ranks_are_all_choices_of_signs() -> None:
    difference = np.array([0.3, -0.1, 0.5, 0.2, 0.7, -0.4, 0.6])
    ranks = np.argsort(np.argsort(np.abs(difference))) + 1
    sums = [np.dot(ranks, signs) for signs in itertools.product((-1, 1), repeat=len(ranks))]
    observed = abs(np.dot(ranks, np.sign(difference)))
    expected = np.mean(np.abs(sums) >= observed)
    assert signed_ranks(difference, np.zeros(7)) == pytest.approx(expected)
    assert math.isnan(signed_ranks([1.0, 2.0], [1.0, 2.0]))
    with pytest.raises(DataError):
        signed_ranks([1.0, 2.0], [1.0])


def test_methods_are_summarised_where_they_have_scores() -> None:
    scores = {
        "model": [0.9, 0.8, 0.7, 0.95],
        "cnn": [0.8, 0.8, 0.75, math.nan],
        "gc": [0.5, 0.5, 0.5, 0.5],
    }
    found = over_sets(scores, "model")
    assert "wins" not in found["model"]
    assert found["model"]["median"] == pytest.approx(0.85)
    assert found["model"]["best_on"] == 3
    cnn = found["cnn"]
    assert (cnn["sets"], cnn["wins"], cnn["losses"], cnn["best_on"]) == (3, 1, 1, 2)
    assert cnn["median_difference"] == pytest.approx(0.0)
    assert cnn["lowest"] == 0.75
    raw = [found[name]["p_value"] for name in ("cnn", "gc")]
    assert [found[name]["p_holm"] for name in ("cnn", "gc")] == holm(raw)
    assert found["gc"]["p_value"] == pytest.approx(2 / 2**4)
