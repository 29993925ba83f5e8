"""A protein-coding gene: one transcript, where its exons and its coding parts lie.

Positions are 0-based half-open on the forward strand; parts stand in reading order, so on "-" from right to left. A
gene over the origin of a circular contig has a part that ends there and one that starts at 0.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from gulmfit.seq.alphabet import Codes

Span = tuple[int, int]
Spans = tuple[Span, ...]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GeneModel:
    """One coding transcript.

    Attributes:
        contig: Name of the contig.
        strand: "+" or "-".
        cds: Coding parts, the stop codon included.
        exons: Exons, which hold the coding parts; the same as `cds` where nothing is known of untranslated regions.
        name: As in the annotation, or as predicted.
        score: Probability that it is a gene, nan where unknown.
        cds_scores: Probability that each coding part begins and ends where it does; empty where unknown.
        partial: Whether it runs over the (5', 3') end of its contig.
        place: Where it stands in a file, for messages.
    """

    contig: str
    strand: str
    cds: Spans
    exons: Spans = ()
    name: str = ""
    score: float = float("nan")
    partial: tuple[bool, bool] = (False, False)
    place: str = ""
    cds_scores: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.exons:
            object.__setattr__(self, "exons", self.cds)

    @property
    def span(self) -> Span:
        """The first base and the one after the last, exons and introns included; the whole contig over an origin."""
        return min(start for start, _ in self.exons), max(end for _, end in self.exons)

    @property
    def coding_bases(self) -> int:
        """How many bases code."""
        return sum(end - start for start, end in self.cds)

    @property
    def five_prime(self) -> int:
        """The first coding base."""
        return self.cds[0][0] if self.strand == "+" else self.cds[0][1] - 1

    @property
    def three_prime(self) -> int:
        """The last coding base."""
        return self.cds[-1][1] - 1 if self.strand == "+" else self.cds[-1][0]

    def score_of(self, span: Span) -> float:
        """Return the probability of the coding part that a span overlaps; that of the gene if none, or if unknown."""
        pairs = zip(self.cds, self.cds_scores, strict=False)
        return next((own for (start, end), own in pairs if start < span[1] and span[0] < end), self.score)

    def introns(self, contig_length: int = 0) -> list[Span]:
        """List what lies between the exons, in reading order; over an origin in two pieces."""
        return gaps(self.exons, self.strand, contig_length)

    def untranslated(self) -> tuple[list[Span], list[Span]]:
        """List the parts of the exons before the coding ones, and those after them, in reading order."""
        first = next(n for n, exon in enumerate(self.exons) if _holds(exon, self.five_prime))
        last = next(n for n in reversed(range(len(self.exons))) if _holds(self.exons[n], self.three_prime))
        before, after = list(self.exons[:first]), list(self.exons[last + 1 :])
        (left, right), (low, high) = self.exons[first], self.exons[last]
        five, three = (left, self.five_prime), (self.three_prime + 1, high)
        if self.strand == "-":
            five, three = (self.five_prime + 1, right), (low, self.three_prime)
        return [*before, *([five] if five[0] < five[1] else [])], [*([three] if three[0] < three[1] else []), *after]


def gaps(parts: Spans, strand: str, contig_length: int = 0) -> list[Span]:
    """List what lies between parts that stand in reading order."""
    found: list[Span] = []
    ascending = parts if strand == "+" else parts[::-1]
    for (_, end), (start, _) in pairwise(ascending):
        if end <= start:
            found += [(end, start)] if end < start else []
        elif start < ascending[0][0]:  # the origin lies between the two
            found += [span for span in ((end, contig_length), (0, start)) if span[0] < span[1]]
    return found if strand == "+" else found[::-1]


def positions(parts: Iterable[Span], strand: str) -> Ints:
    """List the positions of parts, base by base in reading order."""
    pieces = [np.arange(start, end) if strand == "+" else np.arange(end - 1, start - 1, -1) for start, end in parts]
    return np.concatenate(pieces) if pieces else np.empty(0, np.int64)


def spliced(codes: Codes, parts: Iterable[Span], strand: str) -> Codes:
    """Read parts of the codes of a contig (L,), joined, on their strand."""
    bases = codes[positions(parts, strand)]
    return bases if strand == "+" else np.where(bases < 4, np.uint8(3) - bases, bases)


def _holds(span: Span, position: int) -> bool:
    return span[0] <= position < span[1]


def inside(genes: Iterable[GeneModel], contig: str, start: int, end: int) -> list[GeneModel]:
    """List the genes that lie wholly in [start, end) of a contig, with positions that count from `start`."""
    return [
        replace(gene, cds=_moved(gene.cds, -start), exons=_moved(gene.exons, -start))
        for gene in genes
        if gene.contig == contig and start <= gene.span[0] and gene.span[1] <= end
    ]


def unwrapped(gene: GeneModel, contig_length: int) -> GeneModel:
    """Let a gene over the origin of a circular contig count on behind its end; others stay as they are."""

    def moved(parts: Spans) -> Spans:
        ascending = parts if gene.strand == "+" else parts[::-1]
        joined: list[Span] = []
        for start, end in ascending:
            shift = contig_length if start < ascending[0][0] else 0
            if joined and joined[-1][1] == start + shift == contig_length:
                joined[-1] = (joined[-1][0], end + shift)
            else:
                joined.append((start + shift, end + shift))
        return tuple(joined if gene.strand == "+" else joined[::-1])

    cds = moved(gene.cds)
    scores = gene.cds_scores if len(cds) == len(gene.cds) else ()
    return replace(gene, cds=cds, exons=moved(gene.exons), cds_scores=scores)


def with_untranslated(gene: GeneModel, before_bp: int, after_bp: int, contig_length: int) -> GeneModel:
    """Give a gene untranslated regions of constant length, as far as the contig reaches."""
    left, right = (before_bp, after_bp) if gene.strand == "+" else (after_bp, before_bp)
    exons = sorted(gene.cds)
    exons[0] = (max(0, exons[0][0] - left), exons[0][1])
    exons[-1] = (exons[-1][0], min(contig_length, exons[-1][1] + right))
    return replace(gene, exons=tuple(exons if gene.strand == "+" else exons[::-1]))


def _moved(spans: Spans, by: int) -> Spans:
    return tuple((start + by, end + by) for start, end in spans)
