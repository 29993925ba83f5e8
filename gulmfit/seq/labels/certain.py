"""Which windows of a genome a labeller is sure of, and who learns from which: the choice behind pseudo-labels.

Shapes: `N` windows, `L` bases, `C` classes; an axis of 2 is the strand.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError
from gulmfit.seq.labels.gene_labels import INTERGENIC, GeneLabels

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BINS = 6
_LARGE = 0.9  # of all bases: the largest sequences that have so many together are one class of sizes


def distances(labels: GeneLabels, probabilities: npt.NDArray[np.floating], edges: Ints) -> tuple[Floats, Floats]:
    """Measure how far the decoded labels of windows lie from what the network says.

    Args:
        labels: Decoded (2, L).
        probabilities: Of the classes (L, 2, C).
        edges: Where windows begin, and the end of the last one (N + 1).

    Returns:
        The mean over bases and strands of sum |decoded - raw| over the classes, from 0 to 2; and the share of bases
        that are decoded as intergenic; both (N,), nan where every base is masked.
    """
    known = ~labels.masked
    chosen = np.take_along_axis(probabilities.swapaxes(0, 1), labels.classes[..., None].astype(np.int64), 2)[..., 0]
    # Probabilities add up to 1: what the others have, the chosen class lacks.
    far = np.where(known, 2 * (1 - chosen.astype(np.float64)), 0).sum(axis=0)
    empty = (known & (labels.classes == INTERGENIC)).sum(axis=0)
    counts, sums, between = (np.add.reduceat(one, edges[:-1]) for one in (known.sum(axis=0), far, empty))
    with np.errstate(invalid="ignore"):
        return sums / counts, between / counts


def surest(distance: Floats, intergenic: Floats, share: float) -> npt.NDArray[np.bool_]:
    """Choose the windows with the smallest distances, as many of each kind of region.

    Windows are binned by sixths of their intergenic share; equal shares may leave fewer bins. Each bin has its own
    quota, a remainder goes to those that have most windows to spare, and a bin that is too small for its quota is taken
    whole: no other bin makes up for it.

    Args:
        distance: As of `distances` (N,).
        intergenic: Likewise (N,).
        share: Of all windows, above 0 and below 1.

    Raises:
        ConfigError: The share is out of range, or so small that no window is left.
    """
    count = int(len(distance) * share)
    if not 0 < share < 1 or not count:
        raise ConfigError(f"keep={share}: a share above 0 and below 1 that leaves one of {len(distance)} windows.")
    breaks = np.quantile(intergenic, np.arange(1, BINS) / BINS)
    _, bins = np.unique(np.searchsorted(breaks, intergenic, side="left"), return_inverse=True)
    sizes = np.bincount(bins)
    quotas = np.full(len(sizes), count // len(sizes))
    spare = np.argsort(quotas - sizes, kind="stable")[: count % len(sizes)]
    quotas[spare] += 1
    order = np.lexsort((distance, bins))
    rank = np.empty(len(bins), np.int64)
    rank[order] = np.arange(len(bins)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept: npt.NDArray[np.bool_] = rank < quotas[bins]
    return kept


def large_sequences(lengths: Mapping[str, int]) -> list[str]:
    """List the largest sequences, the largest first, up to the one with which they have 90 % of all bases."""
    order = sorted(lengths, key=lambda name: (-lengths[name], name))
    total = np.cumsum([lengths[name] for name in order])
    return order[: int(np.searchsorted(total, _LARGE * total[-1])) + 1]


def dealt_sequences(
    lengths: Mapping[str, int], valid_fraction: float, test_fraction: float, seed: int
) -> dict[str, str]:
    """Deal whole sequences to training, validation and test, the large and the small ones each by themselves.

    Of a class of n sequences validation gets the next whole number above its share, then the test; one stays for
    training in any case, so a class of one is for training, and of two none is for the test.

    Args:
        lengths: Bases of each sequence.
        valid_fraction, test_fraction: Shares of the sequences of a class.
        seed: Of the draw.

    Returns:
        "train", "valid" or "test" for each sequence.
    """
    large = large_sequences(lengths)
    generator, parts = np.random.default_rng(seed), dict[str, str]()
    for names in (large, sorted(set(lengths) - set(large))):
        drawn = [sorted(names)[at] for at in generator.permutation(len(names))]
        valid = min(math.ceil(valid_fraction * len(names)), len(names) - 1) if names else 0
        test = min(math.ceil(test_fraction * len(names)), len(names) - 1 - valid) if names else 0
        for at, name in enumerate(drawn):
            parts[name] = "valid" if at < valid else "test" if at < valid + test else "train"
    return parts
