"""What tells the ends of introns from other places that have their dinucleotides.

The bases around each end, and before the last one the branch point: all as log-odds of true ends against the other such
dinucleotides in the genes of the training part. Few genomes have introns enough for a network to learn them by; for
weight matrices some dozens do.

Shapes: `L` bases, `N` places, `W` bases of a matrix.

Sources: Shapiro and Senapathy (1987) for weight matrices of splice sites; Lim and Burge (2001) for what the introns of
yeast tell by their ends and branch points.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gulmfit.predict.genes.start_sites import log_odds_of, windows_around
from gulmfit.seq.alphabet import AMBIGUOUS, DNA, Codes
from gulmfit.seq.genome.open_frames import strand_codes
from gulmfit.seq.labels.gene_labels import LabelledContig

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DONOR = (3, 8)  # bases before the first base of an intron, and from it on
ACCEPTOR = (12, 3)  # bases before the first base after an intron, and from it on
BRANCH_BP = 7
NEAREST, FARTHEST = 4, 60  # bases between the branch point's motif and the end of the intron
LEAST = 20  # introns to learn from
EARLY_BP = 120  # coding bases from the start codon on: in yeast most introns begin within them
ANY = -1e9  # of log-odds: lower than any
_A, _G = (DNA.letters.index(letter) for letter in "AG")
_PSEUDO = 1.0
_ROUNDS = 10
_LEEWAY = 2.0  # by which an end may be worse than nearly all that were seen,
_WORST = 0.01  # but for this share: a single one as bad as any other place would let introns begin anywhere
_OTHERS = 2_000  # places of a contig that end no intron, about as many, which tell what is usual


@dataclass(frozen=True, eq=False)
class SpliceSites:
    """Log-odds of the ends of introns, as far as the letters around them tell.

    Attributes:
        donor: Of each base at each place around the first base of an intron; 0 for an ambiguous one (W, 5).
        acceptor: Of each base around the first base after it (W, 5).
        branch: Of each base of the branch point's motif (`BRANCH_BP`, 5).
        usual: The score of the best motif before a place that ends no intron, taken off from that before any place.
        least_donor: What a place must have to begin an intron: a little less than nearly all have that were seen.
        least_acceptor: Likewise, to end one.
    """

    donor: Floats
    acceptor: Floats
    branch: Floats
    usual: float
    least_donor: float = ANY
    least_acceptor: float = ANY

    @classmethod
    def fit(cls, contigs: Iterable[LabelledContig], pairs: Mapping[str, float]) -> "Splicing | None":
        """Fit to the introns of contigs.

        Args:
            contigs: With their genes.
            pairs: The ends that introns may have, as "GT-AG".

        Returns:
            None where there are fewer than `LEAST` introns.
        """
        donors, acceptors = _Places(DONOR), _Places(ACCEPTOR)
        seen: list[tuple[Codes, Ints, Ints]] = []  # strands, and where introns begin and have ended on them
        before: tuple[list[Codes], list[Codes]] = [], []
        passed, sizes = 0, list[int]()
        early, early_places = 0, 0
        for contig in contigs:
            for strand in "+-":
                read, length = strand_codes(contig.codes, strand), len(contig.codes)
                inside, first, last = np.zeros(length + 1, bool), set[int](), set[int]()
                for gene in contig.genes:
                    if gene.strand == strand:
                        start, end = on_own_strand(gene.span, strand, length)
                        inside[start:end] = True
                        own = [on_own_strand(span, strand, length) for span in gene.introns()]
                        first |= {begin for begin, _ in own}
                        last |= {stop for _, stop in own}
                        sizes += [stop - begin for begin, stop in own]
                        exon = on_own_strand(gene.cds[0], strand, length)
                        early += sum(exon[0] < begin <= min(exon[1], exon[0] + EARLY_BP) for begin, _ in own)
                        early_places += len(
                            dinucleotides_at(read[exon[0] + 1 : min(exon[1], exon[0] + EARLY_BP) + 2], pairs, 0)
                        )
                        passed += sum(len(dinucleotides_at(read[begin:stop], pairs, 1)) for begin, stop in own)
                at = dinucleotides_at(read, pairs, 0)
                begins = at[np.isin(at, list(first))]
                donors.add(read, at[inside[at]], first)
                at = dinucleotides_at(read, pairs, 1) + 2
                at = at[inside[at]]
                acceptors.add(read, at, last)
                true = np.isin(at, list(last))
                seen.append((read, begins, at[true]))
                for kind, those in zip(before, (at[~true][:: max(1, (~true).sum() // _OTHERS)], at[true]), strict=True):
                    kind.append(_before(read, those))
        count = donors.count
        if min(count, acceptors.count) < LEAST:
            return None
        other, true_ones = (np.concatenate(one) for one in before)
        branch = _motif(true_ones, _shares(other))
        usual = float(np.log(np.mean(np.exp(_best(branch, other)))))
        sites = cls(donors.log_odds(), acceptors.log_odds(), branch, usual)
        sites = replace(
            sites,
            least_donor=_least([sites.donors(read, begins) for read, begins, _ in seen]),
            least_acceptor=_least([sites.acceptors(read, ends) for read, _, ends in seen]),
        )
        prior = np.log(count / donors.places) + np.log(count / max(count, passed))
        late, late_places = count - early, donors.places - early_places
        bonus = [
            float(np.log((some + 1) / (places + donors.places / count)) - np.log(count / donors.places))
            for some, places in ((early, early_places), (late, late_places))
        ]
        return Splicing(sites, float(prior), float(np.mean(sizes)), max(sizes), bonus[0], bonus[1], len(sizes))

    def donors(self, codes: Codes, places: Ints) -> Floats:
        """Return the log-odds that introns begin at places (N,) of a strand, read as `codes` (L,)."""
        return _scores(self.donor, windows_around(codes, places, *DONOR))

    def acceptors(self, codes: Codes, places: Ints) -> Floats:
        """Return the log-odds that introns end before places (N,)."""
        around = _scores(self.acceptor, windows_around(codes, places, *ACCEPTOR))
        branch = _best(self.branch, _before(codes, places))
        return around + branch - self.usual

    def acceptors_between(self, codes: Codes, places: Ints) -> Ints:
        """Return how many AG end between the best branch point before each place (N,) and that place.

        Most introns end at the first one.
        """
        windows = windows_around(codes, places, FARTHEST + BRANCH_BP, 0)
        point = np.argmax(_motif_scores(self.branch, windows[:, :-NEAREST]), axis=1) if len(places) else places
        found = (windows[:, :-1] == _A) & (windows[:, 1:] == _G)
        ends = np.arange(1, windows.shape[1])  # of each pair
        between = (ends[None] > point[:, None] + BRANCH_BP) & (ends < windows.shape[1] - 1)
        return np.asarray((found & between).sum(axis=1))


@dataclass(frozen=True, eq=False)
class Splicing:
    """What introns tell of others.

    Attributes:
        sites: What the letters say.
        prior: The log-odds that an intron begins at a dinucleotide of its first bases and ends at one of its last:
            what each intron adds to a path.
        mean_bp: Mean length.
        longest_bp: Greatest length.
        early: Added to `prior` for an intron that begins within `EARLY_BP` coding bases of the start codon.
        late: Added for any other.
        count: Number of introns.
    """

    sites: SpliceSites
    prior: float
    mean_bp: float
    longest_bp: int
    early: float
    late: float
    count: int


class _Places:
    """Counts of the bases around places of one kind, true and others."""

    def __init__(self, around: tuple[int, int]) -> None:
        self.around, self.places, self.count = around, 0, 0
        self.counts = np.full((2, sum(around), 5), _PSEUDO)

    def add(self, codes: Codes, places: Ints, true: Iterable[int]) -> None:
        right = np.isin(places, list(true)).astype(np.int64)
        found = windows_around(codes, places, *self.around).astype(np.int64)
        np.add.at(self.counts, (right[:, None], np.arange(found.shape[1])[None], found), 1)
        self.places += len(places)
        self.count += int(right.sum())

    def log_odds(self) -> Floats:
        return np.pad(log_odds_of(self.counts[..., :AMBIGUOUS]), ((0, 0), (0, 1)))


def _motif(windows: Codes, background: Floats) -> Floats:
    """Find the motif that windows (N, W) share, one in each, by expectation maximisation.

    It begins at the word that most windows hold, and that chance explains least.
    """
    size = windows.shape[1] - BRANCH_BP + 1
    words = np.lib.stride_tricks.sliding_window_view(windows, BRANCH_BP, axis=1)  # (N, size, BRANCH_BP)
    powers = 4 ** np.arange(BRANCH_BP)[::-1]
    numbers = np.where((words < AMBIGUOUS).all(axis=2), words.astype(np.int64) @ powers, -1)
    held = np.bincount(np.concatenate([np.unique(row[row >= 0]) for row in numbers]), minlength=4**BRANCH_BP)
    letters = np.arange(4**BRANCH_BP)[:, None] // powers % 4
    chance = 1 - (1 - np.exp(np.log(background)[letters].sum(axis=1))) ** size
    expected = len(windows) * chance
    gain = np.where(held > expected, held * np.log(np.maximum(held, 1) / expected), 0.0)
    matrix = np.full((BRANCH_BP, 4), 0.1)
    matrix[np.arange(BRANCH_BP), letters[gain.argmax()]] = 0.7
    for _ in range(_ROUNDS):
        log_odds = np.pad(np.log(matrix / background), ((0, 0), (0, 1)))
        worth = log_odds[np.arange(BRANCH_BP), words].sum(axis=2)
        shares = np.exp(worth - worth.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        counts = np.stack([(shares[..., None] * (words == base)).sum(axis=(0, 1)) for base in range(4)], axis=1)
        matrix = (counts + _PSEUDO * background) / (counts.sum(axis=1, keepdims=True) + _PSEUDO)
    return np.pad(np.log(matrix / background), ((0, 0), (0, 1)))


def _best(branch: Floats, windows: Codes) -> Floats:
    """Return the best score of the motif in each window (N,)."""
    if not len(windows):
        return np.zeros(0)
    return np.asarray(_motif_scores(branch, windows).max(axis=1))


def _motif_scores(branch: Floats, windows: Codes) -> Floats:
    """Return the score of the motif at each place of windows (N, W)."""
    words = np.lib.stride_tricks.sliding_window_view(windows, len(branch), axis=1)
    return np.asarray(sum(branch[place][words[..., place]] for place in range(len(branch))))


def _before(codes: Codes, places: Ints) -> Codes:
    """Return the bases before each place (N,) in which a branch point may lie."""
    return windows_around(codes, places, FARTHEST + BRANCH_BP, 0)[:, :-NEAREST]


def _shares(windows: Codes) -> Floats:
    counts = np.bincount(windows.ravel(), minlength=5)[:AMBIGUOUS] + _PSEUDO
    return np.asarray(counts / counts.sum())


def _least(scores: Sequence[Floats]) -> float:
    """Return what an end must have, by the scores of those that were seen."""
    return float(np.quantile(np.concatenate(scores), _WORST)) - _LEEWAY


def _scores(matrix: Floats, windows: Codes) -> Floats:
    return np.asarray(matrix[np.arange(len(matrix)), windows].sum(axis=1))


def dinucleotides_at(codes: Codes, pairs: Iterable[str], end: int) -> Ints:
    """Return where the first (`end` 0) or last (1) dinucleotides of introns begin."""
    found = np.zeros(max(0, len(codes) - 1), bool)
    for ends in pairs:
        one, two = (DNA.letters.index(letter) for letter in ends.split("-")[end])
        found |= (codes[:-1] == one) & (codes[1:] == two)
    return np.flatnonzero(found)


def on_own_strand(span: Sequence[int], strand: str, length: int) -> tuple[int, int]:
    """Return a span of a contig of so many bases in the reading direction of a strand."""
    return (span[0], span[1]) if strand == "+" else (length - span[1], length - span[0])
