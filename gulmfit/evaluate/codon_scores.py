"""Scores of chosen codons, all residues of all proteins counted alike, and what chosen codons are like.

Shapes: `N` proteins, `L` residues of the longest, `C` classes, `K` codons of the residue that has most, `D` sets of
weights (bootstrap draws).
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gulmfit.seq.labels.codon_labels import START, STOP, CodonClasses

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Labels = NDArray[Any]

_UNSEEN = 0.5  # count of a codon that is in no true gene, for the adaptation index


def same_bases(first: Labels, second: Labels, classes: CodonClasses) -> Ints:
    """Count the bases, 0 to 3, that two arrays of classes have in common."""
    different = classes.codons[first] ^ classes.codons[second]
    same: Ints = np.sum([(different >> shift) & 3 == 0 for shift in (4, 2, 0)], axis=0)
    return same


def by_protein(truth: Labels, chosen: Labels, classes: CodonClasses) -> tuple[Floats, Floats, Floats]:
    """Count for each protein its known residues, those with the true codon, and the bases that are right, (N,) each.

    Args:
        truth: (N, L) classes, negative where nothing is known.
        chosen: (N, L) classes.
        classes: What they are.
    """
    rows, places = np.nonzero(truth >= 0)
    true, other = truth[rows, places], chosen[rows, places]
    counts = (
        np.bincount(rows, weights, len(truth)) for weights in (None, true == other, same_bases(true, other, classes))
    )
    known, right, bases = (found.astype(np.float64) for found in counts)
    return known, right, bases


def weighted_codon_scores(
    truth: Labels, predicted: Floats, classes: CodonClasses
) -> Callable[[Floats], Mapping[str, Floats]]:
    """Return what scores predictions as if each protein stood there as often as its weight says.

    Args:
        truth: (N, L) classes, negative where nothing is known.
        predicted: (N, L, K) probabilities of the codons of each residue.
        classes: What the classes are.

    Returns:
        A function of (D, N) weights that gives `codon_match`, `nucleotide_match` and `log_loss`, in nats a residue,
        (D,) each; a log loss is nan where something had probability 0 and was there.
    """
    known, right, bases = by_protein(truth, classes.chosen(truth, predicted.argmax(axis=2)), classes)
    rows, places = np.nonzero(truth >= 0)
    with np.errstate(divide="ignore"):
        nats = -np.log(predicted[rows, places, classes.places(truth)[rows, places]])
    nats = np.bincount(rows, nats, len(truth))

    def scores(weights: Floats) -> dict[str, Floats]:
        with np.errstate(divide="ignore", invalid="ignore"):
            total = weights @ known
            loss = weights @ nats / total
            found = {"codon_match": weights @ right / total, "nucleotide_match": weights @ bases / (3 * total)}
        return {**found, "log_loss": np.where(np.isfinite(loss), loss, np.nan)}

    return scores


def favourites(truth: Labels, classes: CodonClasses) -> Ints:
    """Return for each known residue the codon that its own gene has most often for it, (N, L); truth is as above."""
    found = truth.astype(np.int64)
    for protein in found:
        known = protein >= 0
        counts = np.bincount(protein[known], minlength=len(classes.names))
        best = np.array(
            [
                first + counts[first : first + count].argmax()
                for first, count in zip(classes.first, classes.count, strict=True)
            ]
        )
        protein[known] = best[classes.row[protein[known]]]
    return found


class Usage:
    """How often codons, and pairs of codons, stand in true genes: what chosen ones are held against.

    Args:
        truth: (N, L) classes, negative where nothing is known.
        classes: What they are.

    Source: codon adaptation index: Sharp & Li, Nucleic Acids Res. 15 (1987) 1281-1295, here relative to the genes that
        are scored, all alike. Codon-pair score: Coleman et al., Science 320 (2008) 1784-1787, with 1 added to what was
        seen and to what was expected.
    """

    def __init__(self, truth: Labels, classes: CodonClasses) -> None:
        self.classes, size, rows = classes, len(classes.names), len(classes.first)
        one = np.bincount(truth[truth >= 0].astype(np.int64), minlength=size).astype(np.float64)
        most = np.maximum.reduceat(one, classes.first)
        self.log_adaptiveness = np.log(np.maximum(one, _UNSEEN) / np.maximum(most, 1)[classes.row])  # (C,)
        pairs = _pairs(truth)
        two = np.bincount(pairs @ [size, 1], minlength=size * size).reshape(size, size).astype(np.float64)
        one_row = np.bincount(classes.row, one, rows)
        two_row = np.bincount(classes.row[pairs] @ [rows, 1], minlength=rows * rows).reshape(rows, rows)
        share = one / np.maximum(one_row, 1)[classes.row]
        expected = np.outer(share, share) * two_row[np.ix_(classes.row, classes.row)]
        self.pair_score = np.log((two + 1) / (expected + 1))  # (C, C)
        ends = [row for name, row in classes.rows.items() if name in (STOP, START)]
        self.counted = (classes.count[classes.row] > 1) & ~np.isin(classes.row, ends)  # (C,)

    def of(self, chosen: Labels) -> dict[str, float]:
        """Describe chosen classes (N, L), negative where there are none.

        Returns:
            `gc` and `gc3`, the share of G and C at all bases and at third ones; `cai` and `codon_pair`, each the mean
            over proteins.
        """
        known = chosen >= 0
        codons = self.classes.codons[chosen[known]]
        strong = np.stack([np.isin((codons >> shift) & 3, (1, 2)) for shift in (4, 2, 0)])
        counted = known & self.counted[np.maximum(chosen, 0)]
        logs = np.where(counted, self.log_adaptiveness[np.maximum(chosen, 0)], 0).sum(axis=1)
        cai = np.exp(logs / np.maximum(counted.sum(axis=1), 1))[counted.any(axis=1)]
        paired = known[:, :-1] & known[:, 1:]
        scores = self.pair_score[np.maximum(chosen[:, :-1], 0), np.maximum(chosen[:, 1:], 0)]
        pair = (np.where(paired, scores, 0).sum(axis=1) / np.maximum(paired.sum(axis=1), 1))[paired.any(axis=1)]
        means = {"gc": strong, "gc3": strong[2], "cai": cai, "codon_pair": pair}
        return {name: float(values.mean()) if values.size else float("nan") for name, values in means.items()}


def paired_by_protein(first: Floats, second: Floats, groups: Ints) -> dict[str, float]:
    """Test whether two choosers match equally well in each protein: a paired t-test, relatives taken together.

    Args:
        first, second: Share of each protein that is right (N,).
        groups: What belongs together (N,).

    Returns:
        `difference`, the mean over proteins of second less first, and the two-sided `p_value`.
    """
    from scipy.stats import ttest_1samp

    gains = second - first
    numbers = np.unique(groups, return_inverse=True)[1].reshape(-1)
    by_group = np.bincount(numbers, gains) / np.bincount(numbers)
    constant = len(by_group) < 2 or np.ptp(by_group) == 0
    p_value = float("nan") if constant else float(ttest_1samp(by_group, 0.0).pvalue)
    return {"difference": float(gains.mean()), "p_value": p_value}


def _pairs(truth: Labels) -> Ints:
    """List neighbouring classes that are both known, (pairs, 2)."""
    known = (truth[:, :-1] >= 0) & (truth[:, 1:] >= 0)
    return np.stack([truth[:, :-1][known], truth[:, 1:][known]], axis=1).astype(np.int64)
