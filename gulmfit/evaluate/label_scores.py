"""Scores of label sets: of each label by itself, over labels, and of whole sets. Unknown labels do not count.

Shapes: `N` sequences, `C` labels, `D` sets of weights (bootstrap draws).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gulmfit.errors import DataError
from gulmfit.evaluate.scores import areas, ratio
from gulmfit.seq.labels.label_sets import UNKNOWN_LABEL

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LABEL_METRICS = ("auroc_macro", "auroc_micro", "auprc_macro", "auprc_micro", "log_loss")
DECIDED_METRICS = ("f1_macro", "f1_micro", "hamming_loss", "exact_match")

_EPSILON = float(np.finfo(np.float64).eps)


def label_scores(labels: ArrayLike, probabilities: ArrayLike, thresholds: ArrayLike | None = None) -> dict[str, float]:
    """Score the probabilities of the labels that are known.

    `macro` is the mean over labels, `micro` takes every label of every sequence for a case of its own. A label that
    no or every sequence has, has no area and is left out of the means of areas. `log_loss` is in nats, the mean over
    labels. `hamming_loss` is the share of labels called wrongly, `exact_match` that of sequences with all labels right.

    Args:
        labels: (N, C) 1 where a label is there, 0 where it is not, `UNKNOWN_LABEL` where nobody knows.
        probabilities: (N, C) probabilities.
        thresholds: (C,) probabilities from which on a label is called; without them nothing is called.

    Returns:
        The names of `LABEL_METRICS` and, with thresholds, `DECIDED_METRICS`. A ratio with nothing below the line is 0;
        an area is nan where no label has one.

    Raises:
        DataError: The shapes do not fit, a label is none of these, or a probability is not finite.
    """
    weights = np.ones((1, np.shape(labels)[0] if np.ndim(labels) else 0))
    return {
        name: float(value[0])
        for name, value in weighted_label_scores(labels, probabilities, weights, thresholds).items()
    }


def weighted_label_scores(
    labels: ArrayLike, probabilities: ArrayLike, weights: Floats, thresholds: ArrayLike | None = None
) -> dict[str, Floats]:
    """Give `label_scores` as if each sequence stood there as often as its weight says.

    Args:
        labels: (N, C) labels.
        probabilities: (N, C) probabilities.
        weights: (D, N) weights, at least 0.
        thresholds: As in `label_scores`.

    Returns:
        (D,) values of each score. A mean of areas is nan in a draw without one of the labels that have an area
        unweighted, for it would be a mean over others.

    Raises:
        DataError: As `label_scores`.
    """
    truth, scores = checked_sets(labels, probabilities)
    known = truth != UNKNOWN_LABEL
    pairs = [_areas(truth, scores, weights, label) for label in np.flatnonzero(varying(truth)).tolist()]
    nothing = np.full(len(weights), np.nan)
    macro = [np.mean(values, axis=0) for values in zip(*pairs, strict=True)] or [nothing, nothing]
    micro = areas(truth[known] == 1, scores[known], np.repeat(weights, known.sum(axis=1), axis=1))
    surprise = -np.log(np.maximum(np.where(truth == 1, scores, 1 - scores), _EPSILON)) * known
    values = {
        "auroc_macro": macro[0],
        "auroc_micro": micro[0],
        "auprc_macro": macro[1],
        "auprc_micro": micro[1],
        "log_loss": weights @ surprise.sum(axis=1) / (weights @ known.sum(axis=1)),
    }
    return values if thresholds is None else values | _decided(truth, scores >= np.asarray(thresholds), weights)


def varying(truth: Ints) -> NDArray[np.bool_]:
    """Tell which labels (C,) are known of sequences with and without them."""
    found: NDArray[np.bool_] = (truth == 1).any(axis=0) & (truth == 0).any(axis=0)
    return found


def _areas(truth: Ints, scores: Floats, weights: Floats, label: int) -> tuple[Floats, Floats]:
    """Return both areas of a label, over the sequences whose label is known."""
    known = truth[:, label] != UNKNOWN_LABEL
    return areas(truth[known, label] == 1, scores[known, label], weights[:, known])


def _decided(truth: Ints, called: NDArray[np.bool_], weights: Floats) -> dict[str, Floats]:
    is_true, known = truth == 1, truth != UNKNOWN_LABEL
    hits = weights @ (is_true & called)  # (D, C)
    both = weights @ is_true.astype(np.float64) + weights @ (called & known).astype(np.float64)
    wrong = (is_true != called) & known
    return {
        "f1_macro": ratio(2 * hits, both).mean(axis=1),
        "f1_micro": ratio(2 * hits.sum(axis=1), both.sum(axis=1)),
        "hamming_loss": weights @ wrong.sum(axis=1) / (weights @ known.sum(axis=1)),
        "exact_match": weights @ (~wrong.any(axis=1)) / weights.sum(axis=1),
    }


def scores_by_label(
    labels: ArrayLike, probabilities: ArrayLike, weights: Floats, thresholds: ArrayLike
) -> dict[str, Floats]:
    """Score each label by itself, on the sequences whose label is known.

    Args:
        labels: (N, C) labels.
        probabilities: (N, C) probabilities.
        weights: (D, N) weights, at least 0.
        thresholds: (C,) as in `label_scores`.

    Returns:
        (D, C) values of `auroc auprc f1 precision recall`; areas are nan where a label has none.

    Raises:
        DataError: As `label_scores`.
    """
    truth, scores = checked_sets(labels, probabilities)
    called = (scores >= np.asarray(thresholds)) & (truth != UNKNOWN_LABEL)
    hits = weights @ ((truth == 1) & called)
    actual, predicted = (weights @ there.astype(np.float64) for there in (truth == 1, called))
    pairs = [_areas(truth, scores, weights, label) for label in range(truth.shape[1])]
    auroc, auprc = (np.stack(values, axis=1) for values in zip(*pairs, strict=True))
    return {
        "auroc": auroc,
        "auprc": auprc,
        "f1": ratio(2 * hits, actual + predicted),
        "precision": ratio(hits, predicted),
        "recall": ratio(hits, actual),
    }


def checked_sets(labels: ArrayLike, probabilities: ArrayLike) -> tuple[Ints, Floats]:
    """Return (N, C) labels and probabilities as arrays, or raise as `label_scores` does."""
    truth, scores = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if truth.ndim != 2 or truth.shape != scores.shape or not truth.size:
        raise DataError(f"labels {truth.shape} and probabilities {scores.shape}: expected (N, C) twice, with N >= 1")
    if not np.isin(truth, (0, 1, UNKNOWN_LABEL)).all():
        raise DataError(f"labels of sets are 1 where a label is there, else 0, or {UNKNOWN_LABEL} where nobody knows")
    broken = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if len(broken):
        raise DataError(f"probabilities at index {broken[0]} are not finite: {scores[broken[0]].tolist()}")
    return truth.astype(np.int64), scores
