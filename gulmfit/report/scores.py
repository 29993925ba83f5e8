"""Scores of a classifier, their bootstrap intervals, and an exact paired test.

Shapes: `N` sequences, `C` classes, `D` bootstrap draws, `G` groups of equal score.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gulmfit.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

METRICS = ("accuracy", "mcc", "precision", "recall", "specificity", "f1", "auroc", "auprc")

# Largest draws x sequences block held in memory at once; a few such arrays of doubles are alive together.
_BLOCK = 2_000_000


def classification_scores(labels: ArrayLike, probabilities: ArrayLike, *, positive: int | None) -> dict[str, float]:
    """Score class probabilities against labels.

    With two classes precision, recall, specificity, F1, AUROC and AUPRC are those of the positive class;
    with more they are means over all classes, each class against the rest. The predicted class is the one
    of highest probability, the lower index on a tie. AUPRC is average precision (no interpolation).

    Args:
        labels: (N,) class indices.
        probabilities: (N, C) probabilities, one column a class.
        positive: Index of the positive class of a two-class set, 1 if None; not used with more classes.

    Returns:
        The names of `METRICS` with their values. A ratio with nothing below the line is 0.0; AUROC and
        AUPRC are nan where a class has no sequence, or is all there is.

    Raises:
        DataError: The shapes do not fit, a label is not a column, or a probability is not finite.
    """
    truth, scores = _checked(labels, probabilities)
    column = _positive_column(positive, scores.shape[1])
    values = _count_scores(confusion(truth, scores)[None], column)
    values |= _ranking_scores(truth, scores, np.ones((1, len(truth))), column)
    return {name: float(values[name][0]) for name in METRICS}


def confusion(labels: ArrayLike, probabilities: ArrayLike) -> Ints:
    """Count sequences by true class (rows) and predicted class (columns).

    Args:
        labels: (N,) class indices.
        probabilities: (N, C) probabilities.

    Returns:
        (C, C) counts.

    Raises:
        DataError: As `classification_scores`.
    """
    truth, scores = _checked(labels, probabilities)
    classes = scores.shape[1]
    cells = truth * classes + scores.argmax(axis=1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def bootstrap_intervals(
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    positive: int | None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Bound every score of `classification_scores` by a percentile bootstrap over sequences.

    Each draw takes, with replacement, as many sequences of every class as there are, so the class balance is
    kept. The interval holds the chance of the test sequences, not that of another training run.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C) probabilities.
        positive: As in `classification_scores`.
        draws: Number of resamples.
        seed: Seed of the resampling; equal seeds give equal intervals.
        level: Coverage, between 0 and 1.

    Returns:
        (low, high) for each name of `METRICS`; (nan, nan) where the score is undefined.

    Raises:
        DataError: As `classification_scores`, or `draws` < 1, or `level` not inside (0, 1).

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), section 13.3; stratified by class.
    """
    truth, scores = _checked(labels, probabilities)
    if draws < 1 or not 0 < level < 1:
        raise DataError(f"bootstrap of {draws} draws at level {level}: draws must be >= 1, 0 < level < 1")
    column = _positive_column(positive, scores.shape[1])
    blocks: dict[str, list[Floats]] = {name: [] for name in METRICS}
    for picks in _resamples(truth, draws, np.random.default_rng(seed)):
        values = _count_scores(_confusions(truth, scores, picks), column)
        values |= _ranking_scores(truth, scores, _multiplicities(picks), column)
        for name, block in values.items():
            blocks[name].append(block)
    tails = [(1 - level) / 2, (1 + level) / 2]
    bounds = {name: np.quantile(np.concatenate(parts), tails) for name, parts in blocks.items()}
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}


def mcnemar(labels: ArrayLike, predicted_a: ArrayLike, predicted_b: ArrayLike) -> dict[str, float]:
    """Test whether two classifiers err equally often on the same sequences (exact, two-sided).

    Only sequences that one gets right and the other wrong speak; if the classifiers are equal, each such
    sequence favours either with probability 1/2.

    Args:
        labels: (N,) class indices.
        predicted_a: (N,) predicted class indices of the first classifier.
        predicted_b: (N,) those of the second.

    Returns:
        `only_a_right`, `only_b_right` (counts), `accuracy_difference` (a minus b) and `p_value`.

    Raises:
        DataError: The three lengths differ or are 0.

    Source: McNemar, Psychometrika 12 (1947) 153-157, with the exact binomial in place of chi-squared.
    """
    truth, a, b = (np.asarray(values) for values in (labels, predicted_a, predicted_b))
    if truth.ndim != 1 or not truth.shape == a.shape == b.shape or not len(truth):
        raise DataError(f"labels {truth.shape} and predictions {a.shape}, {b.shape} must be equally long and not empty")
    from scipy.stats import binomtest

    right_a, right_b = a == truth, b == truth
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    p_value = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    difference = (only_a - only_b) / len(truth)
    return {
        "only_a_right": only_a,
        "only_b_right": only_b,
        "accuracy_difference": difference,
        "p_value": p_value,
    }


def json_ready(value: Any) -> Any:
    """Turn numpy values, tuples and paths into plain JSON ones; nan and infinities become None.

    Raises:
        TypeError: A value has no plain JSON form.
    """
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return json_ready(value.tolist())
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no plain JSON form: {value!r}")


def _checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[Ints, Floats]:
    truth, scores = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if truth.ndim != 1 or scores.ndim != 2 or len(truth) != len(scores) or not len(truth):
        raise DataError(f"labels {truth.shape} and probabilities {scores.shape}: expected (N,) and (N, C) with N >= 1")
    if scores.shape[1] < 2:
        raise DataError("probabilities have 1 column; give one column for each of two or more classes")
    if not np.issubdtype(truth.dtype, np.integer):
        raise DataError(f"labels are {truth.dtype}; expected integer class indices")
    outside = np.flatnonzero((truth < 0) | (truth >= scores.shape[1]))
    if len(outside):
        at = outside[0]
        raise DataError(f"label {truth[at]} at index {at} is not one of the {scores.shape[1]} classes")
    broken = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if len(broken):
        raise DataError(f"probabilities at index {broken[0]} are not finite: {scores[broken[0]].tolist()}")
    return truth.astype(np.int64), scores


def _positive_column(positive: int | None, classes: int) -> int | None:
    """The column scored alone, or None for means over classes."""
    if classes > 2:
        return None
    column = 1 if positive is None else positive
    if column not in (0, 1):
        raise DataError(f"positive class {positive} is not one of the two classes 0 and 1")
    return column


def _resamples(truth: Ints, draws: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Yield (D, N) blocks of sequence indices, drawn with replacement inside each class."""
    members = [np.flatnonzero(truth == label) for label in np.unique(truth)]
    step = max(1, _BLOCK // len(truth))
    for start in range(0, draws, step):
        size = min(step, draws - start)
        yield np.concatenate([own[rng.integers(len(own), size=(size, len(own)))] for own in members], axis=1)


def _multiplicities(picks: Ints) -> Floats:
    """(D, N) times each sequence was drawn, from (D, N) drawn indices."""
    draws, count = picks.shape
    flat = picks + np.arange(draws)[:, None] * count
    return np.bincount(flat.ravel(), minlength=draws * count).reshape(draws, count).astype(np.float64)


def _confusions(truth: Ints, scores: Floats, picks: Ints) -> Ints:
    """(D, C, C) confusion counts of the drawn sequences."""
    draws, classes = len(picks), scores.shape[1]
    cells = (truth * classes + scores.argmax(axis=1))[picks]
    cells += np.arange(draws)[:, None] * classes * classes
    return np.bincount(cells.ravel(), minlength=draws * classes * classes).reshape(draws, classes, classes)


def _count_scores(matrices: Ints, column: int | None) -> dict[str, Floats]:
    """(D,) values of the scores that follow from (D, C, C) confusion counts."""
    counts = matrices.astype(np.float64)
    total = counts.sum(axis=(1, 2))
    hits = np.diagonal(counts, axis1=1, axis2=2)
    actual, predicted = counts.sum(axis=2), counts.sum(axis=1)
    true_negatives = total[:, None] - actual - predicted + hits
    by_class = {
        "precision": _ratio(hits, predicted),
        "recall": _ratio(hits, actual),
        "specificity": _ratio(true_negatives, total[:, None] - actual),
        "f1": _ratio(2 * hits, actual + predicted),
    }
    # Multi-class MCC: Gorodkin, Comput. Biol. Chem. 28 (2004) 367-374; the usual one for C = 2.
    covariance = hits.sum(axis=1) * total - (actual * predicted).sum(axis=1)
    spread = (total**2 - (predicted**2).sum(axis=1)) * (total**2 - (actual**2).sum(axis=1))
    summary = {"accuracy": _ratio(hits.sum(axis=1), total), "mcc": _ratio(covariance, np.sqrt(spread))}
    return summary | {name: _pick(values, column) for name, values in by_class.items()}


def _ranking_scores(truth: Ints, scores: Floats, weights: Floats, column: int | None) -> dict[str, Floats]:
    """(D,) AUROC and AUPRC under (D, N) multiplicities of the sequences."""
    wanted = range(scores.shape[1]) if column is None else (column,)
    pairs = [_areas(truth == label, scores[:, label], weights) for label in wanted]
    auroc, auprc = (np.mean(values, axis=0) for values in zip(*pairs, strict=True))
    return {"auroc": auroc, "auprc": auprc}


def _areas(is_positive: NDArray[np.bool_], score: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """AUROC and average precision of each draw: one sort for all, equal scores taken together."""
    if is_positive.all() or not is_positive.any():
        undefined = np.full(len(weights), np.nan)
        return undefined, undefined
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    ordered = weights[:, order]
    positives = np.add.reduceat(ordered * is_positive[order], starts, axis=1)  # (D, G), lowest score first
    everyone = np.add.reduceat(ordered, starts, axis=1)
    negatives = everyone - positives
    positive_total, negative_total = positives.sum(axis=1), negatives.sum(axis=1)

    below = np.cumsum(negatives, axis=1) - negatives / 2  # a tie counts one half
    auroc = (positives * below).sum(axis=1) / (positive_total * negative_total)

    found = positive_total[:, None] - np.cumsum(positives, axis=1) + positives  # at this threshold or above
    called = (positive_total + negative_total)[:, None] - np.cumsum(everyone, axis=1) + everyone
    auprc = (positives * _ratio(found, called)).sum(axis=1) / positive_total
    return auroc, auprc


def _ratio(above: Floats, below: Floats) -> Floats:
    """Divide, with 0 where `below` is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)


def _pick(values: Floats, column: int | None) -> Floats:
    return values.mean(axis=1) if column is None else values[:, column]
