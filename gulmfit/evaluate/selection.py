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


def choose(candidates: Mapping[int, Sequence[float]], *, minimise: bool) -> int:
    """Return the setting whose mean, made worse by its standard error, is best; of equal ones the first.

    Args:
        candidates: The values of each over the same seeds, none of which chose it.
        minimise: Whether less is better.
    """
    sign = 1.0 if minimise else -1.0

    def pessimistic(number: int) -> float:
        mean, error = standing(candidates[number])
        return sign * mean + (0.0 if math.isnan(error) else error)

    return min(candidates, key=pessimistic)


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
