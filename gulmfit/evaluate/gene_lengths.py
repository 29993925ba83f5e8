"""How long true and predicted genes, coding exons and introns are."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gulmfit.seq.genome.genes import GeneModel, gaps

EDGES = tuple(int(edge) for edge in np.unique(np.geomspace(1, 1_000_000, 61).round()))
"""First lengths of bins, ten in a power of ten, in bases; the last bin has all that is longer."""


def lengths(genes: Iterable[GeneModel]) -> dict[str, list[int]]:
    """List the coding bases of genes, and the lengths of their coding exons and of the introns between these."""
    found: dict[str, list[int]] = {"gene": [], "exon": [], "intron": []}
    for gene in genes:
        found["gene"].append(gene.coding_bases)
        found["exon"] += [end - start for start, end in gene.cds]
        found["intron"] += [end - start for start, end in gaps(gene.cds, gene.strand)]
    return found


def length_distributions(true: Sequence[GeneModel], predicted: Sequence[GeneModel]) -> dict[str, dict[str, Any]]:
    """Compare how long true and predicted things are.

    Returns:
        For `gene`, `exon` and `intron`, where there are introns on a side, else for `gene` alone: `edges` of bins, the
        counts of `true` and `predicted` things in them, `median` of both (None where there is none), and `distance`,
        the largest difference of their cumulative shares (Kolmogorov and Smirnov; None unless both are there).
    """
    sides: Mapping[str, dict[str, list[int]]] = {"true": lengths(true), "predicted": lengths(predicted)}
    kinds = ("gene", "exon", "intron") if any(own["intron"] for own in sides.values()) else ("gene",)
    return {kind: _compared({side: own[kind] for side, own in sides.items()}) for kind in kinds}


def _compared(sides: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    from scipy.stats import ks_2samp

    counts = {side: np.histogram(own, [*EDGES[:-1], np.inf])[0].tolist() for side, own in sides.items()}
    median = {side: float(np.median(own)) if own else None for side, own in sides.items()}
    distance = float(ks_2samp(*sides.values()).statistic) if all(sides.values()) else None
    return {"edges": list(EDGES[:-1]), **counts, "median": median, "distance": distance}
