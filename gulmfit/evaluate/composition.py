"""How alike two sets of sequences are in their composition: k-mer spectra, GC, dinucleotides, repeats.

All but the repeats look at both strands: a word counts together with its reverse complement, since a language model
learns both strands and draws from both.

Shape letters: `L` bases.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gulmfit.seq.alphabet import AMBIGUOUS, Codes

Floats = npt.NDArray[np.float64]

LONGEST_WORD = 6


@dataclass(frozen=True)
class Spectrum:
    """The composition of a set of sequences.

    Attributes:
        frequencies: For k = 1 … 6 the shares of all k-mers in lexicographic order, both strands, `(4^k,)` each.
        bases: Unambiguous bases.
        gc_deviation: Standard deviation of GC between the sequences; nan where there is but one.
    """

    frequencies: tuple[Floats, ...]
    bases: int
    gc_deviation: float

    @property
    def gc(self) -> float:
        """The share of G and C."""
        return float(self.frequencies[0][1:3].sum())

    @property
    def dinucleotide_odds(self) -> Floats:
        """How often each dinucleotide occurs, over how often it would if neighbours were independent, `(4, 4)`."""
        singles = self.frequencies[0]
        odds: Floats = self.frequencies[1].reshape(4, 4) / np.maximum(np.outer(singles, singles), 1e-12)
        return odds


def spectrum(sequences: Iterable[Codes]) -> Spectrum:
    """Count the k-mers of sequences; none is counted across two of them or over an ambiguous base."""
    counts = [np.zeros(4**k, dtype=np.int64) for k in range(1, LONGEST_WORD + 1)]
    shares = []
    for codes in sequences:
        known = codes < AMBIGUOUS
        words, clear = np.zeros(len(codes), dtype=np.int64), np.ones(len(codes), dtype=bool)
        for k, table in enumerate(counts, start=1):
            starts = max(0, len(codes) - k + 1)
            words = words[:starts] * 4 + codes[k - 1 :]  # each one base longer than before
            clear = clear[:starts] & known[k - 1 :]
            table += np.bincount(words[clear], minlength=4**k)
        if known.any():
            shares.append(float(np.isin(codes[known], (1, 2)).mean()))
    bases = int(counts[0].sum())
    both = [table + _of_other_strand(table, k) for k, table in enumerate(counts, start=1)]
    frequencies = tuple(table / max(1, int(table.sum())) for table in both)
    return Spectrum(frequencies, bases, float(np.std(shares)) if len(shares) > 1 else float("nan"))


def jensen_shannon(one: Floats, other: Floats) -> float:
    """Return the Jensen-Shannon distance of two distributions: 0 if they are the same, 1 if they share nothing.

    Source: Endres & Schindelin 2003; the root of the divergence in bits.
    """
    middle = (one + other) / 2
    divergence = sum(
        float((part[part > 0] * np.log2(part[part > 0] / middle[part > 0])).sum()) / 2 for part in (one, other)
    )
    return float(np.sqrt(max(0.0, divergence)))


def odds_difference(one: Spectrum, other: Spectrum) -> float:
    """Return the mean absolute difference of the 16 dinucleotide odds, the delta* of Karlin & Burge 1995."""
    return float(np.abs(one.dinucleotide_odds - other.dinucleotide_odds).mean())


def longest_repeat(sequences: Sequence[Codes]) -> int:
    """Return the length of the longest stretch that occurs twice in a set, on the strands as they are given.

    Occurrences may overlap; none reaches across two sequences or over an ambiguous base.
    """
    separator = np.full(1, AMBIGUOUS, dtype=np.uint8)
    codes = np.concatenate([part for sequence in sequences for part in (sequence, separator)]).astype(np.int64)
    ambiguous = codes >= AMBIGUOUS
    # Every ambiguous position is a letter of its own, so that no stretch that holds one occurs twice.
    codes[ambiguous] = AMBIGUOUS + np.arange(ambiguous.sum())
    doubled = [codes]  # entry j names the stretches of 2^j bases that start at each position
    while len(doubled[-1]) > 2 ** (len(doubled) - 1) and _repeats(doubled[-1]):
        doubled.append(_pairs(doubled[-1], doubled[-1], 2 ** (len(doubled) - 1)))
    length, names = 0, np.zeros(len(codes), dtype=np.int64)
    for power in range(len(doubled) - 1, -1, -1):
        longer = _pairs(names, doubled[power], length)
        if _repeats(longer):
            length, names = length + 2**power, longer
    return length


def _pairs(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], distance: int) -> npt.NDArray[np.int64]:
    """Name the stretches that are put together from one in `left` and the one in `right` so many bases on."""
    count = max(0, min(len(left), len(right) - distance))
    if not count:
        return np.empty(0, dtype=np.int64)
    joined = left[:count] * (int(right.max()) + 1) + right[distance : distance + count]
    names: npt.NDArray[np.int64] = np.unique(joined, return_inverse=True)[1]
    return names


def _repeats(names: npt.NDArray[np.int64]) -> bool:
    return len(np.unique(names)) < len(names)


def _of_other_strand(table: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
    """Return the counts `(4^k,)` that the reverse complements of the counted words have."""
    other: npt.NDArray[np.int64] = table.reshape((4,) * k).transpose().reshape(-1)[::-1]
    return other
