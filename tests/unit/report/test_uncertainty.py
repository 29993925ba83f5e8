"""Intervals and tests against plain resamples and brute force, and against simulations whose truth is known.

Rates are held against the binomial error of the number of simulations, three standard errors wide.
"""

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from gulmfit.errors import DataError
from gulmfit.evaluate import uncertainty
from gulmfit.evaluate.scores import METRICS, classification_scores

Arrays = tuple[np.ndarray, np.ndarray]


def two_columns(positive_scores: np.ndarray) -> np.ndarray:
    return np.stack([1 - positive_scores, positive_scores], axis=1)


def random_case(seed: int, count: int, classes: int, decimals: int = 2) -> Arrays:
    """Labels with every class present, and probabilities rounded so that ties occur."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=count - classes)])
    raw = rng.random((count, classes)) + 0.4 * np.eye(classes)[labels]
    return labels, np.round(raw / raw.sum(axis=1, keepdims=True), decimals)


def binormal(rng: np.random.Generator, count: int, correlation: float, signal: float) -> tuple[np.ndarray, ...]:
    """Labels, half of them positive, and two correlated scores in (0, 1) that are equally good."""
    labels = np.repeat([0, 1], count // 2)
    shared, *own = rng.normal(size=(3, count))
    return labels, *(
        stats.norm.cdf(math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * part + signal * (labels - 0.5))
        for part in own
    )


def test_each_draw_is_stratified_and_blocks_change_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, _ = random_case(0, 50, 3)
    monkeypatch.setattr(uncertainty, "_BLOCK", 350)
    blocks = list(uncertainty._resamples(labels, None, 17, 0))
    assert [len(block) for block in blocks] == [7, 7, 3]
    for weights in np.concatenate(blocks):
        assert np.array_equal(np.bincount(labels, weights), np.bincount(labels))


def test_groups_are_drawn_whole_within_their_majority_class() -> None:
    labels = np.array([0, 0, 1, 1, 1, 0, 1, 0])
    groups = np.array(["a", "a", "b", "b", "c", "b", "d", "d"])  # d is a tie, taken for class 0
    (weights,) = uncertainty._resamples(labels, groups, 200, 0)
    times = {name: weights[:, groups == name] for name in "abcd"}
    for drawn in times.values():
        assert (drawn == drawn[:, :1]).all()
    assert (times["a"][:, 0] + times["d"][:, 0] == 2).all()
    assert (times["b"][:, 0] + times["c"][:, 0] == 2).all()
    assert np.ptp(times["a"]) == np.ptp(times["b"]) == 2


def test_a_group_of_its_own_for_each_sequence_changes_nothing() -> None:
    labels, probabilities = random_case(2, 80, 3)
    plain = uncertainty.bootstrap_intervals(labels, probabilities, positive=None, draws=50)
    groups = np.arange(80) * 7
    assert plain == uncertainty.bootstrap_intervals(labels, probabilities, positive=None, groups=groups, draws=50)


def test_intervals_are_percentiles_of_plain_resamples() -> None:
    labels, probabilities = random_case(3, 90, 2, decimals=1)
    (weights,) = uncertainty._resamples(labels, None, 40, 8)
    plain = []
    for times in weights.astype(int):
        copies = np.repeat(np.arange(90), times)
        plain.append(classification_scores(labels[copies], probabilities[copies], positive=1))
    found = uncertainty.bootstrap_intervals(labels, probabilities, positive=1, draws=40, seed=8, level=0.9)
    for name in set(METRICS) - {"ece"}:
        assert found[name] == pytest.approx(np.quantile([scores[name] for scores in plain], [0.05, 0.95]))


def test_intervals_hold_the_estimate_and_repeat_with_the_seed() -> None:
    labels, probabilities = random_case(5, 200, 2)
    point = classification_scores(labels, probabilities, positive=1)
    once = uncertainty.bootstrap_intervals(labels, probabilities, positive=1, draws=300, seed=4)
    assert tuple(once) == METRICS
    assert once == uncertainty.bootstrap_intervals(labels, probabilities, positive=1, draws=300, seed=4)
    assert once != uncertainty.bootstrap_intervals(labels, probabilities, positive=1, draws=300, seed=5)
    for name, (low, high) in once.items():
        assert low <= point[name] <= high
        assert 0 < high - low < 0.5


def test_a_threshold_moves_the_interval() -> None:
    labels, probabilities = random_case(5, 200, 2)
    options = {"positive": 1, "draws": 100}
    low, high = uncertainty.bootstrap_intervals(labels, probabilities, threshold=0.0, **options)["recall"]
    assert low == high == 1.0


def test_what_cannot_be_bounded_is_nan() -> None:
    one_class = uncertainty.bootstrap_intervals([0, 0], [[0.9, 0.1], [0.8, 0.2]], positive=1, draws=5)
    assert np.isnan(one_class["auroc"]).all()
    assert one_class["accuracy"] == (1, 1)
    labels, probabilities = random_case(0, 20, 2)
    one_group = {"positive": 1, "groups": ["family"] * 20, "draws": 5}
    assert np.isnan(list(uncertainty.bootstrap_intervals(labels, probabilities, **one_group).values())).all()
    pair = uncertainty.paired_bootstrap(labels, probabilities, probabilities, **one_group)["mcc"]
    assert pair["difference"] == 0
    assert math.isnan(pair["p_value"])


def test_draws_without_a_class_are_left_out_of_the_areas() -> None:
    labels = np.array([0, 0, 1] * 6)  # each group mostly class 0; only two of six hold a positive
    labels[6:] = 0
    groups = np.repeat(np.arange(6), 3)
    probabilities = two_columns(np.random.default_rng(0).random(18))
    found = uncertainty.bootstrap_intervals(labels, probabilities, positive=1, groups=groups, draws=60)
    assert np.isfinite(list(found.values())).all()


def test_a_thousand_draws_of_ten_thousand_sequences_are_quick(slowness: Callable[[], float]) -> None:
    labels, probabilities = random_case(0, 10_000, 2, decimals=6)
    start = time.process_time()
    uncertainty.bootstrap_intervals(labels, probabilities, positive=1, groups=np.arange(10_000) // 2, draws=200)
    assert time.process_time() - start < 2.0 * slowness()


def test_intervals_without_signal_cover_chance() -> None:
    chance = dict.fromkeys(("accuracy", "precision", "recall", "specificity", "f1", "auroc", "auprc"), 0.5)
    chance |= {"mcc": 0.0, "brier": 0.5 + 2 * 0.1**2 / 12, "log_loss": math.log(2) + 2 * 0.1**2 / 12, "ece": 0.025}
    trials, covered = 200, dict.fromkeys(METRICS, 0)
    rng = np.random.default_rng(1)
    for trial in range(trials):
        labels, scores = np.repeat([0, 1], 150), 0.45 + 0.1 * rng.random(300)
        bounds = uncertainty.bootstrap_intervals(labels, two_columns(scores), positive=1, draws=250, seed=trial)
        for name, (low, high) in bounds.items():
            covered[name] += low <= chance[name] <= high
    # 0.95 within 3 binomial errors. Average precision lies above the share of positives by about ln(N) / 2N without
    # any signal, which costs some coverage; the interval of ECE is wide near 0.
    for name in set(METRICS) - {"auprc", "ece"}:
        assert 0.904 <= covered[name] / trials <= 0.996, name
    assert 0.86 <= covered["auprc"] / trials <= 0.996
    assert covered["ece"] / trials >= 0.904


def test_the_interval_of_ece_holds_zero_for_calibrated_probabilities() -> None:
    rng, held = np.random.default_rng(2), 0
    for trial in range(60):
        scores = rng.random(300)
        labels = (rng.random(300) < scores).astype(int)
        low, _ = uncertainty.bootstrap_intervals(labels, two_columns(scores), positive=1, draws=200, seed=trial)["ece"]
        held += low == 0
    assert held >= 52  # 0.95 of 60 less 3 binomial errors


def test_four_copies_in_groups_count_once() -> None:
    labels, probabilities = random_case(6, 150, 2, decimals=4)
    copied = np.tile(labels, 4), np.tile(probabilities, (4, 1))
    options = {"positive": 1, "draws": 1000}
    single = uncertainty.bootstrap_intervals(labels, probabilities, **options)
    clustered = uncertainty.bootstrap_intervals(*copied, groups=np.tile(np.arange(150), 4), **options)
    naive = uncertainty.bootstrap_intervals(*copied, **options)
    for name in set(METRICS) - {"ece"}:
        width, once, without = (np.ptp(bounds[name]) for bounds in (single, clustered, naive))
        assert once == pytest.approx(width, rel=0.1), name
        assert without == pytest.approx(width / 2, rel=0.2), name  # four times the sequences, half the width


def test_paired_bootstrap_scores_both_on_the_same_draws() -> None:
    labels, a = random_case(1, 120, 3)
    b = a.copy()
    b[::5] = b[::5, ::-1]
    found = uncertainty.paired_bootstrap(labels, a, b, positive=None, draws=80, seed=3)
    (weights,) = uncertainty._resamples(labels, None, 80, 3)
    differences = []
    for times in weights.astype(int):
        copies = np.repeat(np.arange(120), times)
        first, second = (classification_scores(labels[copies], item[copies], positive=None) for item in (a, b))
        differences.append(second["f1"] - first["f1"])
    expected = (
        classification_scores(labels, b, positive=None)["f1"] - classification_scores(labels, a, positive=None)["f1"]
    )
    assert found["f1"]["difference"] == pytest.approx(expected)
    assert [found["f1"]["low"], found["f1"]["high"]] == pytest.approx(np.quantile(differences, [0.025, 0.975]))
    share = min(np.mean(np.array(differences) <= 0), np.mean(np.array(differences) >= 0))
    assert found["f1"]["p_value"] == pytest.approx(2 * (80 * share + 1) / 81)


def test_paired_bootstrap_of_equals_and_of_unequals() -> None:
    labels, good = random_case(1, 200, 2, decimals=6)
    same = uncertainty.paired_bootstrap(labels, good, good, positive=1, draws=50)
    assert all(row == {"difference": 0, "low": 0, "high": 0, "p_value": 1} for row in same.values())
    bad = two_columns(np.random.default_rng(0).random(200))
    worse = uncertainty.paired_bootstrap(labels, good, bad, positive=1, draws=199)
    assert worse["auroc"]["high"] < 0 < worse["brier"]["low"]
    assert worse["auroc"]["p_value"] == pytest.approx(2 / 200)


def test_paired_p_values_are_uniform_without_a_difference() -> None:
    rng, p_values = np.random.default_rng(3), []
    for trial in range(200):
        labels, a, b = binormal(rng, 200, 0.5, 1.0)
        pair = uncertainty.paired_bootstrap(labels, two_columns(a), two_columns(b), positive=1, draws=199, seed=trial)
        p_values.append([pair[name]["p_value"] for name in ("auroc", "brier", "mcc")])
    auroc, brier, mcc = np.transpose(p_values)
    for values in (auroc, brier):
        assert stats.kstest(values, "uniform").pvalue > 0.01
        assert np.mean(values <= 0.05) == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / 200))
    # Ties at a difference of 0 count for both sides, so values that are counts are tested with less power.
    assert np.mean(mcc <= 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize(
    ("only_a", "only_b", "expected"),
    [(0, 0, 1.0), (5, 0, 2 / 32), (8, 1, 2 * (1 + 9) / 512), (3, 3, 1.0)],
)
def test_mcnemar_against_hand_computed_binomials(only_a: int, only_b: int, expected: float) -> None:
    labels = np.zeros(20, dtype=int)
    a, b = np.zeros(20, dtype=int), np.zeros(20, dtype=int)
    b[:only_a] = 1
    a[only_a : only_a + only_b] = 1
    a[-2:] = b[-2:] = 1  # both wrong: says nothing
    found = uncertainty.mcnemar(labels, a, b)
    assert (found["only_a_right"], found["only_b_right"]) == (only_a, only_b)
    assert found["p_value"] == pytest.approx(expected)
    assert found["accuracy_difference"] == pytest.approx(np.mean(a == 0) - np.mean(b == 0))


def test_mcnemar_is_uniform_but_for_its_steps() -> None:
    # The exact p-value moves in steps and so stays at or above a uniform one; half of the last step taken off (mid-p,
    # Lancaster, J. Am. Stat. Assoc. 56 (1961) 223-234), its mean is that of a uniform one, 1/2.
    rng, trials, p_values, mid_p = np.random.default_rng(4), 400, [], []
    for _ in range(trials):
        labels, a, b = binormal(rng, 300, 0.5, 1.0)
        found = uncertainty.mcnemar(labels, a > 0.5, b > 0.5)
        only_a, only_b = int(found["only_a_right"]), int(found["only_b_right"])
        p_values.append(found["p_value"])
        step = stats.binom.pmf(only_a, only_a + only_b, 0.5)
        mid_p.append(found["p_value"] - step if only_a != only_b else 1 - step / 2)
    for alpha in (0.01, 0.05, 0.2, 0.5):
        assert np.mean(np.array(p_values) <= alpha) <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / trials)
    assert np.mean(mid_p) == pytest.approx(0.5, abs=3 / math.sqrt(12 * trials))
    assert stats.kstest(mid_p, "uniform").pvalue > 0.01


def brute_force_delong(labels: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two areas and their covariance by all pairs, as DeLong et al. write it."""
    placements = []
    for scores in (a, b):
        pairs = scores[labels == 1][:, None] - scores[labels == 0]
        kernel = (pairs > 0) + 0.5 * (pairs == 0)
        placements.append((kernel.mean(axis=1), kernel.mean(axis=0)))
    positives, negatives = (np.array(part) for part in zip(*placements, strict=True))
    covariance = np.cov(positives) / positives.shape[1] + np.cov(negatives) / negatives.shape[1]
    return positives.mean(axis=1), covariance


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("decimals", [1, 8])
def test_delong_against_all_pairs(seed: int, decimals: int) -> None:
    labels, probabilities = random_case(seed, 25, 2, decimals)
    a, b = probabilities[:, 1], np.round(np.random.default_rng(seed).random(25), decimals)
    (area_a, area_b), covariance = brute_force_delong(labels, a, b)
    found = uncertainty.delong(labels, a, b)
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    z = (area_b - area_a) / error
    expected = {"auroc_a": area_a, "auroc_b": area_b, "difference": area_b - area_a, "standard_error": error, "z": z}
    assert found == pytest.approx(expected | {"p_value": 2 * stats.norm.sf(abs(z))})
    alone = uncertainty.delong_interval(labels, a)
    assert (alone["auroc"], alone["standard_error"]) == pytest.approx((area_a, math.sqrt(covariance[0, 0])))
    assert 0 < alone["low"] < area_a < alone["high"] < 1


def test_delong_without_variance() -> None:
    labels, same = np.array([0, 0, 1, 1]), np.array([0.1, 0.3, 0.2, 0.4])
    assert uncertainty.delong(labels, same, same)["p_value"] == 1
    against_constant = uncertainty.delong(labels, labels, np.zeros(4))
    assert (against_constant["difference"], against_constant["standard_error"]) == (-0.5, 0)
    assert math.isnan(against_constant["p_value"])
    perfect = uncertainty.delong_interval(labels, labels)
    assert perfect["auroc"] == 1
    assert math.isnan(perfect["low"])


def test_delong_is_uniform_without_a_difference_and_its_interval_covers() -> None:
    rng, trials, p_values, covered = np.random.default_rng(5), 400, [], 0
    true_area = stats.norm.cdf(2.0 / math.sqrt(2))
    for _ in range(trials):
        labels, a, b = binormal(rng, 120, 0.5, 2.0)
        p_values.append(uncertainty.delong(labels, a, b)["p_value"])
        alone = uncertainty.delong_interval(labels, a)
        covered += alone["low"] <= true_area <= alone["high"]
    error = 3 * math.sqrt(0.05 * 0.95 / trials)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=error)
    assert covered / trials == pytest.approx(0.95, abs=error)


def test_mean_and_spread_by_hand() -> None:
    found = uncertainty.mean_and_spread([0.8, 0.9, 1.0])
    reach = 4.302653 * 0.1 / math.sqrt(3)
    assert found == pytest.approx({"count": 3, "mean": 0.9, "sd": 0.1, "low": 0.9 - reach, "high": 0.9 + reach})
    alone = uncertainty.mean_and_spread([0.8])
    assert (alone["count"], alone["mean"]) == (1, 0.8)
    assert np.isnan([alone["sd"], alone["low"], alone["high"]]).all()


def test_bad_input_is_named() -> None:
    with pytest.raises(DataError, match="0 draws"):
        uncertainty.bootstrap_intervals([0, 1], np.eye(2), positive=1, draws=0)
    with pytest.raises(DataError, match="level 1"):
        uncertainty.delong_interval([0, 1], [0, 1], level=1)
    with pytest.raises(DataError, match=r"groups \(3,\) and labels \(2,\)"):
        uncertainty.bootstrap_intervals([0, 1], np.eye(2), positive=1, groups=[1, 2, 3])
    with pytest.raises(DataError, match="label 2 at index 1"):
        uncertainty.paired_bootstrap([0, 2], np.eye(2), np.eye(2), positive=1)
    with pytest.raises(DataError, match="equally long"):
        uncertainty.mcnemar([0, 1], [0], [0, 1])
    with pytest.raises(DataError, match="1 positives, 2 negatives"):
        uncertainty.delong([0, 0, 1], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    with pytest.raises(DataError, match="no run"):
        uncertainty.mean_and_spread([])
