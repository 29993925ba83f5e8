"""A Markov model with a table for each codon position: the classical way to tell coding sequence from the rest.

Of each codon position, and of what codes on neither strand, the probability of a base given the bases before it
interpolates all orders, as `gulmfit.seq.simulate.markov` does it.

Shapes: `L` bases, `K` classes of genes; the first axis of length 2 is the strand.

Source: Borodovsky & McIninch (1993), GeneMark; Salzberg et al. (1998), Glimmer's interpolation.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import AMBIGUOUS, Codes
from gulmfit.seq.genome.genes import spliced
from gulmfit.seq.genome.open_frames import strand_codes
from gulmfit.seq.labels.gene_labels import CDS, LabelledContig

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]

BACKOFF = 32.0  # pseudo-counts that a lower order is worth
_MOST_ROUNDS = 20


@dataclass(frozen=True, eq=False)
class PeriodicMarkov:
    """Log-odds of each codon position, given a base and those before it.

    Attributes:
        order: Bases of context.
        log_odds: Of every class of genes ln p(base | context, codon position) - ln p(base | context, no gene),
            (K, 3, 4^(order + 1)).
    """

    order: int
    log_odds: Singles

    @classmethod
    def fit(
        cls,
        contigs: Iterable[LabelledContig],
        *,
        order: int = 5,
        classes: int = 2,
        backoff: float = BACKOFF,
    ) -> Self:
        """Count the bases of genes, and those that code on neither strand.

        Genes of a genome do not all choose their codons alike: those that came from other genomes differ. So genes are
        dealt to classes by their likelihood, starting from how well one class for all explains them, until none moves.

        Args:
            contigs: The training part.
            order: Bases of context.
            classes: Classes of genes, K.
            backoff: Pseudo-counts that a lower order is worth.

        Raises:
            DataError: There are fewer genes than classes.
        """
        size = 4 ** (order + 1)
        none = np.zeros(size, np.int64)
        genes: list[list[Ints]] = []  # of each gene the words that end at the places of its codons
        for _, codes, labels, models in contigs:
            free = (labels.classes != CDS).all(axis=0)
            for row, strand in enumerate("+-"):
                words = _words(strand_codes(codes, strand), order)
                chosen = (free & ~labels.masked[row])[:: 1 if strand == "+" else -1] & (words >= 0)
                none += np.bincount(words[chosen], minlength=size)
            for model in models:
                words = _words(spliced(codes, model.cds, model.strand), order)
                genes.append([own[own >= 0] for own in (words[place::3] for place in range(3))])
        if len(genes) < classes:
            raise DataError(f"{len(genes)} gene(s) in the training part for {classes} classes of genes; give more")
        background = np.log(_interpolated(none, order, backoff))

        def tables(members: Ints) -> Floats:
            counted = [
                np.bincount(np.concatenate([genes[n][place] for n in members]), minlength=size) for place in range(3)
            ]
            return np.log([_interpolated(counts, order, backoff) for counts in counted])

        def likelihoods(table: Floats) -> Floats:
            return np.array([sum(table[place, own].sum() for place, own in enumerate(gene)) for gene in genes])

        whole = tables(np.arange(len(genes))) - background
        gain = likelihoods(whole) / [max(1, sum(map(len, gene))) for gene in genes]
        # Those that one class explains least are the fewer.
        dealt = (np.sqrt(np.argsort(np.argsort(gain)) / len(genes)) * classes).astype(np.int64)
        for _ in range(_MOST_ROUNDS):
            models_now = [tables(np.flatnonzero(dealt == number)) for number in range(classes)]
            again = np.argmax([likelihoods(table) for table in models_now], axis=0)
            if (again == dealt).all() or len(np.unique(again)) < classes:
                break
            dealt = again
        return cls(order, np.array([table - background for table in models_now], np.float32))

    def __call__(self, codes: Codes) -> list[Singles]:
        """Return the log-odds of every codon position at every base, on the forward strand's coordinates (2, 3, L).

        There is one array for each class of genes. They are 0 where an ambiguous base, or none, is among a base and its
        context.
        """
        found = [np.zeros((2, 3, len(codes)), np.float32) for _ in self.log_odds]
        for row, strand in enumerate("+-"):
            words = _words(strand_codes(codes, strand), self.order)
            for own, table in zip(found, self.log_odds, strict=True):
                values = np.where(words >= 0, table[:, words], np.float32(0))
                own[row] = values if strand == "+" else values[:, ::-1]
        return found

    def on_strand(self, codes: Codes, first: int, last: int) -> Singles:
        """Return the log-odds of every codon position at the bases [first, last) of a strand.

        Args:
            codes: Bases of the strand in its reading direction (L,).
            first, last: Bases that are wanted.

        Returns:
            Those of each class of genes (K, 3, last - first); 0 as when it is called.
        """
        low = max(0, first - self.order)
        words = _words(codes[low:last], self.order)[first - low :]
        return np.where(words >= 0, self.log_odds[:, :, words], np.float32(0))


def _words(codes: Codes, order: int) -> Ints:
    """Number the words of order + 1 bases that end at each base (L,); -1 where one is ambiguous or missing."""
    words = np.zeros(len(codes), np.int64)
    clear = codes < AMBIGUOUS
    known = clear.copy()
    for back in range(order + 1):
        words[back:] += codes[: len(codes) - back].astype(np.int64) << (2 * back)
        known[back:] &= clear[: len(codes) - back]
    known[:order] = False
    return np.where(known, words, -1)


def _interpolated(counts: Ints, order: int, backoff: float) -> npt.NDArray[np.float64]:
    """Return p(last base | those before it) for every word, from the counts of words (4^(order + 1),)."""
    lower = np.full((1, 4), 0.25)
    for size in range(order + 1):
        table = counts.reshape(-1, 4**size, 4).sum(axis=0)  # words of size + 1 are the ends of longer ones
        prior = np.tile(lower, (4, 1)) if size else lower
        lower = (table + backoff * prior) / (table.sum(axis=1, keepdims=True) + backoff)
    return lower.ravel()
