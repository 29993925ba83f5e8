"""Scores of one class a position, all positions of all sequences counted alike.

Shapes: `N` sequences, `L` positions, `C` classes, `D` sets of weights (bootstrap draws).
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CLASS_METRICS = ("f1", "precision", "recall")


def confusions(truth: NDArray[np.int16], predicted: Floats) -> Floats:
    """Count positions by true and predicted class for each sequence, `(N, C, C)`.

    Args:
        truth: (N, L) class indices, negative where nothing is known.
        predicted: (N, L, C) probabilities.
    """
    count, _, classes = predicted.shape
    rows, places = np.nonzero(truth >= 0)
    chosen = predicted.argmax(axis=2)[rows, places]
    pairs = (rows * classes + truth[rows, places]) * classes + chosen
    return np.bincount(pairs, minlength=count * classes**2).reshape(count, classes, classes).astype(np.float64)


def losses(truth: NDArray[np.int16], predicted: Floats) -> Floats:
    """Sum -log of the probability of the true class over the positions of each sequence, `(N,)`, in nats."""
    rows, places = np.nonzero(truth >= 0)
    with np.errstate(divide="ignore"):
        nats = -np.log(predicted[rows, places, truth[rows, places]])
    return np.bincount(rows, weights=nats, minlength=len(truth))


def weighted_position_scores(truth: NDArray[np.int16], predicted: Floats) -> Callable[[Floats], Mapping[str, Floats]]:
    """Return what scores predictions as if each sequence stood there as often as its weight says.

    Args:
        truth, predicted: As of `confusions`.

    Returns:
        A function of (D, N) weights that gives `accuracy`, `f1_macro`, the mean over the classes that are there, and
        `log_loss`, in nats a position, (D,) each; a log loss is nan where something had probability 0 and was there.
    """
    counted, nats = confusions(truth, predicted).reshape(len(truth), -1), losses(truth, predicted)
    classes = predicted.shape[2]

    def scores(weights: Floats) -> dict[str, Floats]:
        matrix = (weights @ counted).reshape(-1, classes, classes)
        total = matrix.sum(axis=(1, 2))
        with np.errstate(divide="ignore", invalid="ignore"):
            loss = weights @ nats / total
            accuracy = np.trace(matrix, axis1=1, axis2=2) / total
        f1 = np.where(matrix.sum(axis=2) > 0, _by_class(matrix)["f1"], np.nan)
        return {
            "accuracy": accuracy,
            "log_loss": np.where(np.isfinite(loss), loss, np.nan),
            "f1_macro": np.nansum(f1, axis=1) / np.maximum((~np.isnan(f1)).sum(axis=1), 1),
        }

    return scores


def scores_by_class(truth: NDArray[np.int16], predicted: Floats) -> Callable[[Floats], Mapping[str, Floats]]:
    """Return what gives the `CLASS_METRICS` of each class, (D, C) each, from (D, N) weights."""
    counted, classes = confusions(truth, predicted).reshape(len(truth), -1), predicted.shape[2]
    return lambda weights: _by_class((weights @ counted).reshape(-1, classes, classes))


def _by_class(matrix: Floats) -> dict[str, Floats]:
    """(D, C) scores of (D, C, C) counts; nan where a class neither is there nor predicted."""
    right, there, called = np.diagonal(matrix, axis1=1, axis2=2), matrix.sum(axis=2), matrix.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {"f1": 2 * right / (there + called), "precision": right / called, "recall": right / there}
