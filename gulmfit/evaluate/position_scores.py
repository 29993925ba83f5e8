"""Scores of one class a position, all positions of all sequences counted alike.

Shapes: `N` sequences, `L` positions, `C` classes, `D` sets of weights (bootstrap draws).
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from gulmfit.seq.labels.position_labels import END

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
    return np.asarray(np.bincount(rows, weights=nats, minlength=len(truth)), np.float64)


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
        return {
            "accuracy": accuracy,
            "log_loss": np.where(np.isfinite(loss), loss, np.nan),
            "f1_macro": macro_f1(matrix),
        }

    return scores


def scores_by_class(truth: NDArray[np.int16], predicted: Floats) -> Callable[[Floats], Mapping[str, Floats]]:
    """Return what gives the `CLASS_METRICS` of each class, (D, C) each, from (D, N) weights."""
    counted, classes = confusions(truth, predicted).reshape(len(truth), -1), predicted.shape[2]
    return lambda weights: by_class((weights @ counted).reshape(-1, classes, classes))


def circular_shifts(
    truth: NDArray[np.int16], predicted: Floats, *, draws: int = 999, seed: int = 0
) -> dict[str, float | int]:
    """Test whether predictions fit their places: against the same predictions, each sequence's shifted in a circle.

    A shift keeps the lengths of runs and how often each class is predicted, which permuted positions would not.

    Args:
        truth, predicted: As of `confusions`.
        draws: How often all sequences are shifted, each by a number of its own.
        seed: Of the shifts.

    Returns:
        `accuracy`, `shifted`, its mean over the draws, `draws`, and the one-sided `p_value`, (1 + hits) / (1 + draws).
    """
    rng, lengths = np.random.default_rng(seed), (truth != END).sum(axis=1)
    right, observed = np.zeros(draws), 0.0
    for known, scores, length in zip(truth, predicted, lengths.tolist(), strict=True):
        if not length:
            continue
        classes = np.arange(predicted.shape[2])[:, None]
        there, called = known[:length] == classes, scores[:length].argmax(axis=1) == classes
        # Matches at every shift at once: a circular correlation.
        spectrum = (np.conj(np.fft.rfft(called)) * np.fft.rfft(there)).sum(axis=0)
        matches = np.rint(np.fft.irfft(spectrum, length))
        observed += matches[0]
        right += matches[rng.integers(length, size=draws)]
    total = max(1, int((truth >= 0).sum()))
    hits = int((right >= observed).sum())
    return {
        "accuracy": observed / total,
        "shifted": float(right.mean() / total),
        "draws": draws,
        "p_value": (1 + hits) / (1 + draws),
    }


def macro_f1(matrix: Floats) -> Floats:
    """Return the mean F1 (D,) of the classes that are there, from counts (D, C, C); 0 where none is."""
    f1 = np.where(matrix.sum(axis=2) > 0, by_class(matrix)["f1"], np.nan)
    found: Floats = np.nansum(f1, axis=1) / np.maximum((~np.isnan(f1)).sum(axis=1), 1)
    return found


def by_class(matrix: Floats) -> dict[str, Floats]:
    """Return the `CLASS_METRICS` (D, C) of (D, C, C) counts; nan where a class neither is there nor predicted."""
    right, there, called = np.diagonal(matrix, axis1=1, axis2=2), matrix.sum(axis=2), matrix.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {"f1": 2 * right / (there + called), "precision": right / called, "recall": right / there}
