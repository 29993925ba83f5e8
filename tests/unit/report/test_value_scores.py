"""Scores of values against scipy's and scikit-learn's; baselines find planted signals; nothing depends on the unit."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from gulmfit.errors import DataError
from gulmfit.evaluate.baselines import values as value_baselines
from gulmfit.evaluate.baselines.fits import Part
from gulmfit.evaluate.baselines.values import BASELINES, run_value_baselines
from gulmfit.evaluate.value_scores import scores_by_value, value_scores, weighted_value_scores
from gulmfit.report.kinds.kind import kind_named


def values(count: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two measured values, rounded so that there are ties, and predictions that know something of them."""
    rng = np.random.default_rng(seed)
    truth = np.round(rng.normal(size=(count, 2)) * (1, 30) + (5, -200), 1)
    return truth, np.round(truth + rng.normal(size=(count, 2)) * (1, 20), 1)


def test_scores_are_those_of_scipy_and_scikit_learn() -> None:
    truth, predicted = values()
    by_value = scores_by_value(truth, predicted, np.ones((1, 120)))
    for column in range(2):
        y, x = truth[:, column], predicted[:, column]
        expected = {
            "r2": metrics.r2_score(y, x),
            "pearson": stats.pearsonr(y, x).statistic,
            "spearman": stats.spearmanr(y, x).statistic,
            "rmse": metrics.root_mean_squared_error(y, x),
            "mae": metrics.mean_absolute_error(y, x),
        }
        assert {name: found[0, column] for name, found in by_value.items()} == pytest.approx(expected)
    means = {name: found[0].mean() for name, found in by_value.items()}
    assert value_scores(truth, predicted) == pytest.approx(means)


def test_a_weight_is_as_many_copies() -> None:
    truth, predicted = values(40)
    weights = np.random.default_rng(1).integers(0, 4, size=(5, 40))
    found = weighted_value_scores(truth, predicted, weights.astype(float))
    for draw, row in enumerate(weights):
        copies = np.repeat(np.arange(40), row)
        expected = value_scores(truth[copies], predicted[copies])
        assert {name: scored[draw] for name, scored in found.items()} == pytest.approx(expected)


@pytest.mark.parametrize("level", [0.0, 0.1, 1e9])
def test_what_does_not_vary_has_no_correlation(level: float) -> None:
    truth, _ = values()
    constant = np.full_like(truth, level)
    found = value_scores(truth, constant)
    assert np.isnan(found["pearson"])
    assert np.isnan(found["spearman"])
    assert found["r2"] < 0
    assert value_scores(truth, np.tile(truth.mean(0), (120, 1)))["r2"] == pytest.approx(0)
    assert np.isnan(value_scores(constant, truth)["r2"])


def test_units_and_offsets_do_not_matter() -> None:
    truth, predicted = values()
    plain, other = value_scores(truth, predicted), value_scores(truth * 1e-7 + 1, predicted * 1e-7 + 1)
    for name in ("r2", "pearson", "spearman"):
        assert other[name] == pytest.approx(plain[name], rel=1e-6)
    assert other["rmse"] == pytest.approx(plain["rmse"] * 1e-7)


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [([1.0], [1.0], r"\(N, C\) twice"), ([[1.0], [2.0]], [[1.0], [np.inf]], r"value .*index 1 .*finite")],
)
def test_bad_input_is_named(truth: object, predicted: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        value_scores(truth, predicted)  # type: ignore[arg-type]


def test_intervals_and_paired_differences() -> None:
    truth, predicted = values()
    judge = kind_named("values")(["x", "y"])
    scores, bounds = judge.scores(truth, predicted), judge.intervals(truth, predicted, seed=1)
    assert all(bounds[name][0] < scores[name] < bounds[name][1] for name in scores)
    worse = predicted + np.random.default_rng(9).normal(size=predicted.shape) * (2, 60)
    found = judge.paired(truth, (worse, judge), (predicted, judge))["r2"]
    difference = value_scores(truth, predicted)["r2"] - value_scores(truth, worse)["r2"]
    assert found["difference"] == pytest.approx(difference)
    assert found["low"] > 0
    assert found["p_value"] < 0.01


def planted(count: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Sequences of two values: the first follows GC content, the second the base at position 7; both have noise."""
    rng = np.random.default_rng(seed)
    shares = rng.uniform(0.2, 0.8, count)
    letters = np.where(rng.random((count, 30)) < shares[:, None], rng.choice(list("GC"), (count, 30)), "")
    letters = np.where(letters == "", rng.choice(list("AT"), (count, 30)), letters)
    content = np.isin(letters, list("GC")).mean(1)
    at_seven = rng.choice(list("AC"), count)
    letters[:, 7] = at_seven
    noise = rng.normal(size=(count, 2))
    return ["".join(row) for row in letters], np.stack(
        [100 + 50 * content + noise[:, 0], 1e-6 * (4.0 * (at_seven == "A") + 0.4 * noise[:, 1])], axis=1
    )


def test_planted_signals_are_found_where_they_are() -> None:
    parts = [planted(count, seed) for count, seed in ((300, 0), (60, 1), (150, 2))]
    (train, known), (valid, held), (test, truth) = parts
    found = run_value_baselines(Part(train, known), Part(valid, held), test)
    assert tuple(found) == tuple(name for name in BASELINES if name not in ("length", "composition"))
    np.testing.assert_allclose(found["mean"], np.tile(known.mean(0), (150, 1)))
    r2 = {name: scores_by_value(truth, predicted, np.ones((1, 150)))["r2"][0] for name, predicted in found.items()}
    assert r2["gc"][0] > 0.9
    assert r2["dinucleotide"][0] > 0.8
    assert r2["gc"][1] < 0.1
    assert min(r2["onehot_ridge"][1], r2["onehot_boosting"][1]) > 0.9
    assert r2["kmer_ridge"][1] < 0.5


def test_baselines_are_fitted_once_and_again_for_other_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (train, known), (valid, held), (test, _) = (planted(count, seed) for count, seed in ((40, 0), (10, 1), (5, 2)))
    fitted: list[int] = []
    run = value_baselines._fit_values
    monkeypatch.setattr(value_baselines, "_fit_values", lambda *rest: fitted.append(1) or run(*rest))
    first, again, other = (
        run_value_baselines(Part(train, numbers), Part(valid, held), test, cache_dir=tmp_path)
        for numbers in (known, known, known * 2)
    )
    assert len(fitted) == 2
    for name, predicted in first.items():
        np.testing.assert_array_equal(predicted, again[name])
    assert not np.allclose(first["gc"], other["gc"])
