"""Cut a promoter task from a simulated genome: SYNTHETIC data, no real organism.

The data that a checkout can train on with nothing downloaded. Scores on it say that the method works, and
nothing about biology. Positions are 0-based half-open on the forward strand.
"""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import Codes, decode, encode, reverse_complement
from gulmfit.seq.labels.labelled import LabelledSequences, Locus
from gulmfit.seq.simulate.synthetic import SyntheticGenome, simulate_genome

CONTIG = "synthetic_genome"
WINDOW_BEFORE_TSS, WINDOW_AFTER_TSS = 60, 21  # the window of 81 bases is -60 … +20 before it is shifted
WINDOW_BP = WINDOW_BEFORE_TSS + WINDOW_AFTER_TSS
JITTER_BP = 8
CLEAR_OF_TSS_BP = 70  # background stays this far from every TSS: farther than any promoter window reaches
CORPUS_FRACTION = 0.625
BACKGROUND_SHARES = {"intergenic": 0.4, "coding": 0.3, "gene_start": 0.15, "terminator": 0.15}
GC_BINS = 20  # background is matched to promoters in bins of 5 % GC

# Each trial of a learning curve or a search asks again, and so does the leak check for what a model has read.
_simulated = functools.lru_cache(maxsize=2)(simulate_genome)


@dataclass(frozen=True)
class SyntheticData:
    """A simulated corpus for a language model and labelled promoter windows.

    Attributes:
        corpus: (name, sequence); the front of the genome, so that positions in it are those of ``genome``.
            Windows of "train" come from it; windows of "valid" and "test" lie behind its end.
        labelled: promoter and background windows with their splits and loci.
        genome: the whole genome and its features.
    """

    corpus: list[tuple[str, str]]
    labelled: LabelledSequences
    genome: SyntheticGenome


def simulate(
    *,
    length_bp: int = 1_600_000,
    num_train: int = 300,
    num_valid: int = 100,
    num_test: int = 1000,
    seed: int = 0,
) -> SyntheticData:
    """Simulate a genome, keep its first five eighths as a corpus and cut a promoter task from it.

    Raises:
        DataError: a size is negative, or the genome is too small for the windows asked for.
    """
    genome = _simulated(length_bp=length_bp, seed=seed)
    corpus_end = int(CORPUS_FRACTION * len(genome.sequence))
    sizes = {"num_train": num_train, "num_valid": num_valid, "num_test": num_test}
    labelled = promoter_task(genome, corpus_end=corpus_end, seed=seed, **sizes)
    return SyntheticData([(CONTIG, genome.sequence[:corpus_end])], labelled, genome)


def promoter_task(
    genome: SyntheticGenome,
    *,
    corpus_end: int,
    num_train: int = 300,
    num_valid: int = 100,
    num_test: int = 1000,
    seed: int = 0,
) -> LabelledSequences:
    """Cut promoter windows and as many background windows of the same genome, GC content and strands.

    A promoter window is -60 … +20 about a TSS, shifted by up to 8 bases so that no column tells the class. A
    background window lies 70 bases or more from every TSS, in the shares of ``BACKGROUND_SHARES``, and has
    the GC content of one promoter window to within 5 % where the genome has such a place. No two windows
    overlap. The parts are stretches of the genome: train before ``corpus_end``, behind it valid, then test.

    Args:
        genome: a simulated genome.
        corpus_end: position where the part ends that a language model may see.
        num_train: windows to train on, half of them promoters; likewise ``num_valid`` and ``num_test``.
        num_valid: see ``num_train``.
        num_test: see ``num_train``.
        seed: seed of the choice of windows.

    Returns:
        Sequences of 81 bases in order of part and position, with ``splits`` and ``loci``.

    Raises:
        DataError: a size is negative, or a part of the genome holds too few promoters or background places.
    """
    if min(num_train, num_valid, num_test) < 0:
        raise DataError(f"{num_train=}, {num_valid=}, {num_test=}: a part cannot have fewer than 0 windows")
    rng = np.random.default_rng([seed, 2])
    length = len(genome.sequence)
    # The number of promoters in a stretch varies like its square root: a small part needs a larger margin.
    valid_room, test_room = (n + 6 * n**0.5 for n in (num_valid, num_test))
    valid_end = corpus_end + round((length - corpus_end) * valid_room / max(1.0, valid_room + test_room))
    places = _Background(genome, rng)
    loci: list[Locus] = []
    labels: list[int] = []
    splits: list[str] = []
    for part, wanted, start, end in (
        ("train", num_train, 0, corpus_end),
        ("valid", num_valid, corpus_end, valid_end),
        ("test", num_test, valid_end, length),
    ):
        promoters = _promoter_windows(genome, rng, start, end)
        if len(promoters) < wanted - wanted // 2:
            raise DataError(
                f"the {part} part of the synthetic genome (bases {start} to {end}) holds {len(promoters)} "
                f"promoters of the {wanted - wanted // 2} that num_{part}={wanted} needs: raise length_bp or "
                f"lower num_{part}"
            )
        promoters = promoters[: wanted - wanted // 2]
        background = places.like(promoters[: wanted // 2], part, start, end)
        windows = sorted([(*w, 1) for w in promoters] + [(*w, 0) for w in background])
        loci += [(CONTIG, first, first + WINDOW_BP, strand) for first, strand, _ in windows]
        labels += [label for _, _, label in windows]
        splits += [part] * len(windows)
    codes = encode(genome.sequence)
    return LabelledSequences(
        ids=[f"{contig}:{start}-{end}({strand})" for contig, start, end, strand in loci],
        sequences=[decode(_read(codes, start, strand)) for _, start, _, strand in loci],
        labels=np.array(labels, dtype=np.int64),
        classes=["background", "promoter"],
        splits=np.array(splits, dtype=np.str_),
        positive="promoter",
        loci=loci,
    )


def _read(codes: Codes, start: int, strand: str) -> Codes:
    window = codes[start : start + WINDOW_BP]
    return window if strand == "+" else reverse_complement(window)


def _promoter_windows(genome: SyntheticGenome, rng: np.random.Generator, start: int, end: int) -> list[tuple[int, str]]:
    """Return (start, strand) of one shifted window for each promoter inside [start, end), in random order."""
    windows = []
    for promoter, shift in zip(
        genome.promoters, rng.integers(-JITTER_BP, JITTER_BP + 1, len(genome.promoters)), strict=True
    ):
        before = WINDOW_BEFORE_TSS if promoter.strand == "+" else WINDOW_AFTER_TSS - 1
        first = promoter.tss - before
        if start <= first - JITTER_BP and first + WINDOW_BP + JITTER_BP <= end:
            windows.append((first + int(shift), promoter.strand))
    return [windows[i] for i in rng.permutation(len(windows))]


class _Background:
    """The places of a genome where a background window may lie, by kind and GC content."""

    def __init__(self, genome: SyntheticGenome, rng: np.random.Generator) -> None:
        length = len(genome.sequence)
        codes = encode(genome.sequence)
        self._rng = rng
        self._taken = np.zeros(length, dtype=bool)
        self._gc_bin = _window_sums((codes == 1) | (codes == 2)) * GC_BINS // WINDOW_BP
        genes, terminators, starts, centres, near_tss = (np.zeros(length, dtype=bool) for _ in range(5))
        for gene in genome.genes:
            genes[gene.start : gene.end] = True
            starts[gene.start if gene.strand == "+" else gene.end - 1] = True
        for terminator in genome.terminators:
            terminators[terminator.start : terminator.end] = True
            centres[(terminator.start + terminator.end) // 2] = True
        for promoter in genome.promoters:
            near_tss[max(0, promoter.tss - CLEAR_OF_TSS_BP) : promoter.tss + CLEAR_OF_TSS_BP + 1] = True
        margin = 20  # the start codon or the whole terminator stands inside the window
        clear = _window_sums(near_tss) == 0
        self._kinds = {
            "intergenic": clear & (_window_sums(genes | terminators) == 0),
            "coding": clear & (_window_sums(genes) == WINDOW_BP),
            "gene_start": clear & (_window_sums(starts, margin) > 0),
            "terminator": clear & (_window_sums(centres, margin) > 0),
        }

    def like(self, windows: list[tuple[int, str]], part: str, start: int, end: int) -> list[tuple[int, str]]:
        """Return a background window inside [start, end) for each promoter window, of like GC and strand."""
        kinds = list(BACKGROUND_SHARES)
        limits = np.cumsum(list(BACKGROUND_SHARES.values()))[:-1]
        pools: dict[tuple[str, int], list[int]] = {}
        chosen = []
        for number, (position, strand) in enumerate(windows):
            kind = kinds[int(np.searchsorted(limits, (number + 0.5) / len(windows)))]
            target = int(self._gc_bin[position])
            for gc_bin in sorted(range(GC_BINS + 1), key=lambda other: abs(other - target)):
                if (kind, gc_bin) not in pools:
                    stretch = slice(start, max(start, end - WINDOW_BP + 1))
                    fits = self._kinds[kind][stretch] & (self._gc_bin[stretch] == gc_bin)
                    pools[kind, gc_bin] = (start + self._rng.permutation(np.flatnonzero(fits))).tolist()
                place = self._take(pools[kind, gc_bin])
                if place is not None:
                    chosen.append((place, strand))
                    break
            else:
                raise DataError(
                    f"the {part} part of the synthetic genome (bases {start} to {end}) has room for {number} "
                    f"of the {len(windows)} background windows: raise length_bp or lower num_{part}"
                )
        return chosen

    def _take(self, pool: list[int]) -> int | None:
        while pool:
            place = pool.pop()
            if not self._taken[place : place + WINDOW_BP].any():
                self._taken[place : place + WINDOW_BP] = True
                return place
        return None


def _window_sums(mask: npt.NDArray[np.bool_], margin: int = 0) -> npt.NDArray[np.int64]:
    """Count the true positions in the window that starts at each position, less a margin on both sides."""
    total = np.concatenate([[0], np.cumsum(mask)])
    windows = max(0, len(mask) - WINDOW_BP + 1)
    before, after = (total[place : place + windows] for place in (margin, WINDOW_BP - margin))
    sums: npt.NDArray[np.int64] = after - before
    return sums
