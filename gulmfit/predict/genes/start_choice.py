"""Where a gene begins: one of the start codons that its first coding exon could have.

A path through a hidden Markov model weighs a start by the bases next to it alone. That most genes begin at the first
start codon of their frame, and what stands around it, it cannot know.

Shapes: `L` bases, `N` starts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gulmfit.predict.genes.orfs import frame_log_odds
from gulmfit.predict.genes.start_sites import StartSites
from gulmfit.seq.alphabet import Codes
from gulmfit.seq.genome.genes import Span
from gulmfit.seq.genome.genetic_code import codon_numbers, genetic_code
from gulmfit.seq.genome.open_frames import OpenFrames, start_codons

UPSTREAM_BP = 6000  # how far an earlier start is looked for


@dataclass(frozen=True, kw_only=True)
class StartChoice:
    """Choose among the starts of a frame.

    Attributes:
        sites: Evidence of the letters around a start.
        bases_weight: What the sum of the log-odds of coding bases is multiplied by.
        sites_weight: What the evidence of `sites` is multiplied by.
        length_weight: What the logarithm of the coding length is multiplied by.
    """

    sites: StartSites
    bases_weight: float
    sites_weight: float
    length_weight: float

    def __call__(
        self,
        codes: Codes,
        exon: Span,
        inner: int,
        before: int,
        read: Callable[[int, int], tuple[Any, Any]],
        *,
        code: int,
        starts: Sequence[str],
    ) -> int:
        """Return where the gene begins.

        Args:
            codes: Bases of the strand in its reading direction (L,).
            exon: Its first coding exon as it was found.
            inner: How many bases it codes elsewhere.
            before: Where the gene before it ends, which the gene is not to reach.
            read: Gives the log-probabilities of classes and phases of bases (4, size).
            code: Number of the genetic code.
            starts: Codons that start.
        """
        begin, end = exon
        low = max(before + (begin - before) % 3, begin - UPSTREAM_BP // 3 * 3) if begin > before else begin
        size = (end - low) // 3 * 3
        numbers = codon_numbers(codes[low : low + size])[::3]
        first = (begin - low) // 3
        stops = np.flatnonzero(genetic_code(code).is_stop[numbers[:first]] | (numbers[:first] >= 64))
        allowed = start_codons(starts)[numbers]
        allowed[: int(stops[-1]) + 1 if len(stops) else 0] = False
        at = low + 3 * np.flatnonzero(allowed)
        if len(at) < 2 or begin not in at:  # an intron cuts the start codon
            return begin
        classes, phases = read(int(at[0]), end)
        log_odds = frame_log_odds(np.asarray(classes)[None], np.asarray(phases)[None])[0]
        own = log_odds[np.arange(end - at[0]) % 3, np.arange(end - at[0])]
        sums = np.cumsum(own[::-1], dtype=np.float64)[::-1]
        nowhere = np.zeros(len(at), bool)
        frames = OpenFrames(at, np.full(len(at), end), nowhere, nowhere)
        worth = (
            self.bases_weight * sums[at - at[0]]
            + self.sites_weight * self.sites(codes, frames)
            + self.length_weight * np.log(end - at + inner)
        )
        return int(at[np.argmax(worth)])
