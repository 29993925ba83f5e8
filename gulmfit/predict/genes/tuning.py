"""Choose what a decoder weighs, and calibrate the scores of genes, on genes that are held out for it.

Source: Platt (1999) for the calibration.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.evaluate.gene_scores import GeneScores, gene_scores
from gulmfit.predict.genes.gene_hmm import GeneDecoder
from gulmfit.predict.genes.orfs import OrfDecoder, Singles
from gulmfit.seq.genome.genes import GeneModel
from gulmfit.seq.labels.gene_labels import Bools, LabelledContig

GRID: Mapping[str, Sequence[float]] = {
    "temperature": (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0),
    "constant": (-14.0, -12.0, -10.0, -8.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0),
    "start_weight": (0.5, 0.7, 1.0, 1.5),
    "gap_weight": (0.0, 0.5, 1.0, 1.5),
}
_ROUNDS = 3
_STEPS = 50


Decoder = TypeVar("Decoder", OrfDecoder, GeneDecoder)
HeldOut = tuple[LabelledContig, Sequence[Singles]]
"""A contig of the validation part, and its log-odds."""


@dataclass(frozen=True)
class GeneCalibration:
    """Turns the worth x of a gene into the probability that a gene ends there: 1 / (1 + e^-(slope x + offset))."""

    slope: float
    offset: float

    def __call__(self, genes: Sequence[GeneModel]) -> list[GeneModel]:
        """Return genes with probabilities as scores."""
        return [replace(gene, score=self.probability(gene.score)) for gene in genes]

    def probability(self, worth: float) -> float:
        """Return the probability of one worth."""
        return float(1 / (1 + np.exp(-np.clip(self.slope * worth + self.offset, -700, 700))))


def tuned(decoder: OrfDecoder, held_out: Sequence[HeldOut]) -> tuple[OrfDecoder, GeneScores]:
    """Choose `GRID` by the sum of F1 of exact genes and of 3' ends, one weight after the other until none changes.

    Returns:
        The decoder, and its scores on the genes that it was chosen by.

    Raises:
        DataError: There is no gene to choose by.
    """
    if not any(contig.genes for contig, _ in held_out):
        raise DataError("no gene lies in the validation part, so a decoder cannot be chosen; give it a larger part")
    candidates = [decoder.candidates(contig.codes, log_odds) for contig, log_odds in held_out]
    masked = {contig.name: contig.labels.masked for contig, _ in held_out}
    true = [gene for contig, _ in held_out for gene in contig.genes]

    def judged(chosen: OrfDecoder) -> tuple[float, GeneScores]:
        pairs = zip(candidates, held_out, strict=True)
        found = [gene for one, (contig, _) in pairs for gene in chosen.decode(one, contig.name)]
        scores = gene_scores(true, found, masked)
        return worth_of(scores), scores

    return climbed(decoder, GRID, judged)


def climbed(
    decoder: Decoder, grid: Mapping[str, Sequence[float]], judged: Callable[[Decoder], tuple[float, GeneScores]]
) -> tuple[Decoder, GeneScores]:
    """Change one weight of a decoder after the other to what a grid has, as long as it is judged better for it."""
    known: dict[tuple[Any, ...], tuple[float, GeneScores]] = {}

    def told(one: Decoder) -> tuple[float, GeneScores]:
        weights = tuple(getattr(one, name) for name in grid)
        if weights not in known:
            known[weights] = judged(one)
        return known[weights]

    best = told(decoder)
    for _ in range(_ROUNDS):
        before = decoder
        for name, values in grid.items():
            for value in values:
                changed: dict[str, Any] = {name: value}
                other = replace(decoder, **changed)
                if (now := told(other))[0] > best[0]:
                    best, decoder = now, other
        if decoder == before:
            break
    return decoder, best[1]


def worth_of(scores: GeneScores) -> float:
    """Return what decoders are chosen by: the sum of F1 of exact genes and of 3' ends."""
    return f1(scores, "exact") + f1(scores, "three_prime")


def f1(scores: GeneScores, kind: str) -> float:
    """Return the harmonic mean of the sensitivity and precision of a kind; 0 where nothing is found."""
    found, right = scores.found[kind], scores.right[kind]
    hits = found.mean() + right.mean() if found.size and right.size else 0.0
    return float(2 * found.mean() * right.mean() / hits) if hits else 0.0


def ends_right(genes: Sequence[GeneModel], contigs: Iterable[LabelledContig]) -> Bools:
    """Tell of each predicted gene whether a true one ends where it does."""
    true = {(gene.contig, gene.strand, gene.three_prime) for contig in contigs for gene in contig.genes}
    return np.array([(gene.contig, gene.strand, gene.three_prime) in true for gene in genes], bool)


def calibrated(genes: Sequence[GeneModel], right: Bools) -> GeneCalibration:
    """Fit a calibration to the worth of predicted genes, and whether each is right."""
    return platt(np.array([gene.score for gene in genes]), right)


def platt(worth: npt.NDArray[np.float64], right: Bools) -> GeneCalibration:
    """Fit a calibration to worths (N,), and whether each is right, by Newton's method.

    The targets are those of Platt, a little inside of 0 and 1, so that a decoder without error gets no infinite slope.
    """
    middle, spread = worth.mean(), worth.std() or 1.0
    design = np.column_stack([(worth - middle) / spread, np.ones(len(worth))])
    hits = right.sum()
    target = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))
    weights = np.zeros(2)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-design @ weights))
        hessian = (design * (chance * (1 - chance))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (target - chance) - 1e-6 * weights)
        weights += np.clip(step, -2, 2)
    slope = float(weights[0] / spread)
    return GeneCalibration(slope, float(weights[1] - slope * middle))
