"""Weights of evidence for choosing one of several: a conditional logit.

Shapes: `N` alternatives, `F` pieces of evidence.

Source: McFadden (1974), conditional logit analysis of qualitative choice behavior.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def conditional_logit(
    evidence: Any,
    groups: npt.NDArray[np.int64],
    right: npt.NDArray[np.bool_],
    penalty: float,
    *,
    or_none: bool = False,
    positive: int = 0,
) -> Floats:
    """Choose weights so that the right alternative of each group is likely, and none where none is right.

    An alternative has probability e^(weights · evidence) over the sum of its group, to which none adds 1 where that may
    be.

    Args:
        evidence: (N, F), an array or a sparse one.
        groups: Number of the group of each alternative (N,).
        right: Whether it is the right one (N,); groups without a right one are left out unless `or_none`.
        penalty: On the sum of squared weights, against the mean loss of a group.
        or_none: Whether none of a group may be right.
        positive: How many of the first weights may not be below 0.

    Returns:
        The weights (F,).
    """
    from scipy.optimize import minimize

    if not or_none:
        kept = np.isin(groups, groups[right])
        evidence, groups, right = evidence[np.flatnonzero(kept)], groups[kept], right[kept]
    number = np.unique(groups, return_inverse=True)[1].reshape(-1)
    count = int(number.max(initial=-1)) + 1
    told = np.asarray(evidence.T @ right.astype(np.float64))

    def loss(weights: Floats) -> tuple[float, Floats]:
        worth = np.asarray(evidence @ weights)
        top = np.full(count, 0.0 if or_none else -np.inf)
        np.maximum.at(top, number, worth)
        shares = np.exp(worth - top[number])
        total = np.bincount(number, shares, count) + (np.exp(-top) if or_none else 0.0)
        value = worth[right].sum() - (top + np.log(total))[number[right] if not or_none else slice(None)].sum()
        slope = told - np.asarray(evidence.T @ (shares / total[number]))
        return (
            float(-value / count + penalty * (weights @ weights)),
            -slope / count + 2 * penalty * weights,
        )

    width = evidence.shape[1]
    bounds = [(0.0, None)] * positive + [(None, None)] * (width - positive)
    found = minimize(loss, np.zeros(width), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500})
    return np.asarray(found.x, np.float64)
