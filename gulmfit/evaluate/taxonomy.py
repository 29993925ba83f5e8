"""Accuracy at every rank of classes that are lineages: a read given the wrong genus may have the right family.

Shapes: N sequences, C classes, G taxa of one rank.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.seq.labels.lineages import SEPARATOR, prefix_ranks


def accuracy_by_rank(labels: npt.ArrayLike, probabilities: npt.ArrayLike, classes: Sequence[str]) -> dict[str, float]:
    """Score a classifier of lineages, "Bacteria;Firmicutes;Bacilli", at each depth.

    The probability of a taxon is the sum over the classes in it; the most probable taxon is predicted, the one whose
    first class comes first on a tie. A class that ends above a depth is its own taxon there. So the accuracy may fall
    from one rank to the next, and the best genus need not lie in the best family.

    Args:
        labels: Index of the true class of each sequence (N,).
        probabilities: Of each class (N, C).
        classes: Names of the classes (C).

    Returns:
        Accuracy by rank, from the top; ranks are called "1", "2" and so on, or "kingdom", "phylum" and so on where all
        taxa have prefixes like "k__". Empty where no class is a path, or there is no sequence.

    Raises:
        DataError: The shapes do not go together.
    """
    true, chances = np.asarray(labels, np.int64), np.asarray(probabilities, np.float64)
    if chances.shape != (len(true), len(classes)):
        raise DataError(
            f"probabilities of shape {chances.shape} for {len(true)} labels and {len(classes)} classes: one row for "
            "each label and one column for each class are needed"
        )
    lineages = [tuple(taxon.strip() for taxon in name.split(SEPARATOR)) for name in classes]
    depths = max(map(len, lineages), default=0)
    if depths < 2 or not len(true):
        return {}
    names = prefix_ranks(lineages) or [str(depth) for depth in range(1, depths + 1)]
    accuracies = {}
    for depth, name in enumerate(names, start=1):
        numbers: dict[tuple[str, ...], int] = {}
        taxon = np.array([numbers.setdefault(lineage[:depth], len(numbers)) for lineage in lineages])
        sums = np.zeros((len(true), len(numbers)))  # (N, G)
        np.add.at(sums.T, taxon, chances.T)
        accuracies[name] = float(np.mean(sums.argmax(axis=1) == taxon[true]))
    return accuracies
