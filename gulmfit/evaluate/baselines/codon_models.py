"""Cheap choosers of codons that every score is shown alongside: what a model must beat to have learned anything.

`frequent_codon` takes the codon that a residue has most often; `codon_hmm` and `codon_hmm_viterbi` know which codon
follows which: a hidden Markov model whose states are codons and whose emissions are their residues, decoded residue by
residue or as a whole.

Shapes: `N` proteins, `L` residues of the longest, `C` classes, `K` codons of the residue that has most.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gulmfit.seq.labels.codon_labels import CodonClasses

Floats = NDArray[np.float64]
Labels = NDArray[Any]
Ints = NDArray[np.int64]

PSEUDO_COUNT = 1.0


def run_codon_baselines(
    train: Labels, proteins: Sequence[str], classes: CodonClasses, *, width: int
) -> dict[str, Floats]:
    """Fit every baseline on training labels and give its probabilities for the codons of proteins.

    Args:
        train: Classes (N, L), negative where nothing is known.
        proteins: What is predicted.
        classes: What the classes are.
        width: L of what is returned.

    Returns:
        (N, L, K) probabilities by name, 0 past the end of a protein and of the codons of a residue.
    """
    rows = np.full((len(proteins), width), -1, np.int64)
    for row, protein in zip(rows, proteins, strict=True):
        row[: len(protein)] = classes.rows_of(protein)
    counts = np.bincount(train[train >= 0].astype(np.int64), minlength=len(classes.names)) + PSEUDO_COUNT
    options = classes.options(rows)
    frequent = np.where(options >= 0, counts[options], 0.0)
    model = CodonHmm(train, classes)
    return {
        "frequent_codon": _normal(frequent),
        "codon_hmm": model.posterior(options),
        "codon_hmm_viterbi": model.viterbi(options),
    }


class CodonHmm:
    """A first-order hidden Markov model of codons, counted.

    Args:
        train: Classes (N, L), negative where nothing is known.
        classes: What the classes are.
    """

    def __init__(self, train: Labels, classes: CodonClasses) -> None:
        size = len(classes.names)
        known = (train[:, :-1] >= 0) & (train[:, 1:] >= 0)
        pairs = train[:, :-1][known].astype(np.int64) * size + train[:, 1:][known]
        starts = train[:, 0][train[:, 0] >= 0].astype(np.int64)
        self.follows = _normal(np.bincount(pairs, minlength=size * size).reshape(size, size) + PSEUDO_COUNT)  # (C, C)
        self.starts = _normal(np.bincount(starts, minlength=size) + PSEUDO_COUNT)  # (C,)

    def posterior(self, options: Ints) -> Floats:
        """Return the probability of each codon given all residues of its protein, (N, L, K).

        Args:
            options: Classes of each residue (N, L, K), -1 where there are fewer, and past the end.
        """
        order, ends = _longest_first(options)
        options = options[order]
        there = options >= 0
        before: Floats = there.astype(np.float64)
        after: Floats = there.astype(np.float64)
        before[:, 0] = _normal(self.starts[options[:, 0]] * there[:, 0])
        for at in range(1, options.shape[1]):
            some = slice(int((ends > at).sum()))
            step = self._between(options[some], at)
            before[some, at] = _normal(np.einsum("nj,njk->nk", before[some, at - 1], step) * there[some, at])
        for at in range(options.shape[1] - 1, 0, -1):
            some = slice(int((ends > at).sum()))
            step = self._between(options[some], at)
            after[some, at - 1] = _normal(np.einsum("njk,nk->nj", step, after[some, at]) * there[some, at - 1])
        found = np.empty_like(before)
        found[order] = _normal(before * after)
        return found

    def viterbi(self, options: Ints) -> Floats:
        """Return 1 for each codon of the likeliest whole sequence, 0 for the others; arguments as of `posterior`."""
        order, ends = _longest_first(options)
        options = options[order]
        impossible = np.where(options >= 0, 0.0, -np.inf)
        best = np.log(self.starts[options[:, 0]]) + impossible[:, 0]
        came_from = np.zeros(options.shape, np.int8)
        for at in range(1, options.shape[1]):
            some = slice(int((ends > at).sum()))
            ways = best[some, :, None] + np.log(self._between(options[some], at))
            came_from[some, at] = ways.argmax(axis=1)
            best[some] = ways.max(axis=1) + impossible[some, at]
        found, chosen = np.zeros(options.shape), best.argmax(axis=1)
        for at in range(options.shape[1] - 1, -1, -1):
            there = np.arange(int((ends > at).sum()))
            found[order[there], at, chosen[there]] = 1.0
            chosen[there] = came_from[there, at, chosen[there]]
        return found

    def _between(self, options: Ints, at: int) -> Floats:
        """Probabilities (N, K, K) of the codons of a position after those before it."""
        return self.follows[options[:, at - 1, :, None], options[:, at, None, :]]


def _longest_first(options: Ints) -> tuple[Ints, Ints]:
    """Return the order (N,) of proteins by length, falling, and their lengths in it."""
    ends = (options >= 0).any(axis=2).sum(axis=1)
    order = np.argsort(-ends, kind="stable")
    return order, ends[order]


def _normal(values: NDArray[np.floating[Any]]) -> Floats:
    """Divide by the sum over the last axis; what is 0 throughout stays so."""
    total = values.sum(axis=-1, keepdims=True)
    shares: Floats = np.divide(values, total, out=np.zeros_like(values), where=total > 0)
    return shares
