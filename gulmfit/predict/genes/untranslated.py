"""Where the untranslated regions of genes end, between two genes of a strand for both at once.

A path through a hidden Markov model holds every base for as likely to be untranslated as any other. Those next to the
coding part are likelier than those far from it, whatever the labeller makes of them, before it more so than after it.

Shapes: `L` bases.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from gulmfit.predict.genes.splice_sites import on_own_strand
from gulmfit.seq.genome.genes import GeneModel, Span

Floats = npt.NDArray[np.float64]
Read = Callable[[int, int], Floats]

REACH_BP = 2000  # longest region
BONUSES = (0.0, 0.5, 1.0, 1.5)
SLOPES = (0.0, 0.5, 1.0, 2.0)
_ROUNDS = 2


@dataclass(frozen=True, kw_only=True)
class UntranslatedEnds:
    """Choose how long the regions before and after the coding part are.

    What a region is worth is the sum over its bases of the labeller's log-odds that they are untranslated, not
    intergenic, of a bonus, and of what that loses with the distance to the coding part.

    Attributes:
        before: Bonus of a base before the coding part.
        before_slope: What it loses in 100 bases.
        after: Bonus of a base after it.
        after_slope: What that loses in 100 bases.
    """

    before: float = 0.0
    before_slope: float = 0.0
    after: float = 0.0
    after_slope: float = 0.0

    def __call__(self, genes: Sequence[GeneModel], length: int, log_odds: Read) -> list[GeneModel]:
        """Return genes with the regions that are chosen; those of a gene stay on a side where they have an intron.

        Args:
            genes: Those of one strand of a contig.
            length: Bases of the contig.
            log_odds: Gives those of bases [start, end) of the strand in its reading direction, untranslated against
                intergenic (end - start,).
        """
        parts = [_Parts.of(gene, length) for gene in genes]
        order = sorted(range(len(genes)), key=lambda number: parts[number].cds)
        for one, two in pairwise([None, *order, None]):
            low = 0 if one is None else parts[one].end
            high = length if two is None else parts[two].start
            sides = one is not None and parts[one].free_end, two is not None and parts[two].free_start
            end, start = self._between(low, high, log_odds, *sides)
            if one is not None:
                parts[one] = parts[one]._replace(end=end)
            if two is not None:
                parts[two] = parts[two]._replace(start=start)
        return [own.applied(gene, length) for own, gene in zip(parts, genes, strict=True)]

    def _between(self, low: int, high: int, log_odds: Read, after: bool, before: bool) -> Span:
        """Return where a region that begins at `low` ends, and where one that ends at `high` begins, of those that are
        to be chosen."""
        size = min(max(0, high - low), REACH_BP)
        one, two = np.zeros(1), np.zeros(1)
        if after and size:
            one = _worth(log_odds(low, low + size), self.after, self.after_slope)
        if before and size:
            two = _worth(log_odds(high - size, high)[::-1], self.before, self.before_slope)
        # Whatever the first takes, the second has the best length that is left to it.
        room = np.clip(high - low - np.arange(len(one)), 0, len(two) - 1)
        first = int(np.argmax(one + np.maximum.accumulate(two)[room]))
        return low + first, high - int(np.argmax(two[: room[first] + 1]))

    @classmethod
    def fit(cls, judged: Callable[["UntranslatedEnds"], float]) -> "UntranslatedEnds":
        """Choose bonus and slope of one side after the other by how they are judged."""
        chosen = cls()
        for side in ("after", "before") * _ROUNDS:
            values: list[dict[str, float]] = [
                {side: bonus, f"{side}_slope": slope} for bonus in BONUSES for slope in SLOPES
            ]
            chosen = max((replace(chosen, **own) for own in values), key=judged)
        return chosen


class _Parts(NamedTuple):
    """A gene in the reading direction of its strand."""

    cds: Span
    """From the first coding base to the one after the last."""
    start: int
    """Where what is left of its exons begins, if a region is to be chosen at the coding part."""
    end: int
    free_start: bool
    free_end: bool

    @classmethod
    def of(cls, gene: GeneModel, length: int) -> Self:
        """Drop the regions of a gene that are to be chosen."""
        exons, cds = ([on_own_strand(span, gene.strand, length) for span in own] for own in (gene.exons, gene.cds))
        first, last = cds[0][0], cds[-1][1]
        free = exons[0][1] > first, exons[-1][0] < last
        return cls(
            (first, last), first if free[0] else exons[0][0], last if free[1] else exons[-1][1], free[0], free[1]
        )

    def applied(self, gene: GeneModel, length: int) -> GeneModel:
        """Give a gene these ends."""
        exons = [on_own_strand(span, gene.strand, length) for span in gene.exons]
        exons[0] = (self.start, exons[0][1])
        exons[-1] = (exons[-1][0], self.end)
        return replace(gene, exons=tuple(on_own_strand(span, gene.strand, length) for span in exons))


def untranslated_odds(classes: Any) -> Read:
    """Return what gives the log-odds that bases of a strand are untranslated, not intergenic.

    Args:
        classes: Log-probabilities of the classes in the strand's reading direction (4, L).
    """

    def log_odds(start: int, end: int) -> Floats:
        intergenic, untranslated = np.asarray(classes[:2, start:end], np.float64)
        return np.asarray(untranslated - intergenic)

    return log_odds


def _worth(log_odds: Floats, bonus: float, slope: float) -> Floats:
    """Return what a region of each length from 0 on is worth (L + 1,), given the log-odds of bases (L,)."""
    gains = log_odds + bonus - slope / 100 * np.arange(len(log_odds))
    return np.pad(np.cumsum(gains, dtype=np.float64), (1, 0))
