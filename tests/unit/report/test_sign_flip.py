"""The paired test of classes: right by its definition, and of the size it promises where relatives err together."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from gulmfit.errors import DataError
from gulmfit.evaluate.sign_flip import only_singles, sign_flip
from gulmfit.report.kinds.kind import kind_named


def by_hand(differences: np.ndarray) -> float:
    """Try all signs."""
    observed = abs(differences.sum())
    sums = np.array([abs(np.dot(signs, differences)) for signs in product((-1, 1), repeat=len(differences))])
    return float((sums > observed).mean() + (sums == observed).mean() / 2)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_share_of_all_signs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(9), rng.integers(1, 6, 9)))
    a, b = (rng.random(len(groups)) < skill for skill in (0.8, 0.5))
    found = sign_flip(np.ones(len(groups), np.int64), a.astype(int), b.astype(int), groups)
    gain = a.astype(int) - b
    differences = np.bincount(groups, gain)
    assert found["p_value"] == pytest.approx(by_hand(differences), abs=1e-12)
    assert (found["only_a_right"], found["only_b_right"]) == ((gain > 0).sum(), (gain < 0).sum())
    assert (found["groups"], found["groups_for_a"]) == (9, (differences > 0).sum())
    assert found["accuracy_difference"] == pytest.approx(a.mean() - b.mean())
    turned = sign_flip(np.ones(len(groups), np.int64), b.astype(int), a.astype(int), groups)
    assert turned["p_value"] == pytest.approx(found["p_value"])


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (12, 3), (4000, 3700)])
def test_of_singles_it_is_mcnemar_with_mid_p(only_a: int, only_b: int) -> None:
    a = np.repeat([1, 0, 1], [only_a, only_b, 5])
    b = np.repeat([0, 1, 1], [only_a, only_b, 5])
    count, more = only_a + only_b, max(only_a, only_b)
    expected = min(1.0, 2 * binom.sf(more, count, 0.5) + (1 if only_a == only_b else 2) * binom.pmf(more, count, 0.5))
    if only_a != only_b:
        expected -= binom.pmf(more, count, 0.5)  # half of both tails
    assert sign_flip(np.ones(len(a), np.int64), a, b)["p_value"] == pytest.approx(expected, abs=1e-12)


# The measured sizes over 2,000 draws are in docs/method.md.
@pytest.mark.parametrize(("groups", "relatives"), [(500, 1), (250, 2), (100, 5), (50, 10)])
def test_equally_good_classifiers_differ_in_one_of_twenty(groups: int, relatives: int) -> None:
    rng = np.random.default_rng(groups)
    judge = kind_named("classes")(["no", "yes"], "yes")
    labels, owners = np.ones(groups * relatives, np.int64), np.repeat(np.arange(groups), relatives)
    rejected, draws = 0, 400
    for _ in range(draws):
        judged = {}
        for name in ("model", "other"):
            right = np.repeat(rng.random(groups) < 0.8, relatives)  # relatives err together
            judged[name] = (np.stack([~right, right], axis=1).astype(np.float64), judge)
        found = judge.tests(judge.comparisons(labels, judged, owners, 0), "other")
        rejected += found["other"]["p_value"] < 0.05
    assert 0.03 <= rejected / draws <= 0.07


def test_tests_for_unrelated_sequences_are_made_of_these_alone() -> None:
    judge = kind_named("classes")(["no", "yes"], "yes")
    values = np.random.default_rng(0).dirichlet([1, 1], 40)
    labels = np.arange(40) % 2
    judged = {"model": (values, judge), "gc": (values[::-1], judge)}
    related, single = (judge.comparisons(labels, judged, groups, 0) for groups in (np.arange(40) // 2, np.arange(40)))
    assert set(related) == {"sign_flip"}
    assert set(single) == {"sign_flip", "mcnemar"}
    assert only_singles([3, 1, 2])
    assert not only_singles(["a", "b", "a"])


def test_lengths_must_fit() -> None:
    with pytest.raises(DataError, match=r"\(2,\).*\(1,\)"):
        sign_flip([0, 1], [0], [0, 1])
    with pytest.raises(DataError, match=r"groups \(3,\)"):
        sign_flip([0, 1], [0, 1], [0, 1], [0, 1, 2])
    with pytest.raises(DataError, match="not empty"):
        sign_flip([], [], [])
