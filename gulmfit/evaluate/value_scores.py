"""Scores of predicted values: how much of their variance is explained, how they are ranked, how far off they are.

Shapes: `N` sequences, `C` values, `D` sets of weights (bootstrap draws), `G` groups of equal numbers.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gulmfit.errors import DataError
from gulmfit.evaluate.scores import ratio

Floats = NDArray[np.float64]

VALUE_METRICS = ("r2", "pearson", "spearman", "rmse", "mae")

_ROUNDING = 1e-24  # a variance that is a smaller share of the squared numbers is rounding


def value_scores(values: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Score predicted values; of several values each score is the mean over them.

    `r2` is 1 - residual sum of squares / sum of squares about the mean of the scored values: 0 for predicting that
    mean, below 0 for worse. `spearman` is Pearson's correlation of midranks. `rmse` and `mae` have the units of the
    values, and of several values mix them.

    Args:
        values: (N, C) measured values.
        predicted: (N, C) predicted ones.

    Returns:
        The names of `VALUE_METRICS`. `r2` and correlations are nan where measured values do not vary, correlations
        also where predicted ones do not.

    Raises:
        DataError: The shapes do not fit, or a number is not finite.
    """
    weights = np.ones((1, np.shape(values)[0] if np.ndim(values) else 0))
    return {name: float(value[0]) for name, value in weighted_value_scores(values, predicted, weights).items()}


def weighted_value_scores(values: ArrayLike, predicted: ArrayLike, weights: Floats) -> dict[str, Floats]:
    """Give `value_scores` as if each sequence stood there as often as its weight says, `(D,)` of each score."""
    return {name: scored.mean(axis=1) for name, scored in scores_by_value(values, predicted, weights).items()}


def scores_by_value(values: ArrayLike, predicted: ArrayLike, weights: Floats) -> dict[str, Floats]:
    """Score each value by itself.

    Args:
        values: (N, C) measured values.
        predicted: (N, C) predicted ones.
        weights: (D, N) whole weights, at least 0.

    Returns:
        (D, C) for each name of `VALUE_METRICS`.

    Raises:
        DataError: As `value_scores`.
    """
    truth, guess = checked_values(values, predicted)
    columns = [_scores(y, x, weights) for y, x in zip(truth.T, guess.T, strict=True)]
    return {name: np.stack([column[name] for column in columns], axis=1) for name in VALUE_METRICS}


def _scores(truth: Floats, guess: Floats, weights: Floats) -> dict[str, Floats]:
    """(D,) scores of one value."""
    total = weights.sum(axis=1)
    squared = weights @ np.square(guess - truth) / total
    _, variance, _ = _moments(truth[None], truth[None], weights)
    return {
        "r2": 1 - ratio(squared, variance, empty=np.nan),
        "pearson": _correlation(guess[None], truth[None], weights),
        "spearman": _correlation(_midranks(guess, weights), _midranks(truth, weights), weights),
        "rmse": np.sqrt(squared),
        "mae": weights @ np.abs(guess - truth) / total,
    }


def _correlation(x: Floats, y: Floats, weights: Floats) -> Floats:
    """(D,) Pearson's correlation of (1 or D, N) numbers."""
    covariance, x_variance, y_variance = _moments(x, y, weights)
    return np.clip(ratio(covariance, np.sqrt(x_variance * y_variance), empty=np.nan), -1, 1)


def _moments(x: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """(D,) covariance and the two variances of (1 or D, N) numbers; a variance that is rounding is 0."""
    total = weights.sum(axis=1, keepdims=True)
    least = [_ROUNDING * np.square(item).max(axis=1) for item in (x, y)]
    x, y = (item - (weights * item).sum(axis=1, keepdims=True) / total for item in (x, y))
    covariance, *variances = ((weights * a * b).sum(axis=1) / total[:, 0] for a, b in ((x, y), (x, x), (y, y)))
    kept = [np.where(v <= rounding, 0.0, v) for v, rounding in zip(variances, least, strict=True)]
    return covariance, kept[0], kept[1]


def _midranks(numbers: Floats, weights: Floats) -> Floats:
    """(D, N) rank of each number, all of them standing there as often as they weigh; equal ones share their mean."""
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-np.inf))
    held = np.add.reduceat(weights[:, order], starts, axis=1)  # (D, G)
    shared = np.cumsum(held, axis=1) - held + (held + 1) / 2
    ranks = np.empty_like(weights)
    ranks[:, order] = np.repeat(shared, np.diff(starts, append=len(numbers)), axis=1)
    return ranks


def checked_values(values: ArrayLike, predicted: ArrayLike) -> tuple[Floats, Floats]:
    """Return (N, C) values and predictions as arrays, or raise as `value_scores` does."""
    truth, guess = (np.asarray(item, dtype=np.float64) for item in (values, predicted))
    if truth.ndim != 2 or truth.shape != guess.shape or not truth.size:
        raise DataError(f"values {truth.shape} and predictions {guess.shape}: expected (N, C) twice, with N >= 1")
    broken = np.flatnonzero(~(np.isfinite(truth) & np.isfinite(guess)).all(axis=1))
    if len(broken):
        raise DataError(f"a value or prediction at index {broken[0]} is not finite")
    return truth, guess
