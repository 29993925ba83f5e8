"""Choosing among settings by validation, and what that choice is worth.

Shape: S seeds.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt


def standing(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of one setting over seeds `(S,)` and its standard error; nan of a single value."""
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(np.mean(values)), error


def choose(
    candidates: Mapping[int, Sequence[float]], *, minimise: bool, costs: Mapping[int, float] | None = None
) -> int:
    """Return the setting whose mean, made worse by its standard error, is best; of equal ones the first.

    With costs it is the cheapest setting whose mean is within one standard error of that of the best one.

    Source: Breiman, Friedman, Olshen & Stone 1984, "Classification and regression trees", section 3.4.3.

    Args:
        candidates: The values of each over the same seeds, none of which chose it.
        minimise: Whether less is better.
        costs: What each costs.
    """
    sign = 1.0 if minimise else -1.0
    found = {number: standing(values) for number, values in candidates.items()}
    # Of one value no error is known.
    worst = {number: sign * mean + (0.0 if math.isnan(error) else error) for number, (mean, error) in found.items()}
    best = min(worst, key=worst.__getitem__)
    if costs is None:
        return best
    return min((number for number in found if sign * found[number][0] <= worst[best]), key=costs.__getitem__)


def spearman_interval(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[float, float, float]:
    """Return Spearman's rho with its 95 % interval; nan for fewer than four pairs or one that is constant.

    Source: Fisher's transformation with the variance of Bonett & Wright 2000.
    """
    from scipy.stats import spearmanr

    one, two = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(one) < 4 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return math.nan, math.nan, math.nan
    rho = float(spearmanr(one, two).statistic)
    width = 1.959964 * math.sqrt((1 + rho**2 / 2) / (len(one) - 3))
    centre = math.atanh(min(max(rho, -1 + 1e-12), 1 - 1e-12))
    return rho, math.tanh(centre - width), math.tanh(centre + width)
