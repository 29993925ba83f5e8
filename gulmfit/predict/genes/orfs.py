"""Genes without introns: the best chain of open reading frames, on both strands at once.

Every open reading frame with each of its starts is a candidate; what it is worth is the sum of the log-odds of its
bases, tempered since neighbours depend on each other, plus the evidence of its start, plus a constant. Candidates of a
chain overlap by no more than a rule allows; dynamic programming finds the chain of the greatest sum.

Shapes: `L` bases, `N` candidates; the first axis of length 2 is the strand, "+" and "-".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError
from gulmfit.predict.genes.start_sites import GAP_LEAST, GAP_MOST, StartSites
from gulmfit.seq.alphabet import Codes
from gulmfit.seq.genome.genes import GeneModel
from gulmfit.seq.genome.genetic_code import genetic_code
from gulmfit.seq.genome.open_frames import STARTS, OpenFrames, open_frames, start_codons, strand_codes
from gulmfit.seq.labels.gene_labels import CDS, CODON_PLACES

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

TYPICAL_BP = 300
"""Bases of a gene whose length speaks neither for nor against it."""


@dataclass(frozen=True, kw_only=True)
class OrfDecoder:
    """Choose genes among open reading frames.

    Args:
        code: Number of the genetic code.
        starts: Codons that start.
        min_bp: Bases of the shortest gene; more than any overlap.
        same_overlap_bp: Bases that neighbours on one strand may share.
        tail_overlap_bp: Bases that the ends of neighbours on two strands may share.
        head_overlap_bp: Bases that their starts may share.
        temperature: What the log-odds of bases are multiplied by.
        constant: Added to every gene: what another gene must be worth.
        start_weight: What the evidence of starts is multiplied by.
        length_weight: What ln(bases of a gene / 300) is multiplied by.
        gap_weight: What the evidence of distances between genes of one strand is multiplied by.
        open_ends: Whether genes may run over the edges of a contig.
        sites: Evidence of starts; none if None.

    Raises:
        ConfigError: `min_bp` is not above the overlaps, or the genetic code does not exist.
    """

    code: int = 11
    starts: Sequence[str] = STARTS
    min_bp: int = 90
    same_overlap_bp: int = 60
    tail_overlap_bp: int = 60
    head_overlap_bp: int = 30
    temperature: float = 1.0
    constant: float = 0.0
    start_weight: float = 1.0
    gap_weight: float = 1.0
    length_weight: float = 0.0
    open_ends: bool = False
    sites: StartSites | None = None

    def __post_init__(self) -> None:
        genetic_code(self.code)
        most = max(self.same_overlap_bp, self.tail_overlap_bp, self.head_overlap_bp)
        if self.min_bp <= most or self.same_overlap_bp > -GAP_LEAST:
            raise ConfigError(
                f"min_bp={self.min_bp}, overlaps of up to {most} bp: a gene must be longer than any overlap, and "
                f"overlaps on one strand are at most {-GAP_LEAST} bp"
            )

    def __call__(
        self, codes: Codes, log_odds: Sequence[Singles], contig: str, *, circular: bool = False
    ) -> list[GeneModel]:
        """Return the genes of a contig by position, each with its worth as score.

        Args:
            codes: Bases of the forward strand (L,).
            log_odds: Of each codon position against no gene, ln, on the coordinates of the forward strand: one array,
                or one for each class of genes (2, 3, L). Of each candidate the class that suits it best counts.
            contig: Its name.
            circular: Whether a gene may span its origin; it then has two parts. The circle is opened in the widest gap
                between the genes of a first pass.
        """
        genes = self.decode(self.candidates(codes, log_odds), contig)
        length = len(codes)
        between = [(after.span[0] - before.span[1], after.span[0]) for before, after in pairwise(genes)]
        if not circular or not between or max(between)[0] <= 0:
            return genes
        at = max(between)[1]
        turned = self.candidates(np.roll(codes, -at), [np.roll(own, -at, axis=2) for own in log_odds])
        return sorted(
            (_turned_back(gene, at, length) for gene in self.decode(turned, contig)), key=lambda one: one.span
        )

    def candidates(self, codes: Codes, log_odds: Sequence[Singles]) -> "Candidates":
        """List the open reading frames of both strands, and what speaks for each."""
        made = [self._on(strand, codes, [own[row] for own in log_odds]) for row, strand in enumerate("+-")]
        return Candidates(*(np.concatenate(column) for column in zip(*made, strict=True)))

    def decode(self, candidates: "Candidates", contig: str) -> list[GeneModel]:
        """Return the best chain of candidates."""
        worth = self.temperature * candidates.bases + self.start_weight * candidates.sites + self.constant
        if self.length_weight:
            worth = worth + self.length_weight * candidates.lengths
        bonus = np.zeros(GAP_MOST - GAP_LEAST + 1)
        if self.sites is not None:
            # What holds for every start that follows no gene closely is part of its own worth.
            worth = worth + self.gap_weight * self.sites.far
            bonus = self.gap_weight * (self.sites.gaps - self.sites.far)
        # Left out, a candidate of no worth leaves a chain that is no worse, unless its neighbours make up for it.
        kept = np.flatnonzero(worth + 2 * max(0.0, bonus.max()) - min(0.0, bonus.min()) > 0)
        kept = kept[np.lexsort((candidates.right[kept], candidates.left[kept]))]
        overlaps = ((self.same_overlap_bp, self.tail_overlap_bp), (self.head_overlap_bp, self.same_overlap_bp))
        chosen = best_chain(
            candidates.left[kept], candidates.right[kept], candidates.strand[kept], worth[kept], bonus, overlaps
        )
        return [
            GeneModel(
                contig,
                "+-"[candidates.strand[n]],
                ((int(candidates.left[n]), int(candidates.right[n])),),
                score=float(worth[n]),
                partial=(bool(candidates.open_start[n]), bool(candidates.open_end[n])),
            )
            for n in kept[chosen]
        ]

    def _on(self, strand: str, codes: Codes, log_odds: Sequence[Singles]) -> tuple[npt.NDArray[np.generic], ...]:
        read = strand_codes(codes, strand)
        frames = open_frames(
            read, genetic_code(self.code), start_codons(self.starts), min_bp=self.min_bp, open_ends=self.open_ends
        )
        sites = self.sites(read, frames) if self.sites else np.zeros(len(frames.starts))
        left, right = frames.spans(strand, len(codes))
        bases = np.max([frame_sums(own if strand == "+" else own[:, ::-1], frames) for own in log_odds], axis=0)
        return left, right, np.full(len(left), "+-".index(strand)), bases, sites, frames.open_start, frames.open_end


def _turned_back(gene: GeneModel, by: int, length: int) -> GeneModel:
    """Move a gene of one part to the right on a circle."""
    ((start, end),) = gene.cds
    start, end = (start + by) % length, (end + by - 1) % length + 1
    over = [(start, length), (0, end)]
    cds = [(start, end)] if start < end else over if gene.strand == "+" else over[::-1]
    return replace(gene, cds=tuple(cds), exons=tuple(cds))


@dataclass(frozen=True, eq=False)
class Candidates:
    """Open reading frames of a contig, on the coordinates of its forward strand.

    Attributes:
        left: First base (N).
        right: Base after the last one (N).
        strand: 0 for "+", 1 for "-" (N).
        bases: Sum of the log-odds of the bases (N).
        sites: Log-odds of the start (N).
        open_start: Whether it runs over the edge with its start (N).
        open_end: Whether it runs over the edge with its end (N).
    """

    left: Ints
    right: Ints
    strand: Ints
    bases: Floats
    sites: Floats
    open_start: npt.NDArray[np.bool_]
    open_end: npt.NDArray[np.bool_]

    @property
    def lengths(self) -> Floats:
        """Evidence of the length, ln(bases / 300) (N)."""
        return np.log((self.right - self.left) / TYPICAL_BP)


def frame_log_odds(classes: npt.ArrayLike, phases: npt.ArrayLike) -> Singles:
    """Turn probabilities of a labeller into log-odds of each place in a codon against all that does not code.

    Args:
        classes: Log-probabilities of `gulmfit.seq.labels.gene_labels.CLASSES` (2, 4, L).
        phases: Log-probabilities of `PHASES` (2, 4, L).

    Returns:
        (2, 3, L).
    """
    own = np.asarray(classes, np.float32)
    places = np.asarray(phases, np.float32)[:, CODON_PLACES]
    # A base that codes has a phase.
    places = places - np.logaddexp.reduce(places, axis=1, keepdims=True)
    none = np.logaddexp.reduce(own[:, [number for number in range(own.shape[1]) if number != CDS]], axis=1)
    return np.asarray(own[:, [CDS]] + places - none[:, None], np.float32)


def frame_sums(log_odds: Singles, frames: OpenFrames) -> Floats:
    """Sum the log-odds (3, L) of a strand over each of its frames (N), codon by codon."""
    sums = np.zeros(len(frames.starts))
    length = log_odds.shape[1]
    for frame in range(3):
        codons = (length - frame) // 3
        places = [log_odds[place, frame + place : frame + 3 * codons : 3] for place in range(3)]
        total = np.concatenate([[0.0], np.cumsum(np.sum(places, axis=0, dtype=np.float64))])
        own = frames.starts % 3 == frame
        sums[own] = total[(frames.ends[own] - frame) // 3] - total[(frames.starts[own] - frame) // 3]
    return sums


def best_chain(
    left: Ints, right: Ints, strand: Ints, worth: Floats, bonus: Floats, overlaps: Sequence[Sequence[int]]
) -> list[int]:
    """Find the chain of candidates, sorted by `left`, of the greatest sum, and list its members.

    Two neighbours overlap by at most `overlaps[strand of the first][strand of the second]`, which is less than the
    length of any candidate. Neighbours on one strand whose distance, from the end of the first to the start of the
    second in their reading direction, is one of those of `bonus` add what stands there.
    """
    ends = [np.unique(right[strand == row]) for row in (0, 1)]
    place = np.where(strand == 0, np.searchsorted(ends[0], right), np.searchsorted(ends[1], right)).tolist()
    # Of all candidates with one end only the best counts for those that follow.
    best = [[-np.inf] * len(own) for own in ends]
    who = [[-1] * len(own) for own in ends]
    listed = [own.tolist() for own in ends]
    # For each pair of strands: how many ends lie far enough to the left, and the best among them.
    passed = [[0, 0], [0, 0]]
    running = [[(0.0, -1), (0.0, -1)], [(0.0, -1), (0.0, -1)]]
    near = bonus.tolist()
    total, back = [0.0] * len(left), [-1] * len(left)
    rows, lefts, values = strand.tolist(), left.tolist(), worth.tolist()
    top, last = 0.0, -1
    for n, (row, start) in enumerate(zip(rows, lefts, strict=True)):
        score, before = 0.0, -1
        for other in (0, 1):
            own, found, names = listed[other], best[other], who[other]
            limit = start + overlaps[other][row] if other != row else start - GAP_MOST - 1
            at, so_far = passed[other][row], running[other][row]
            while at < len(own) and own[at] <= limit:
                if found[at] > so_far[0]:
                    so_far = (found[at], names[at])
                at += 1
            passed[other][row], running[other][row] = at, so_far
            if so_far[0] > score:
                score, before = so_far
            if other == row:
                limit = start + overlaps[row][row]
                while at < len(own) and own[at] <= limit:
                    value = found[at] + near[start - own[at] - GAP_LEAST]
                    if value > score:
                        score, before = value, names[at]
                    at += 1
        total[n], back[n] = values[n] + score, before
        if total[n] > best[row][place[n]]:
            best[row][place[n]], who[row][place[n]] = total[n], n
        if total[n] > top:
            top, last = total[n], n
    chain = []
    while last >= 0:
        chain.append(last)
        last = back[last]
    return chain[::-1]
