"""Simulate a small bacterial genome: SYNTHETIC data, no real organism.

What is planted is known, so a model can be held to it: genes with biased codons, operons, ribosome binding
sites, sigma-70-like promoters and terminators, on both strands.

Positions are 0-based half-open on the forward strand; a feature on "-" is read from its end to its start. The
same seed gives the same letters on every platform. Shapes: L bases.

Source: consensus boxes and spacer of sigma-70 promoters, Harley & Reynolds (1987); codon usage of *E. coli*
K-12 MG1655 (RefSeq NC_000913.3); a native and an AT-rich acquired class of genes after Médigue et al. (1991).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import Codes, decode, encode, reverse_complement

MINUS_35, MINUS_10, SHINE_DALGARNO = "TTGACA", "TATAAT", "AGGAGG"
BOX_CONSERVATION = 0.88  # a box base is kept with this probability, else drawn uniformly
SPACERS, SPACER_SHARES = (15, 16, 17, 18, 19), (0.08, 0.2, 0.44, 0.2, 0.08)
EXTENDED_MINUS_10_SHARE = 0.2
INTERGENIC_GC = 0.42
START_CODONS, START_SHARES = ("ATG", "GTG", "TTG"), (0.85, 0.12, 0.03)
STOP_CODONS, STOP_SHARES = ("TAA", "TGA", "TAG"), (0.64, 0.29, 0.07)
MIN_GENE_BP, MAX_GENE_BP = 300, 2000
OPERON_SHARES = (0.62, 0.23, 0.1, 0.05)  # of 1, 2, 3, 4 genes
PROMOTER_SHARES = (0.4, 0.35, 0.25)  # of 1, 2, 3 promoters in a row before an operon
ACQUIRED_SHARE = 0.35  # of the operons

# Per thousand codons of the genes of MG1655, bases in the order TCAG, the third fastest.
_AMINO_ACIDS = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
_CODON_USAGE = (
    (22.4, 16.7, 13.9, 13.7, 8.5, 8.7, 7.1, 9.0, 16.1, 12.3, 0, 0, 5.2, 6.5, 0, 15.3),
    (11.1, 11.2, 3.9, 53.6, 7.0, 5.5, 8.5, 23.6, 12.9, 9.8, 15.5, 29.2, 21.3, 22.3, 3.5, 5.4),
    (30.7, 25.4, 4.2, 25.2, 8.9, 23.6, 6.9, 14.5, 17.5, 21.7, 33.9, 10.3, 8.7, 16.1, 2.0, 1.1),
    (18.4, 15.4, 11.0, 26.3, 15.3, 25.9, 20.3, 34.2, 32.2, 19.3, 40.0, 18.0, 24.9, 30.0, 7.8, 11.0),
)
_RESIDUE_GROUPS = ("AVLIMFWC", "STNQYGPH", "DEKR")  # hydrophobic, polar, charged
_RESIDUES = "".join(_RESIDUE_GROUPS)
_GROUP_STEPS = np.array([[1, 1, 4], [4, 1, 1], [1, 4, 1]])  # relative rate of the next residue's group


class Gene(NamedTuple):
    """A protein-coding gene, start codon to stop codon."""

    start: int
    end: int
    strand: str


class Promoter(NamedTuple):
    """A promoter: its transcription start site, and where its two boxes start on the forward strand."""

    tss: int
    strand: str
    minus35_start: int
    minus10_start: int


class Terminator(NamedTuple):
    """A rho-independent terminator: stem, loop, stem and T-tract."""

    start: int
    end: int
    strand: str


@dataclass(frozen=True)
class SyntheticGenome:
    """A simulated genome and all that was planted in it, in order of position."""

    sequence: str
    genes: list[Gene]
    promoters: list[Promoter]
    terminators: list[Terminator]


def simulate_genome(*, length_bp: int = 1_000_000, seed: int = 0) -> SyntheticGenome:
    """Simulate a bacterial genome, operon by operon on random strands.

    Args:
        length_bp: the genome ends with the first operon that reaches this length, up to 10 kb behind it.
        seed: seed of everything drawn.

    Raises:
        DataError: ``length_bp`` is not positive.
    """
    if length_bp < 1:
        raise DataError(f"length_bp={length_bp}: a synthetic genome needs a positive length")
    rng = np.random.default_rng([seed, 1])
    coding = (_coding_regions(rng, acquired=False), _coding_regions(rng, acquired=True))
    operons: list[_Operon] = []
    length = 0
    while length < length_bp:
        operon = _Operon(rng, coding[int(rng.random() < ACQUIRED_SHARE)], length)
        operons.append(operon)
        length += len(operon.codes)
    return SyntheticGenome(
        decode(np.concatenate([operon.codes for operon in operons])),
        sorted(gene for operon in operons for gene in operon.genes),
        sorted(promoter for operon in operons for promoter in operon.promoters),
        sorted(terminator for operon in operons for terminator in operon.terminators),
    )


class _Operon:
    """One operon on a random strand, from the bases before its promoters to those behind its terminator."""

    def __init__(self, rng: np.random.Generator, coding: Iterator[Codes], offset: int) -> None:
        self._rng = rng
        self._parts: list[Codes] = []
        self._length = 0
        promoters = []
        genes = []
        # These two keep shifted windows of different promoters apart, on one strand and back to back.
        self._filler(40, 60)
        for number in range(1 + _draw(rng, PROMOTER_SHARES)):
            if number > 0:
                self._filler(64, 84)
            promoters.append(self._promoter())
        self._filler(20, 80)
        for number in range(1 + _draw(rng, OPERON_SHARES)):
            if number > 0:
                self._filler(5, 45)
            self._add(self._mutated(SHINE_DALGARNO, BOX_CONSERVATION))
            self._filler(5, 9)
            genes.append(self._add(next(coding)))
        self._filler(8, 30)
        terminator = self._terminator()
        self._filler(40, 250)

        codes = np.concatenate(self._parts)
        strand = "+" if rng.random() < 0.5 else "-"
        self.codes: Codes = codes if strand == "+" else reverse_complement(codes)

        def place(span: tuple[int, int]) -> tuple[int, int]:
            start, end = span if strand == "+" else (len(codes) - span[1], len(codes) - span[0])
            return offset + start, offset + end

        self.genes = [Gene(*place(span), strand) for span in genes]
        self.terminators = [Terminator(*place(terminator), strand)]
        self.promoters = [
            Promoter(place(tss)[0], strand, place(box35)[0], place(box10)[0]) for tss, box35, box10 in promoters
        ]

    def _add(self, codes: Codes) -> tuple[int, int]:
        start = self._length
        self._parts.append(codes)
        self._length += len(codes)
        return start, self._length

    def _filler(self, low: int, high: int) -> None:
        self._add(_bases(self._rng, int(self._rng.integers(low, high + 1)), INTERGENIC_GC))

    def _mutated(self, consensus: str, conservation: float) -> Codes:
        mutated = self._rng.random(len(consensus)) >= conservation
        random = self._rng.integers(0, 4, len(consensus)).astype(np.uint8)
        return np.where(mutated, random, encode(consensus))

    def _promoter(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Add a promoter; return the spans of its TSS, -35 box and -10 box."""
        box35 = self._add(self._mutated(MINUS_35, BOX_CONSERVATION))
        spacer = _bases(self._rng, SPACERS[_draw(self._rng, SPACER_SHARES)], INTERGENIC_GC)
        if self._rng.random() < EXTENDED_MINUS_10_SHARE:
            spacer[-3:-1] = encode("TG")
        self._add(spacer)
        box10 = self._add(self._mutated(MINUS_10, BOX_CONSERVATION))
        self._filler(5, 7)
        return self._add(self._mutated("A", 0.6)), box35, box10

    def _terminator(self) -> tuple[int, int]:
        stem = _bases(self._rng, int(self._rng.integers(6, 10)), 0.8)
        loop = _bases(self._rng, 4, INTERGENIC_GC)
        tract = encode("T" * int(self._rng.integers(6, 9)))
        return self._add(np.concatenate([stem, loop, reverse_complement(stem), tract]))


def _draw(rng: np.random.Generator, shares: tuple[float, ...]) -> int:
    """Draw an index with the given probabilities."""
    return min(int(np.searchsorted(np.cumsum(shares), rng.random(), side="right")), len(shares) - 1)


def _bases(rng: np.random.Generator, length: int, gc: float) -> Codes:
    """Draw independent bases (L,) with a given share of G and C."""
    cumulative = np.array([(1 - gc) / 2, 0.5, (1 + gc) / 2])
    return np.searchsorted(cumulative, rng.random(length), side="right").astype(np.uint8)


def _coding_regions(rng: np.random.Generator, *, acquired: bool) -> Iterator[Codes]:
    """Yield genes without end: a start codon, a chain of residues with biased codons, a stop codon.

    The next residue depends on the group of the last one, so codon usage alone does not tell all. The codons
    of a batch of genes are drawn side by side, position after position.
    """
    batch = 256
    codons, cumulative, residue_of = _codon_chain(acquired)
    shortest, longest = MIN_GENE_BP // 3 - 2, MAX_GENE_BP // 3 - 2  # codons between start and stop
    while True:
        # The cube favours short genes: the mean is 0.7 kb.
        lengths = shortest + ((longest - shortest + 1) * rng.random(batch) ** 3).astype(np.int64)
        drawn = np.empty((int(lengths.max()), batch), dtype=np.int64)
        residues = np.full(batch, _RESIDUES.index("M"))
        for position in range(len(drawn)):
            drawn[position] = (rng.random((batch, 1)) >= cumulative[residues, :-1]).sum(axis=1)
            residues = residue_of[drawn[position]]
        for gene in range(batch):
            start = encode(START_CODONS[_draw(rng, START_SHARES)])
            stop = encode(STOP_CODONS[_draw(rng, STOP_SHARES)])
            yield np.concatenate([start, codons[drawn[: lengths[gene], gene]].ravel(), stop])


def _codon_chain(acquired: bool) -> tuple[Codes, npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the 61 sense codons (61, 3), the cumulative law of the next (20, 61), and each one's residue."""
    group_of = [number for number, group in enumerate(_RESIDUE_GROUPS) for _ in group]
    texts = [first + second + third for first in "TCAG" for second in "TCAG" for third in "TCAG"]
    sense = [i for i, residue in enumerate(_AMINO_ACIDS) if residue != "*"]
    codons = np.array([encode(texts[i]) for i in sense])
    residue_of = np.array([_RESIDUES.index(_AMINO_ACIDS[i]) for i in sense])
    usage = np.ravel(_CODON_USAGE)[sense]
    frequency = np.bincount(residue_of, weights=usage)
    # Sharper than the average gene of E. coli, towards its highly expressed ones.
    bias = (usage / frequency[residue_of]) ** 1.5
    if acquired:
        bias = bias * np.where(np.isin(codons[:, 2], encode("AT")), 4.0, 1.0)
    bias /= np.bincount(residue_of, weights=bias)[residue_of]
    step = frequency * _GROUP_STEPS[np.ix_(group_of, group_of)]
    step /= step.sum(axis=1, keepdims=True)
    return codons, (step[:, residue_of] * bias).cumsum(axis=1), residue_of
