"""Windows of a reference and an alternative haplotype, of one length, with what differs in the middle of each.

An allele pair is brought to its shortest form first, as far to the left as the sequence around it allows (what
`bcftools norm` does), so that every way to write a variant gives the same windows. Then each haplotype's window is laid
with the allele in its middle; an odd base more goes to the right. What a deletion takes out of the alternative window,
flanking bases make up for, half on either side; an insertion pushes as many out. At an end of the contig a window moves
inwards; only where the contig itself is shorter is a window shorter, too.

Source: Tan, Abecasis & Kang (2015), Unified representation of genetic variants, Bioinformatics 31:2202. Unlike there no
base is kept before an indel.
"""

from typing import NamedTuple

import numpy as np

from gulmfit.seq.alphabet import AMBIGUOUS, Codes, encode, reverse_complement


class HaplotypePair(NamedTuple):
    """The two haplotypes around one variant."""

    reference: Codes
    alternative: Codes
    allele_bp: int
    """Length of the longer allele in its shortest form; where it is not below `window_bp`, the windows are void."""
    centred: bool
    """Whether neither window had to move inwards."""


def windows(codes: Codes, start: int, ref: str, alt: str, window_bp: int, *, reverse: bool = False) -> HaplotypePair:
    """Cut the windows of both haplotypes.

    Args:
        codes: Base codes of the contig, in memory or memory-mapped.
        start: Position of the first base of `ref`, 0-based.
        ref: Reference allele, as on the contig; where that is ambiguous, it may say which base the haplotype has.
        alt: Alternative allele.
        window_bp: Bases of a window, more than those of the alleles in their shortest form.
        reverse: Cut exactly what the reverse complement of contig and alleles would give: it is read from the other
            strand, the odd base more lies at the other side, and indels in repeats at the other end.
    """
    alleles = encode(ref), encode(alt)
    if reverse:  # all but letters may be found on the contig read backwards, which costs no copy of it
        start = len(codes) - start - len(ref)
        codes, alleles = codes[::-1], (alleles[0][::-1], alleles[1][::-1])
    start, before, after = _shortest(codes, start, *alleles)
    reference, centred = _window(codes, start, len(before), before, window_bp)
    alternative, also = _window(codes, start, len(before), after, window_bp)
    if reverse:
        reference, alternative = reverse_complement(reference[::-1]), reverse_complement(alternative[::-1])
    return HaplotypePair(reference, alternative, max(len(before), len(after)), centred and also)


def _shortest(codes: Codes, start: int, ref: Codes, alt: Codes) -> tuple[int, Codes, Codes]:
    """Take off what both alleles end with, then what they begin with, and move an indel to the left."""
    shared = _shared(ref[::-1], alt[::-1])
    ref, alt = ref[: len(ref) - shared], alt[: len(alt) - shared]
    shared = _shared(ref, alt)
    start, ref, alt = start + shared, ref[shared:], alt[shared:]
    if (len(ref) == 0) != (len(alt) == 0):
        moved, allele = 0, alt if len(alt) else ref
        while moved < start:
            # The allele's last base becomes its first one where it is the base before the allele.
            last = allele[-1 - moved % len(allele)]
            if last == AMBIGUOUS or last != codes[start - moved - 1]:
                break
            moved += 1
        start, ref, alt = start - moved, np.roll(ref, moved), np.roll(alt, moved)
    return start, ref, alt


def _shared(one: Codes, other: Codes) -> int:
    """Count the codes at the start that are the same."""
    length = min(len(one), len(other))
    differing = np.flatnonzero(one[:length] != other[:length])
    return int(differing[0]) if len(differing) else length


def _window(codes: Codes, start: int, replaced: int, allele: Codes, window_bp: int) -> tuple[Codes, bool]:
    """Cut a window of the haplotype that has `allele` where the contig has `replaced` bases from `start` on.

    Returns:
        The window, and whether the allele is in its middle.
    """
    length = len(codes) - replaced + len(allele)
    size = min(window_bp, length)
    middle = start - (size - len(allele)) // 2
    first = max(0, min(middle, length - size))
    left = codes[first:start]
    end = start + replaced + size - len(left) - len(allele)
    return np.concatenate([left, allele, codes[start + replaced : end]]), first == middle
