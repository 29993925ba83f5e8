"""Open reading frames: from each codon that can start to the next stop codon in its frame.

Shapes: `L` bases, `N` frames, each start counted.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.seq.alphabet import Codes, reverse_complement
from gulmfit.seq.genome.genes import GeneModel, Span
from gulmfit.seq.genome.genetic_code import CODONS, Bools, GeneticCode, codon_numbers

Ints = npt.NDArray[np.int64]

STARTS = ("ATG", "GTG", "TTG")


class OpenFrames(NamedTuple):
    """Open reading frames of one strand, on the coordinates of that strand: 0 is its own first base.

    Attributes:
        starts: First base of each (N).
        ends: Base after its stop codon (N).
        open_start: Whether it begins at the edge of the contig, with no start codon (N).
        open_end: Whether it ends at the edge of the contig, with no stop codon (N).
    """

    starts: Ints
    ends: Ints
    open_start: Bools
    open_end: Bools

    def spans(self, strand: str, length: int) -> tuple[Ints, Ints]:
        """Return the first base of each and the one after the last, on the forward strand of L bases."""
        return (self.starts, self.ends) if strand == "+" else (length - self.ends, length - self.starts)


def start_codons(names: Iterable[str]) -> Bools:
    """Return whether each codon is among those named (65)."""
    chosen = set(names)
    return np.array([codon in chosen for codon in CODONS] + [False])


def strand_codes(codes: Codes, strand: str) -> Codes:
    """Return codes (L,) as they are read on a strand."""
    return codes if strand == "+" else reverse_complement(codes)


def open_frames(
    codes: Codes, code: GeneticCode, is_start: Bools, *, min_bp: int = 90, open_ends: bool = False
) -> OpenFrames:
    """List the open reading frames of the strand that codes (L,) are read on, by their ends, then by their starts.

    Args:
        codes: Bases of the strand, in its reading direction.
        code: Genetic code.
        is_start: Which codons start (65).
        min_bp: Bases of the shortest, with its stop codon.
        open_ends: Whether one may run over the edges of the contig.
    """
    codons = codon_numbers(codes)
    stops, begins = code.is_stop[codons], is_start[codons] & ~code.is_stop[codons]
    found: list[tuple[Ints, Ints, Bools, Bools]] = []
    for frame in range(min(3, len(codons))):
        stop = np.flatnonzero(stops[frame::3])
        begin = np.flatnonzero(begins[frame::3])
        size = len(codons[frame::3])
        edge = np.zeros(len(begin), np.bool_)
        if open_ends:
            stop = np.append(stop, size - 1) if not len(stop) or stop[-1] < size - 1 else stop
            if not stops[frame]:
                edge = np.append(True, np.zeros(len(begin[begin > 0]), np.bool_))
                begin = np.append(0, begin[begin > 0])
        at = np.searchsorted(stop, begin)
        closed = at < len(stop)
        first, last, edge = begin[closed], stop[at[closed]], edge[closed]
        long = 3 * (last - first + 1) >= min_bp
        first, last, edge = first[long], last[long], edge[long]
        found.append((frame + 3 * first, frame + 3 * last + 3, edge, ~stops[frame + 3 * last]))
    starts, ends, open_start, open_end = (
        np.concatenate(column) if found else np.empty(0, np.int64)
        for column in (list(zip(*found, strict=True)) or [()] * 4)
    )
    order = np.lexsort((starts, ends))
    return OpenFrames(starts[order], ends[order], open_start[order].astype(bool), open_end[order].astype(bool))


def longest_frames(
    codes: Codes,
    contig: str,
    code: GeneticCode,
    *,
    starts: Iterable[str] = STARTS,
    min_bp: int = 300,
    max_overlap_bp: int = 60,
) -> list[GeneModel]:
    """Call the longest open reading frames genes, the longest first, unless they overlap one on either strand.

    The rule that every gene finder must beat.
    """
    spans: list[tuple[Span, str]] = []
    for strand in "+-":
        found = open_frames(strand_codes(codes, strand), code, start_codons(starts), min_bp=min_bp)
        _, first = np.unique(found.ends, return_index=True)  # of each stop codon the start that is farthest
        left, right = found.spans(strand, len(codes))
        spans += [((int(left[n]), int(right[n])), strand) for n in first]
    spans.sort(key=lambda one: (one[0][0] - one[0][1], one[0], one[1]))
    taken: list[GeneModel] = []
    covered: dict[int, list[Span]] = {}  # what was taken, by pieces of the contig
    for (start, end), strand in spans:
        pieces = range(start // _PIECE, (end - 1) // _PIECE + 1)
        rivals = {span for piece in pieces for span in covered.get(piece, ())}
        if all(min(end, high) - max(start, low) <= max_overlap_bp for low, high in rivals):
            taken.append(GeneModel(contig, strand, ((start, end),)))
            for piece in pieces:
                covered.setdefault(piece, []).append((start, end))
    return sorted(taken, key=lambda gene: gene.span)


_PIECE = 1 << 13
