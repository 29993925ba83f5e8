"""The paired test of two classifiers where sequences have relatives: signs are flipped for whole groups.

Shapes: `N` sequences, `G` groups, `T` possible values of a sum.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gulmfit.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def sign_flip(
    labels: ArrayLike, predicted_a: ArrayLike, predicted_b: ArrayLike, groups: ArrayLike | None = None
) -> dict[str, float]:
    """Test whether two classifiers are right equally often, a group of related sequences being one observation.

    A group's difference is how many of its sequences a alone gets right, less those that b alone does. If the two
    classifiers are equally good, each group's difference favours either with probability 1/2. The p-value is the
    share of all 2^G choices of signs whose sum is further from 0 than the one observed, and half of those that are as
    far (mid-p). It is computed, not sampled. Without relatives this is McNemar's test with the mid-p value.

    Args:
        labels: (N,) class indices.
        predicted_a: (N,) predicted class indices of the first classifier.
        predicted_b: (N,) those of the second.
        groups: (N,) name or number of each sequence's group; if None, each sequence is its own.

    Returns:
        `only_a_right`, `only_b_right` (sequences), `accuracy_difference` (a minus b), `groups` (G), `groups_for_a` and
        `groups_for_b` (groups whose difference favours it), and `p_value`, two-sided.

    Raises:
        DataError: The lengths differ or are 0.

    Source: randomisation by signs: Fisher, The Design of Experiments (1935), section 21; of whole clusters: Canay,
        Romano & Shaikh, Econometrica 85 (2017) 1013-1030. Mid-p: Fagerland, Lydersen & Laake, BMC Med. Res. Methodol.
        13 (2013) 91.
    """
    truth, a, b = (np.asarray(values) for values in (labels, predicted_a, predicted_b))
    names = np.arange(truth.size) if groups is None else np.asarray(groups)
    if truth.ndim != 1 or not truth.shape == a.shape == b.shape == names.shape or not len(truth):
        raise DataError(
            f"labels {truth.shape}, predictions {a.shape}, {b.shape} and groups {names.shape} must be equally long and "
            "not empty"
        )
    gain = (a == truth).astype(np.int64) - (b == truth)  # (N,) 1 where a alone is right, -1 where b alone is
    unit = np.unique(names, return_inverse=True)[1].reshape(-1)
    by_group = np.rint(np.bincount(unit, gain)).astype(np.int64)  # (G,)
    return {
        "only_a_right": int((gain > 0).sum()),
        "only_b_right": int((gain < 0).sum()),
        "accuracy_difference": float(gain.mean()),
        "groups": len(by_group),
        "groups_for_a": int((by_group > 0).sum()),
        "groups_for_b": int((by_group < 0).sum()),
        "p_value": _mid_p(by_group),
    }


def only_singles(groups: ArrayLike) -> bool:
    """Tell whether no sequence has a relative, so that tests for unrelated sequences hold."""
    names = np.asarray(groups)
    return len(np.unique(names)) == names.size


def _mid_p(by_group: Ints) -> float:
    """Two-sided mid-p value of the sum of differences (G,) under all choices of their signs."""
    chances = _sums(np.abs(by_group))
    middle, observed = len(chances) // 2, abs(int(by_group.sum()))
    beyond = float(chances[middle + observed + 1 :].sum())
    return min(1.0, 2 * beyond + float(chances[middle + observed]))


def _sums(sizes: Ints) -> Floats:
    """Return the chance (T,) of each sum, from lowest to highest, of sizes (G,) with random signs."""
    from scipy.signal import convolve
    from scipy.stats import binom

    chances: Floats = np.ones(1)
    for size, count in zip(*np.unique(sizes[sizes > 0], return_counts=True), strict=True):
        one = np.zeros(2 * int(size) * int(count) + 1)
        one[:: 2 * int(size)] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.maximum(convolve(chances, one), 0.0)  # by Fourier, where long, which leaves crumbs below 0
    return chances
