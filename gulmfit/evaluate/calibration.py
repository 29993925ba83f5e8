"""Probabilities that mean what they say: maps fitted on validation sequences, thresholds, and what is left to mend.

Shapes: `N` sequences, `C` classes, `K` knots, `B` bins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gulmfit.errors import CheckpointError, ConfigError, DataError
from gulmfit.evaluate.scores import (
    calibration_bins,
    calibration_pairs,
    checked,
    checked_binary,
    confusion_scores,
    positive_column,
)

Floats = NDArray[np.float64]
Curve = dict[str, NDArray[Any]]

KINDS = ("none", "temperature", "isotonic")
THRESHOLD_METRICS = ("mcc", "f1", "accuracy")

# Logits divided by the one are all but uniform, by the other all but certain; beyond, nothing changes that counts.
_MAX_TEMPERATURE = 100.0
_MIN_TEMPERATURE = 0.01
# A probability of 0 would have no logarithm; one below this means nothing any more.
TINY = 1e-12

# Said wherever both strands were averaged.
CALIBRATED_FORWARD = (
    "temperature and threshold were fitted on forward-strand predictions; a mean over both strands is less certain, "
    "and its probabilities are not calibrated for it"
)

_FLOOR = -700.0  # exp of it is still a normal double


@dataclass(frozen=True)
class Calibration:
    """A map from a model's probabilities to calibrated ones, with the threshold that goes with them.

    Args:
        kind: One of `KINDS`.
        temperature: What `temperature` divides logits by, above 0. It keeps the order of classes.
        knots: (x, y) pairs of `isotonic`, x ascending, y never falling and inside (0, 1): the probability of class 1
            before and after, linear between knots and constant outside. It makes ties, so AUROC and AUPRC are to be
            taken before it.
        threshold: Calibrated probability from which on a sequence is called positive; if None, the class of highest
            probability is chosen.

    Attributes:
        targets: Kind of target that it is of, as `to_dict` writes it; None for classes.

    Raises:
        CheckpointError: A value is not as described.
    """

    targets: ClassVar[str | None] = None
    kind: str = "none"
    temperature: float = 1.0
    knots: tuple[tuple[float, float], ...] = ()
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise CheckpointError(f"calibration of kind {self.kind!r} is unknown; known: {', '.join(KINDS)}")
        if not 0 < self.temperature < np.inf:
            raise CheckpointError(f"calibration with temperature {self.temperature}: expected a number above 0")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise CheckpointError(f"calibration with threshold {self.threshold}: expected a probability, or none")
        if self.kind == "isotonic":
            x, y = np.array(self.knots, dtype=np.float64).reshape(-1, 2).T
            if not len(x):
                raise CheckpointError("isotonic calibration without knots: expected one pair of numbers or more")
            if not ((np.diff(x) > 0).all() and (np.diff(y) >= 0).all()):
                raise CheckpointError(f"calibration with knots {self.knots}: expected them to ascend")
            if not 0 < y[0] <= y[-1] < 1:
                raise CheckpointError(f"calibration with knots {self.knots}: expected probabilities between 0 and 1")

    def apply(self, log_probabilities: ArrayLike) -> Floats:
        """Calibrate.

        Args:
            log_probabilities: (N, C) log-probabilities or logits; -inf is a probability of 0.

        Returns:
            (N, C) calibrated probabilities, rows adding up to 1.

        Raises:
            DataError: The shape is not (N, C) with two or more classes, two for `isotonic`, or a row is not a
                distribution.
        """
        logits = _checked_logits(log_probabilities)
        if self.kind != "isotonic":
            return _softmax(logits / self.temperature if self.kind == "temperature" else logits)
        if logits.shape[1] != 2:
            raise DataError(f"isotonic calibration is for two classes; there are {logits.shape[1]}")
        x, y = np.array(self.knots).T
        positive = np.interp(_softmax(logits)[:, 1], x, y)
        return np.stack([1 - positive, positive], axis=1)

    def calibrated(self, raw: Floats) -> Floats:
        """Calibrate the class probabilities (N, C) of a model."""
        return self.apply(np.log(np.maximum(raw, TINY)))

    def names(self, probabilities: Floats, classes: Sequence[str], positive: str) -> list[str]:
        """Name the class of each sequence (N): of two the positive one from the threshold on, else the likeliest.

        Args:
            probabilities: (N, C) calibrated.
            classes: Names of the classes (C).
            positive: The positive one of two.
        """
        chosen = probabilities.argmax(axis=1)
        if self.threshold is not None:
            column = list(classes).index(positive)
            chosen = np.where(probabilities[:, column] >= self.threshold, column, 1 - column)
        return [classes[index] for index in chosen.tolist()]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, from which `from_dict` makes an equal calibration."""
        return asdict(self) | {"knots": [list(knot) for knot in self.knots]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Undo `to_dict`.

        Raises:
            CheckpointError: The content is not of a calibration that this version knows.
        """
        try:
            kind, knots = content["kind"], tuple((float(x), float(y)) for x, y in content.get("knots", ()))
            return cls(**{**content, "kind": kind, "knots": knots})
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"not a calibration: {error}. Was it written by another version?") from error


def fit_calibration(log_probabilities: ArrayLike, labels: ArrayLike, how: str = "temperature") -> Calibration:
    """Fit a calibration on validation sequences; never on those it is judged by, nor on training sequences.

    Args:
        log_probabilities: (N, C) log-probabilities or logits.
        labels: (N,) class indices.
        how: One of `KINDS`. `isotonic` bends freely and wants some 1,000 sequences; `temperature` does with few.

    Returns:
        The calibration, without a threshold.

    Raises:
        ConfigError: `how` is unknown, or `isotonic` with other than two classes.
        DataError: The shapes do not fit, or all labels are of one class.
    """
    if how not in KINDS:
        raise ConfigError(f"calibration {how!r} is unknown; choose one of {', '.join(KINDS)}")
    if how == "none":
        return Calibration()
    logits = _checked_logits(log_probabilities)
    truth, probabilities = checked(labels, _softmax(logits))
    if truth.min() == truth.max():
        raise DataError(
            f"calibration: all {len(truth)} validation labels are class {truth[0]}, so nothing can be learned of the "
            "others. Give validation sequences of two or more classes, or choose none."
        )
    if how == "temperature":
        return Calibration("temperature", temperature=fit_temperature(logits, truth))
    if logits.shape[1] != 2:
        raise ConfigError(f"isotonic calibration is for two classes; there are {logits.shape[1]}. Choose temperature")
    knots = fit_isotonic(probabilities[:, 1], truth)
    return Calibration("isotonic", knots=tuple((float(x), float(y)) for x, y in knots))


def fit_temperature(log_probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Find the temperature T at which softmax(logits / T) has the least log loss.

    The loss is convex in 1/T. So that separable, few or one-sided labels cannot make certain what N sequences cannot
    show, the labels count as N of N + 1 parts and one part is spread evenly over the classes: confidence stays near or
    under N / (N + 1). T lies between 0.01 and 100; it is 1 if all logits of every row are equal.

    Args:
        log_probabilities: (N, C) log-probabilities or logits.
        labels: (N,) class indices.

    Returns:
        T, above 1 for an overconfident model.

    Raises:
        DataError: The shapes do not fit, or a row is not a distribution.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2; the softened labels after
        Platt, Advances in Large Margin Classifiers (1999) 61-74, section 2.2.
    """
    from scipy.optimize import brentq

    logits = _checked_logits(log_probabilities)
    truth, _ = checked(labels, np.zeros(logits.shape))
    count, classes = logits.shape
    logits = np.maximum(logits - logits.max(axis=1, keepdims=True), _FLOOR)
    target = (count * np.eye(classes)[truth] + 1 / classes) / (count + 1)

    def slope(inverse: float) -> float:
        """The derivative of the loss by 1/T, which never falls."""
        return float(((_softmax(inverse * logits) - target) * logits).sum())

    if not logits.any():
        return 1.0
    if slope(1 / _MAX_TEMPERATURE) >= 0:
        return _MAX_TEMPERATURE
    if slope(1 / _MIN_TEMPERATURE) <= 0:
        return _MIN_TEMPERATURE
    return 1 / float(brentq(slope, 1 / _MAX_TEMPERATURE, 1 / _MIN_TEMPERATURE))


def fit_isotonic(probability: ArrayLike, labels: ArrayLike) -> Floats:
    """Find the never-falling map from probability to frequency that has the least squared error.

    Frequencies are held between 1 / (N + 2) and 1 - 1 / (N + 2), for N sequences show no more (Laplace's rule).

    Args:
        probability: (N,) probabilities of the positive class.
        labels: (N,) 1 for positive, 0 for negative.

    Returns:
        (K, 2) knots, the map being linear between them and constant outside.

    Raises:
        DataError: The lengths differ, a label is not 0 or 1, one of them is absent, or a probability is not finite.

    Source: Zadrozny & Elkan, KDD 2002, 694-699.
    """
    from sklearn.isotonic import IsotonicRegression

    truth, (column,) = checked_binary(labels, probability)
    least = 1 / (len(truth) + 2)
    fitted = IsotonicRegression(y_min=least, y_max=1 - least).fit(column, truth.astype(np.float64))
    return np.stack([fitted.X_thresholds_, fitted.y_thresholds_], axis=1)


def choose_threshold(labels: ArrayLike, probability: ArrayLike, metric: str = "mcc") -> float:
    """Find the threshold that scores best on validation sequences.

    Candidates lie half way between neighbouring probabilities, so each calls some sequence positive and some not; of
    equally good ones, the nearest to 0.5 is taken, and 0.5 where all probabilities are equal.

    Args:
        labels: (N,) 1 for positive, 0 for negative.
        probability: (N,) probabilities of the positive class, calibrated if the threshold is to go with a calibration.
        metric: One of `THRESHOLD_METRICS`.

    Returns:
        The threshold: from this probability on, a sequence is positive.

    Raises:
        ConfigError: The metric is unknown.
        DataError: As `fit_isotonic`.
    """
    if metric not in THRESHOLD_METRICS:
        raise ConfigError(f"threshold by {metric!r} is unknown; choose one of {', '.join(THRESHOLD_METRICS)}")
    truth, (column,) = checked_binary(labels, probability)
    values, at = np.unique(column, return_inverse=True)
    if len(values) == 1:
        return 0.5
    below = np.stack([np.bincount(at[truth == label], minlength=len(values)) for label in (False, True)]).cumsum(axis=1)
    matrices = np.stack([below, below[:, -1:] - below])[..., :-1].T  # (cuts, true class, called class)
    quality = confusion_scores(matrices, 1)[metric]
    cuts = (values[1:] + values[:-1]) / 2
    best = cuts[quality >= quality.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def reliability_curve(labels: ArrayLike, probabilities: ArrayLike, *, positive: int | None, bins: int = 10) -> Curve:
    """Hold probabilities against frequencies, bin by bin.

    With two classes these are of the positive class; with more, the predicted class's probability is held against how
    often it is right.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C) probabilities.
        positive: As in `classification_scores`.
        bins: Number of bins of equal width; only those that hold a sequence are returned.

    Returns:
        (B,) values: mean `confidence`, observed `frequency`, its 95 % Wilson interval `low` and `high`, and `count`.

    Raises:
        DataError: As `classification_scores`, or `bins` < 1.

    Source: Wilson, J. Am. Stat. Assoc. 22 (1927) 209-212, of the interval.
    """
    if bins < 1:
        raise DataError(f"reliability in {bins} bins: bins must be >= 1")
    truth, scores = checked(labels, probabilities)
    confidence, outcome = calibration_pairs(truth, scores, positive_column(positive, scores.shape[1]))
    placed = calibration_bins(confidence, bins, equal_mass=False)
    _, at, count = np.unique(placed, return_inverse=True, return_counts=True)
    frequency = np.bincount(at, outcome) / count
    z = NormalDist().inv_cdf(0.975)
    centre = (frequency + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z * np.sqrt(frequency * (1 - frequency) / count + (z / (2 * count)) ** 2) / (1 + z**2 / count)
    return {
        "confidence": np.bincount(at, confidence) / count,
        "frequency": frequency,
        "low": np.clip(centre - reach, 0, frequency),  # not past the frequency by rounding, where that is 0 or 1
        "high": np.clip(centre + reach, frequency, 1),
        "count": count,
    }


def _checked_logits(log_probabilities: ArrayLike) -> Floats:
    logits = np.asarray(log_probabilities, dtype=np.float64)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise DataError(f"log-probabilities {logits.shape}: expected (N, C) with two or more classes")
    broken = np.flatnonzero(~np.isfinite(logits.max(axis=1)))
    if len(broken):
        raise DataError(f"log-probabilities at index {broken[0]} are not a distribution: {logits[broken[0]].tolist()}")
    return logits


def _softmax(logits: Floats) -> Floats:
    shares: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares
