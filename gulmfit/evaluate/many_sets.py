"""One method against others over many data sets: each set is one observation.

Source: Demšar 2006, "Statistical comparisons of classifiers over multiple data sets" (Wilcoxon's signed ranks, with
Holm's correction where one method is compared with several). Shape: D data sets.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gulmfit.errors import DataError


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, so that any false finding among them stays as rare as one would be.

    Those that are not numbers are not tests: they stay, and do not count.
    """
    tested = sorted((p, at) for at, p in enumerate(p_values) if not math.isnan(p))
    corrected, largest = list(map(float, p_values)), 0.0
    for rank, (p, at) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - rank)))
        corrected[at] = largest
    return corrected


def signed_ranks(ours: ArrayLike, theirs: ArrayLike) -> float:
    """Return the two-sided p-value of Wilcoxon's test of D differences; nan without a set on which the two differ.

    Raises:
        DataError: If the two have not been measured on the same number of sets.
    """
    from scipy.stats import wilcoxon

    difference = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    if difference.ndim != 1 or np.shape(ours) != np.shape(theirs):
        raise DataError("signed ranks compare two methods on the same data sets.")
    return float(wilcoxon(difference).pvalue) if np.any(difference != 0) else math.nan


def over_sets(scores: Mapping[str, Sequence[float]], against: str) -> dict[str, dict[str, Any]]:
    """Summarise methods over D sets, and test one against each other one.

    Args:
        scores: By method, its score on each set (D,), nan where it has none; larger is better.
        against: The method that is compared with all others.

    Returns:
        By method `sets` (on which it has a score), `mean`, `median`, `lowest`, `best_on` (sets on which no other is
        better) and, except for the one that is compared: `wins`, `losses` (of it, against this method),
        `median_difference` (its score minus this one's), `p_value` and `p_holm`.
    """
    table = {name: np.asarray(values, np.float64) for name, values in scores.items()}
    highest = np.nanmax(np.vstack([*table.values(), np.full_like(table[against], -np.inf)]), axis=0)
    found: dict[str, dict[str, Any]] = {}
    for name, values in table.items():
        known = values[~np.isnan(values)]
        found[name] = {
            "sets": len(known),
            "mean": float(known.mean()) if len(known) else math.nan,
            "median": float(np.median(known)) if len(known) else math.nan,
            "lowest": float(known.min()) if len(known) else math.nan,
            "best_on": int(np.count_nonzero(values == highest)),
        }
    others = [name for name in table if name != against]
    for name in others:
        both = ~np.isnan(table[name]) & ~np.isnan(table[against])
        ours, theirs = table[against][both], table[name][both]
        found[name] |= {
            "wins": int(np.count_nonzero(ours > theirs)),
            "losses": int(np.count_nonzero(ours < theirs)),
            "median_difference": float(np.median(ours - theirs)) if len(ours) else math.nan,
            "p_value": signed_ranks(ours, theirs),
        }
    for name, p_value in zip(others, holm([found[name]["p_value"] for name in others]), strict=True):
        found[name]["p_holm"] = p_value
    return found
