"""Scores of a classifier: of the predicted classes, of the ranking, and of the probabilities themselves.

Shapes: `N` sequences, `C` classes, `D` sets of weights (bootstrap draws), `G` groups of equal score, `B` bins.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gulmfit.errors import DataError

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

METRICS = (
    "accuracy", "mcc", "precision", "recall", "specificity", "f1", "auroc", "auprc", "brier", "log_loss", "ece",
)  # fmt: skip

ECE_BINS = 15

_EPSILON = float(np.finfo(np.float64).eps)


def classification_scores(
    labels: ArrayLike, probabilities: ArrayLike, *, positive: int | None, threshold: float | None = None
) -> dict[str, float]:
    """Score class probabilities against labels.

    With two classes precision, recall, specificity, F1, AUROC and AUPRC are those of the positive class;
    with more they are means over all classes, each class against the rest. AUPRC is average precision (no
    interpolation).

    `brier` is the squared error summed over the classes, as Brier (Mon. Weather Rev. 78 (1950) 1-3) has it: 0 to 2,
    twice the one-column form. `log_loss` is in nats, probabilities held away from 0 by 2.2e-16. `ece` is the expected
    calibration error over 15 bins of equal mass (Naeini et al., AAAI 2015) of the positive class's probability; with
    more classes, of the predicted class's (Guo et al., ICML 2017). Chance alone makes it positive: about
    0.8 sqrt(15 p (1 - p) / N) for a calibrated classifier. Of these three, lower is better.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C) probabilities, one column a class.
        positive: Index of the positive class of a two-class set, 1 if None; not used with more classes.
        threshold: As in `predicted_classes`.

    Returns:
        The names of `METRICS` with their values. A ratio with nothing below the line is 0.0; AUROC and
        AUPRC are nan where a class has no sequence, or is all there is.

    Raises:
        DataError: The shapes do not fit, a label is not a column, or a probability is not finite.
    """
    weights = np.ones((1, np.size(labels)))
    values = weighted_scores(labels, probabilities, weights, positive=positive, threshold=threshold)
    return {name: float(value[0]) for name, value in values.items()}


def weighted_scores(
    labels: ArrayLike,
    probabilities: ArrayLike,
    weights: Floats,
    *,
    positive: int | None,
    threshold: float | None = None,
) -> dict[str, Floats]:
    """Give `classification_scores` as if each sequence stood there as often as its weight says.

    The bins of `ece` are those of the unweighted sequences.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C) probabilities.
        weights: (D, N) weights, at least 0.
        positive: As in `classification_scores`.
        threshold: As in `predicted_classes`.

    Returns:
        (D,) values for each name of `METRICS`.

    Raises:
        DataError: As `classification_scores`.
    """
    truth, scores = checked(labels, probabilities)
    classes = scores.shape[1]
    column = positive_column(positive, classes)
    cells = truth * classes + predicted_classes(scores, positive=positive, threshold=threshold)
    values = confusion_scores(tally(weights, cells, classes**2).reshape(-1, classes, classes), column)
    values |= _ranking_scores(truth, scores, weights, column)
    values |= _probability_scores(truth, scores, weights, column)
    return {name: values[name] for name in METRICS}


def predicted_classes(probabilities: ArrayLike, *, positive: int | None, threshold: float | None = None) -> Ints:
    """Choose a class for each sequence.

    Args:
        probabilities: (N, C) probabilities.
        positive: As in `classification_scores`.
        threshold: Probability from which on the positive class of two is chosen; if None, the class of highest
            probability is, the lower index on a tie.

    Returns:
        (N,) class indices.

    Raises:
        DataError: A threshold with more than two classes.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    if threshold is None:
        best: Ints = scores.argmax(axis=1)
        return best
    column = positive_column(positive, scores.shape[1])
    if column is None:
        raise DataError(f"a threshold decides between two classes; there are {scores.shape[1]}. Leave it out")
    chosen: Ints = np.where(scores[:, column] >= threshold, column, 1 - column)
    return chosen


def confusion(
    labels: ArrayLike, probabilities: ArrayLike, *, positive: int | None = None, threshold: float | None = None
) -> Ints:
    """Count sequences by true class (rows) and predicted class (columns).

    Args:
        labels: (N,) class indices.
        probabilities: (N, C) probabilities.
        positive: As in `classification_scores`.
        threshold: As in `predicted_classes`.

    Returns:
        (C, C) counts.

    Raises:
        DataError: As `classification_scores`.
    """
    truth, scores = checked(labels, probabilities)
    classes = scores.shape[1]
    cells = truth * classes + predicted_classes(scores, positive=positive, threshold=threshold)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def confusion_scores(matrices: ArrayLike, column: int | None) -> dict[str, Floats]:
    """Give the scores that follow from confusion counts alone.

    Args:
        matrices: (D, C, C) counts or weights, true classes in rows.
        column: The class scored alone, or None for means over classes.

    Returns:
        (D,) values of `accuracy mcc precision recall specificity f1`.
    """
    counts = np.asarray(matrices, dtype=np.float64)
    total = counts.sum(axis=(1, 2))
    hits = np.diagonal(counts, axis1=1, axis2=2)
    actual, predicted = counts.sum(axis=2), counts.sum(axis=1)
    true_negatives = total[:, None] - actual - predicted + hits
    by_class = {
        "precision": ratio(hits, predicted),
        "recall": ratio(hits, actual),
        "specificity": ratio(true_negatives, total[:, None] - actual),
        "f1": ratio(2 * hits, actual + predicted),
    }
    # Multi-class MCC: Gorodkin, Comput. Biol. Chem. 28 (2004) 367-374; the usual one for C = 2.
    covariance = hits.sum(axis=1) * total - (actual * predicted).sum(axis=1)
    spread = (total**2 - (predicted**2).sum(axis=1)) * (total**2 - (actual**2).sum(axis=1))
    summary = {"accuracy": ratio(hits.sum(axis=1), total), "mcc": ratio(covariance, np.sqrt(spread))}
    return summary | {name: _pick(values, column) for name, values in by_class.items()}


def calibration_pairs(truth: Ints, scores: Floats, column: int | None) -> tuple[Floats, Bools]:
    """(N,) probabilities that calibration is judged by, and whether each came true.

    Those of the class `column`; if None, those of the predicted class.
    """
    if column is not None:
        return scores[:, column], truth == column
    return scores.max(axis=1), truth == scores.argmax(axis=1)


def calibration_bins(confidence: Floats, bins: int, *, equal_mass: bool) -> Ints:
    """(N,) bin of each probability, equal ones together: B bins of equal mass, or of width 1 / B, closed above."""
    steps = np.linspace(0, 1, bins + 1)[1:-1]
    edges = np.quantile(confidence, steps) if equal_mass else steps
    return np.searchsorted(edges, confidence, side="left")


def checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[Ints, Floats]:
    """Return (N,) labels and (N, C) probabilities as arrays, or raise as `classification_scores` does."""
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


def checked_binary(labels: ArrayLike, *scores: ArrayLike) -> tuple[Bools, list[Floats]]:
    """Return (N,) whether positive, and the (N,) scores as arrays.

    Raises:
        DataError: The lengths differ, a label is neither 0 nor 1, one of them is absent, or a score is not finite.
    """
    truth, columns = np.asarray(labels), [np.asarray(column, dtype=np.float64) for column in scores]
    if truth.ndim != 1 or any(column.shape != truth.shape for column in columns):
        shapes = ", ".join(str(column.shape) for column in columns)
        raise DataError(f"labels {truth.shape} and scores {shapes}: expected equally many of each")
    found = np.unique(truth).tolist()
    if found != [0, 1]:
        raise DataError(f"labels hold {found[:5]}; expected 1 for positive and 0 for negative, and both of them")
    if not all(np.isfinite(column).all() for column in columns):
        raise DataError("a score is not finite")
    return truth == 1, columns


def positive_column(positive: int | None, classes: int) -> int | None:
    """The column scored alone, or None for means over classes."""
    if classes > 2:
        return None
    column = 1 if positive is None else positive
    if column not in (0, 1):
        raise DataError(f"positive class {positive} is not one of the two classes 0 and 1")
    return column


def tally(weights: Floats, cells: Ints, count: int) -> Floats:
    """(D, count) sums of the (D, N) weights that fall in each cell."""
    return np.stack([np.bincount(cells, row, minlength=count) for row in weights])


def _ranking_scores(truth: Ints, scores: Floats, weights: Floats, column: int | None) -> dict[str, Floats]:
    """(D,) AUROC and AUPRC under (D, N) multiplicities of the sequences."""
    wanted = range(scores.shape[1]) if column is None else (column,)
    pairs = [areas(truth == label, scores[:, label], weights) for label in wanted]
    auroc, auprc = (np.mean(values, axis=0) for values in zip(*pairs, strict=True))
    return {"auroc": auroc, "auprc": auprc}


def areas(is_positive: Bools, score: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """AUROC and average precision of each draw: one sort for all, equal scores taken together."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    ordered = weights[:, order]
    positives = np.add.reduceat(ordered * is_positive[order], starts, axis=1)  # (D, G), lowest score first
    everyone = np.add.reduceat(ordered, starts, axis=1)
    negatives = everyone - positives
    positive_total, negative_total = positives.sum(axis=1), negatives.sum(axis=1)

    below = np.cumsum(negatives, axis=1) - negatives / 2  # a tie counts one half
    pairs = positive_total * negative_total
    auroc = ratio((positives * below).sum(axis=1), pairs, empty=np.nan)

    found = positive_total[:, None] - np.cumsum(positives, axis=1) + positives  # at this threshold or above
    called = (positive_total + negative_total)[:, None] - np.cumsum(everyone, axis=1) + everyone
    precisions = (positives * ratio(found, called)).sum(axis=1)
    return auroc, ratio(precisions, positive_total * (pairs > 0), empty=np.nan)


def _probability_scores(truth: Ints, scores: Floats, weights: Floats, column: int | None) -> dict[str, Floats]:
    """(D,) Brier score, log loss in nats and ECE under (D, N) weights."""
    total = weights.sum(axis=1)
    squared = ((scores - np.eye(scores.shape[1])[truth]) ** 2).sum(axis=1)
    surprise = -np.log(np.maximum(scores[np.arange(len(truth)), truth], _EPSILON))
    confidence, outcome = calibration_pairs(truth, scores, column)
    bins = calibration_bins(confidence, ECE_BINS, equal_mass=True)
    gaps = np.abs(tally(weights * (confidence - outcome), bins, ECE_BINS)).sum(axis=1)
    return {"brier": weights @ squared / total, "log_loss": weights @ surprise / total, "ece": gaps / total}


def ratio(above: Floats, below: Floats, empty: float = 0.0) -> Floats:
    """Divide, with `empty` where `below` is 0."""
    return np.divide(above, below, out=np.full_like(above, empty), where=below != 0)


def _pick(values: Floats, column: int | None) -> Floats:
    return values.mean(axis=1) if column is None else values[:, column]
