"""How far a score can be trusted: bootstrap intervals, paired tests of two classifiers, the spread of repeated runs.

Shapes: `N` sequences, `C` classes, `D` bootstrap draws, `P` positives, `Q` negatives.

Signs: `mcnemar` gives the accuracy of a minus b; `paired_bootstrap` and `delong` give b minus a.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from statistics import NormalDist
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gulmfit.errors import DataError
from gulmfit.evaluate.scores import checked_binary, classification_scores, weighted_scores

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Weighted = Callable[[Floats], Mapping[str, Floats]]
"""(D, N) weights of the sequences to (D,) values of each score."""

DRAWS = 1000
"""Resamples of a bootstrap that is not told how many."""

# Largest draws x sequences block held in memory at once; a few such arrays of doubles are alive together.
_BLOCK = 2_000_000


class Resampling(TypedDict, total=False):
    """How a bootstrap draws; each item may be missing.

    Attributes:
        groups: (N,) name or number of each sequence's group; if None, each sequence is its own.
        columns: Values of a sequence that a score holds at once, for the memory it takes (1).
        draws: Number of resamples (`DRAWS`).
        seed: Seed of the resampling; equal seeds give equal intervals (0).
        level: Coverage, between 0 and 1 (0.95).
    """

    groups: ArrayLike | None
    columns: int
    draws: int
    seed: int
    level: float


def bootstrap_intervals(
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    positive: int | None,
    threshold: float | None = None,
    **how: Unpack[Resampling],
) -> dict[str, tuple[float, float]]:
    """Bound every score of `classification_scores` by a bootstrap over sequences, or over groups of them.

    Each draw takes, with replacement, as many sequences of every class as there are, so the class balance is kept.
    With groups it takes whole groups, as many as there are of every majority class: related sequences then count as
    what they are, one observation. With fewer than some 20 groups a class the intervals are too narrow. The interval
    holds the chance of the test sequences, not that of another training run.

    Bounds are percentiles of the draws, but for `ece`. It is a mean of absolute values, which chance inflates in the
    sequences and once more in every draw; since chance adds to their squares by equal parts, the bounds are the roots
    of 2 ece² - percentile², not below 0, the upper not below `ece`. They hold 0 where nothing speaks against
    calibration.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C) probabilities.
        positive: As in `classification_scores`.
        threshold: As in `predicted_classes`.
        **how: See `Resampling`.

    Returns:
        (low, high) for each name of `METRICS`, over the draws in which the score is defined; (nan, nan) where it is
        in none, or where all sequences are one group.

    Raises:
        DataError: As `classification_scores`, or `groups` is not (N,), `draws` < 1, or `level` not inside (0, 1).

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), section 13.3; stratified by class. Groups:
        Field & Welsh, J. R. Stat. Soc. B 69 (2007) 369-390, the cluster bootstrap. Basic bootstrap of a transformed
        value: Davison & Hinkley, Bootstrap Methods and their Application (1997), section 5.2.
    """
    point = classification_scores(labels, probabilities, positive=positive, threshold=threshold)
    score = partial(weighted_scores, labels, probabilities, positive=positive, threshold=threshold)
    bounds = resampled_intervals(score, labels, **how)
    high, low = np.sqrt(np.maximum(2 * point["ece"] ** 2 - np.square(bounds["ece"]), 0.0))
    return bounds | {"ece": (float(low), max(float(high), point["ece"]))}


def paired_bootstrap(
    labels: ArrayLike,
    probabilities_a: ArrayLike,
    probabilities_b: ArrayLike,
    *,
    positive: int | None,
    **how: Unpack[Resampling],
) -> dict[str, dict[str, float]]:
    """Compare every score of two classifiers on the same sequences, each draw scoring both.

    The p-value is 1 less the level of the percentile interval that just leaves 0 out, so that the two agree; it is at
    least 2 / (draws + 1).

    Args:
        labels: (N,) class indices.
        probabilities_a: (N, C) probabilities of the first classifier.
        probabilities_b: (N, C) those of the second.
        positive: As in `classification_scores`.
        **how: See `Resampling`.

    Returns:
        For each name of `METRICS`: `difference` (b minus a), its bounds `low` and `high`, and `p_value`, two-sided;
        nan as in `bootstrap_intervals`.

    Raises:
        DataError: As `bootstrap_intervals`.

    Source: Efron & Tibshirani (1993), section 15.4, of the percentile interval; one is added to the counts as in
        Davison & Hinkley (1997), equation 4.11.
    """
    a, b = (partial(weighted_scores, labels, item, positive=positive) for item in (probabilities_a, probabilities_b))
    return resampled_differences(a, b, labels, **how)


def resampled_intervals(
    score: Weighted, strata: ArrayLike, **how: Unpack[Resampling]
) -> dict[str, tuple[float, float]]:
    """Bound any scores by percentiles of a bootstrap, as `bootstrap_intervals` does.

    Args:
        score: The scores under weights.
        strata: (N,) numbers; each stratum is resampled by itself.
        **how: See `Resampling`.
    """
    return {name: _percentiles(values, how) for name, values in _drawn(score, strata, how).items()}


def resampled_differences(
    score_a: Weighted, score_b: Weighted, strata: ArrayLike, **how: Unpack[Resampling]
) -> dict[str, dict[str, float]]:
    """Compare any scores of two models on the same sequences, as `paired_bootstrap` does; arguments as above."""

    def gained(weights: Floats) -> dict[str, Floats]:
        a, b = score_a(weights), score_b(weights)
        return {name: b[name] - a[name] for name in a}

    point, results = gained(_once(strata)), {}
    for name, values in _drawn(gained, strata, how).items():
        low, high = _percentiles(values, how)
        # Twice the smaller share of differences on one side of 0, those on it counted for both.
        smaller = min(int((values <= 0).sum()), int((values >= 0).sum()))
        p_value = min(1.0, 2 * (smaller + 1) / (len(values) + 1)) if len(values) else math.nan
        results[name] = {"difference": float(point[name][0]), "low": low, "high": high, "p_value": p_value}
    return results


def mcnemar(labels: ArrayLike, predicted_a: ArrayLike, predicted_b: ArrayLike) -> dict[str, float]:
    """Test whether two classifiers err equally often on the same sequences (exact, two-sided).

    Only sequences that one gets right and the other wrong speak; if the classifiers are equal, each such
    sequence favours either with probability 1/2. Where relatives err together it rejects too often: see `sign_flip`.

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


def delong(labels: ArrayLike, scores_a: ArrayLike, scores_b: ArrayLike) -> dict[str, float]:
    """Test whether two scores rank the same sequences equally well (asymptotic, two-sided).

    Like `mcnemar`, it takes the sequences for independent of each other; for related ones there are the groups of
    `paired_bootstrap`.

    Args:
        labels: (N,) 1 for positive, 0 for negative.
        scores_a: (N,) scores of the first classifier, higher for positive.
        scores_b: (N,) those of the second.

    Returns:
        `auroc_a`, `auroc_b`, `difference` (b minus a), its `standard_error`, `z` and `p_value`; the last two are nan
        where the difference is not 0 and its estimated variance is, as for a perfect score against a constant one.

    Raises:
        DataError: The lengths differ, a label is not 0 or 1, a score is not finite, or a class has fewer than two.

    Source: DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988) 837-845, by the midranks of Sun & Xu, IEEE Signal
        Process. Lett. 21 (2014) 1389-1393. The contrast is taken before the variance instead of after: the same.
    """
    truth, (a, b) = checked_binary(labels, scores_a, scores_b)
    (positives_a, negatives_a), (positives_b, negatives_b) = _placements(truth, a), _placements(truth, b)
    difference = float(positives_b.mean() - positives_a.mean())
    error = _standard_error(positives_b - positives_a, negatives_b - negatives_a)
    z = difference / error if error else (math.nan if difference else 0.0)
    return {
        "auroc_a": float(positives_a.mean()),
        "auroc_b": float(positives_b.mean()),
        "difference": difference,
        "standard_error": error,
        "z": z,
        "p_value": math.erfc(abs(z) / math.sqrt(2)),
    }


def delong_interval(labels: ArrayLike, scores: ArrayLike, *, level: float = 0.95) -> dict[str, float]:
    """Bound the AUROC of one score by a normal interval of its logit, which stays inside 0 and 1.

    Args:
        labels: (N,) 1 for positive, 0 for negative.
        scores: (N,) scores, higher for positive.
        level: Coverage, between 0 and 1.

    Returns:
        `auroc`, `standard_error`, `low` and `high`; the bounds are nan at an AUROC of 0 or 1, whose estimated
        variance is 0.

    Raises:
        DataError: As `delong`, or `level` is not inside (0, 1).

    Source: As `delong`; the logit: Qin & Hotilovac, Stat. Methods Med. Res. 17 (2008) 207-221.
    """
    _, upper = _tails(1, level)
    truth, (column,) = checked_binary(labels, scores)
    positives, negatives = _placements(truth, column)
    auroc, error = float(positives.mean()), _standard_error(positives, negatives)
    low = high = math.nan
    if 0 < auroc < 1:
        logit = math.log(auroc / (1 - auroc))
        reach = NormalDist().inv_cdf(upper) * error / (auroc * (1 - auroc))  # the logit's derivative is 1 / A(1 - A)
        low, high = (1 / (1 + math.exp(-end)) for end in (logit - reach, logit + reach))
    return {"auroc": auroc, "standard_error": error, "low": low, "high": high}


def mean_and_spread(values: ArrayLike, *, level: float = 0.95) -> dict[str, float]:
    """Summarise one score of repeated runs.

    `low` and `high` bound the mean over all runs that could be made, if the runs are independent of each other given
    the data, such as other seeds. They are nothing of the kind for the folds of a cross-validation; leave them out
    there. Folds share most of their training sequences, so their scores hang together, and no unbiased estimate of the
    variance of their mean exists. The s.d. of folds says how much the score differs from fold to fold, not how sure the
    mean is; bound that by `bootstrap_intervals` of the pooled out-of-fold predictions.

    Args:
        values: One score a run.
        level: Coverage, between 0 and 1.

    Returns:
        `count`, `mean`, `sd` (n - 1 below the line), and the t interval of the mean, `low` and `high`; all but the
        first two are nan for a single run.

    Raises:
        DataError: There is no value, or `level` is not inside (0, 1).

    Source: Bengio & Grandvalet, J. Mach. Learn. Res. 5 (2004) 1089-1105, of folds.
    """
    from scipy.stats import t

    _, upper = _tails(1, level)
    scores = np.asarray(values, dtype=np.float64).ravel()
    if not len(scores):
        raise DataError("no run to summarise")
    mean, sd = float(scores.mean()), float(scores.std(ddof=1)) if len(scores) > 1 else math.nan
    reach = float(t.ppf(upper, len(scores) - 1)) * sd / math.sqrt(len(scores))
    return {"count": len(scores), "mean": mean, "sd": sd, "low": mean - reach, "high": mean + reach}


def _tails(draws: int, level: float) -> tuple[float, float]:
    """The two quantiles that a share `level` lies between."""
    if draws < 1 or not 0 < level < 1:
        raise DataError(f"bootstrap of {draws} draws at level {level}: draws must be >= 1, 0 < level < 1")
    return (1 - level) / 2, (1 + level) / 2


def _once(strata: ArrayLike) -> Floats:
    """(1, N) weights of the sequences as they are."""
    return np.ones((1, np.size(strata)))


def _drawn(score: Weighted, strata: ArrayLike, how: Resampling) -> dict[str, Floats]:
    """The values of each score in the draws where it is defined."""
    draws = how.get("draws", DRAWS)
    _tails(draws, how.get("level", 0.95))
    blocks: dict[str, list[Floats]] = {name: [np.empty(0)] for name in score(_once(strata))}
    for weights in _resamples(strata, how.get("groups"), draws, how.get("seed", 0), how.get("columns", 1)):
        for name, values in score(weights).items():
            blocks[name].append(values)
    joined = {name: np.concatenate(values) for name, values in blocks.items()}
    return {name: values[np.isfinite(values)] for name, values in joined.items()}


def _resamples(
    labels: ArrayLike, groups: ArrayLike | None, draws: int, seed: int, columns: int = 1
) -> Iterator[Floats]:
    """Yield (D, N) blocks: how often each sequence was drawn; none if there is but one unit to draw."""
    truth = np.asarray(labels)
    unit, strata = _units(truth, groups)
    if len(strata) < 2:
        return
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    step = max(1, _BLOCK // (len(truth) * columns))
    for start in range(0, draws, step):
        size = min(step, draws - start)
        picks = np.concatenate([own[rng.integers(len(own), size=(size, len(own)))] for own in members], axis=1)
        picks += np.arange(size)[:, None] * len(strata)
        times = np.bincount(picks.ravel(), minlength=size * len(strata)).reshape(size, len(strata))
        yield times[:, unit].astype(np.float64)


def _units(truth: Ints, groups: ArrayLike | None) -> tuple[Ints, Ints]:
    """(N,) unit that each sequence is drawn with, and the class of each unit: of its majority, the lower on a tie."""
    if groups is None:
        return np.arange(len(truth)), truth
    names = np.asarray(groups)
    if names.shape != truth.shape:
        raise DataError(f"groups {names.shape} and labels {truth.shape}: expected one group for each sequence")
    found, unit = np.unique(names, return_inverse=True)
    classes = int(truth.max()) + 1
    composition = np.bincount(unit * classes + truth, minlength=len(found) * classes)
    return unit, composition.reshape(-1, classes).argmax(axis=1)


def _percentiles(values: Floats, how: Resampling) -> tuple[float, float]:
    low, high = np.quantile(values, _tails(1, how.get("level", 0.95))) if len(values) else (math.nan, math.nan)
    return float(low), float(high)


def _placements(truth: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """(P,) share of negatives below each positive, (Q,) share of positives above each negative; a tie is one half."""
    from scipy.stats import rankdata

    positives, negatives = scores[truth], scores[~truth]
    if min(len(positives), len(negatives)) < 2:
        raise DataError(f"{len(positives)} positives, {len(negatives)} negatives: DeLong's variance needs two of each")
    ranks = rankdata(scores)
    below: Floats = (ranks[truth] - rankdata(positives)) / len(negatives)
    above: Floats = 1 - (ranks[~truth] - rankdata(negatives)) / len(positives)
    return below, above


def _standard_error(positives: Floats, negatives: Floats) -> float:
    """Of a mean over pairs, from its (P,) and (Q,) placements."""
    return math.sqrt(positives.var(ddof=1) / len(positives) + negatives.var(ddof=1) / len(negatives))
