"""Windows of two haplotypes: by hand, against brute force over strings, and the same on both strands."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gulmfit.seq.alphabet import decode, encode, reverse_complement, reverse_complement_text
from gulmfit.seq.genome.haplotypes import windows

CONTIG = "TTGACAGCATGCCTAGGATCCA"
#         0123456789012345678901


@pytest.mark.parametrize(
    ("start", "ref", "alt", "window_bp", "reference", "alternative"),
    [
        (9, "T", "G", 5, "CATGC", "CAGGC"),  # the odd length has its middle base
        (9, "T", "G", 6, "CATGCC", "CAGGCC"),  # the even one a base more to the right
        (8, "ATG", "AGG", 5, "CATGC", "CAGGC"),  # bases that both alleles have count as flank
        (9, "TG", "GT", 6, "CATGCC", "CAGTCC"),
        (9, "T", "TAA", 6, "CATGCC", "ATAAGC"),  # two bases inserted push one out at either side
        (9, "TGC", "T", 6, "ATGCCT", "CATCTA"),  # two bases deleted take one in from either side
        (0, "T", "C", 5, "TTGAC", "CTGAC"),  # at the start the window moves to the right
        (21, "A", "C", 5, "ATCCA", "ATCCC"),  # at the end to the left
        (20, "CA", "C", 6, "GATCCA", "GGATCC"),
        (0, "TT", "T", 6, "TTGACA", "TGACAG"),
        (9, "T", "G", 99, CONTIG, "TTGACAGCAGGCCTAGGATCCA"),  # no contig is longer than itself
    ],
)
def test_by_hand(start: int, ref: str, alt: str, window_bp: int, reference: str, alternative: str) -> None:
    found = windows(encode(CONTIG), start, ref, alt, window_bp)
    assert (decode(found.reference), decode(found.alternative)) == (reference, alternative)


def test_what_is_moved_inwards_is_said() -> None:
    codes = encode(CONTIG)
    centred = [windows(codes, start, CONTIG[start], "N", 5).centred for start in range(len(CONTIG))]
    assert centred == [False] * 2 + [True] * 18 + [False] * 2


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, int, str, str]:
    """A short contig of few letters, so that repeats are many, and a change of it."""
    contig = draw(st.text("AC", min_size=1, max_size=14))
    start = draw(st.integers(0, len(contig) - 1))
    end = draw(st.integers(start + 1, min(len(contig), start + 4)))
    return contig, start, contig[start:end], draw(st.text("AC", min_size=1, max_size=4))


def brute_force(contig: str, start: int, ref: str, alt: str, window_bp: int) -> tuple[str, str]:
    """Take the shortest of all ways to write the change, of those the first, and cut around it."""
    haplotype = contig[:start] + alt + contig[start + len(ref) :]
    growth = len(haplotype) - len(contig)
    ways = [
        (before, first)
        for first in range(len(contig) + 1)
        for before in range(len(contig) - first + 1)
        if before + growth >= 0
        and contig[:first] == haplotype[:first]
        and contig[first + before :] == haplotype[first + before + growth :]
    ]
    before, first = min(ways)
    cuts = []
    for text, allele in ((contig, before), (haplotype, before + growth)):
        starts = range(max(1, len(text) - window_bp + 1))
        left = (min(window_bp, len(text)) - allele) // 2
        begin = min(starts, key=lambda begin: abs(begin - (first - left)))  # as near to the middle as there is room
        cuts.append(text[begin : begin + window_bp])
    return cuts[0], cuts[1]


@given(changes(), st.integers(5, 12))
def test_windows_are_those_of_brute_force(change: tuple[str, int, str, str], window_bp: int) -> None:
    contig, start, ref, alt = change
    assume(ref != alt)
    found = windows(encode(contig), start, ref, alt, window_bp)
    assert (decode(found.reference), decode(found.alternative)) == brute_force(*change, window_bp)


@given(changes(), st.integers(5, 12))
def test_the_reverse_strand_is_the_forward_one_of_the_mirrored_contig(
    change: tuple[str, int, str, str], window_bp: int
) -> None:
    contig, start, ref, alt = change
    there = windows(encode(contig), start, ref, alt, window_bp, reverse=True)
    mirrored = (reverse_complement_text(text) for text in (ref, alt))
    here = windows(reverse_complement(encode(contig)), len(contig) - start - len(ref), *mirrored, window_bp)
    for one, other in zip(there, here, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_reverse_strand_of_a_substitution_is_the_same_window() -> None:
    forward, reverse = (windows(encode(CONTIG), 9, "T", "G", 7, reverse=reverse) for reverse in (False, True))
    for one, other in zip(forward[:2], reverse[:2], strict=True):
        np.testing.assert_array_equal(reverse_complement(one), other)


def test_an_unchanged_allele_gives_one_window_twice() -> None:
    for ref in ("T", "TG"):
        found = windows(encode(CONTIG), 9, ref, ref, 7)
        np.testing.assert_array_equal(found.reference, found.alternative)


def test_indels_do_not_wander_through_ambiguous_bases() -> None:
    found = windows(encode("ACGNNNNTCA"), 5, "NN", "N", 5)
    assert (decode(found.reference), decode(found.alternative)) == ("NNNNT", "NNNTC")
