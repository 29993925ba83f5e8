"""What tells the start of a gene from the other start codons of its reading frame, in bacteria.

Three pieces of evidence, each as log-odds of true starts against the others in the frames of the training genes: the
bases around it, the Shine-Dalgarno motif before it, and where it stands to the end of the gene before it on its strand.

Shapes: `L` bases, `N` candidates.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, hstack

from gulmfit.predict.genes.choice import conditional_logit
from gulmfit.seq.alphabet import AMBIGUOUS, Codes
from gulmfit.seq.genome.genes import GeneModel
from gulmfit.seq.genome.genetic_code import Bools, GeneticCode
from gulmfit.seq.genome.open_frames import OpenFrames, open_frames, strand_codes
from gulmfit.seq.labels.gene_labels import LabelledContig

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BEFORE, AFTER = 24, 9  # bases of the matrix
MOTIF = np.array([0, 2, 2, 0, 2, 2], np.uint8)  # AGGAGG
NEAREST, FARTHEST = 4, 14  # bases between the motif and the start codon
GAP_LEAST, GAP_MOST = -60, 60  # bases between a gene and the start of the next one that have a bin
_SINGLE = 12  # up to here each distance is a bin of its own; farther ones are joined by tens
WIDER = (40, 24)  # bases before and from the start codon on, where the matrix is learned
_PSEUDO = 1.0
_SUMS_SCALE = 0.05  # of the log-odds of a frame, so that the penalty bears on its weight as on the others
_PENALTY = 1e-3  # on squared weights, against the mean loss of a gene


@dataclass(frozen=True, eq=False)
class StartSites:
    """Log-odds of a true start.

    Attributes:
        matrix: Of each base at each place around the start codon; 0 for an ambiguous one (W, 5).
        motif: Of the longest run of AGGAGG that is found, 0 to 6 bases (7).
        gaps: Of each distance from GAP_LEAST to GAP_MOST between the gene before and the start (121); negative ones
            are overlaps.
        far: Of none of these distances.
        before: How many places of the matrix lie before the start codon.
    """

    matrix: Floats
    motif: Floats
    gaps: Floats
    far: float
    before: int = BEFORE

    @classmethod
    def fit(
        cls,
        contigs: Iterable[LabelledContig],
        code: GeneticCode,
        is_start: Bools,
        *,
        min_bp: int = 90,
    ) -> Self:
        """Fit to the genes of contigs; those of several exons are left out.

        The other starts of a gene are those codons of `is_start` in its frame that leave at least `min_bp`.
        """
        windows = np.full((2, BEFORE + AFTER, 5), _PSEUDO)
        runs = np.full((2, len(MOTIF) + 1), _PSEUDO)
        gaps = np.zeros((2, GAP_MOST - GAP_LEAST + 2))
        for _, codes, _, genes in contigs:
            for strand in "+-":
                own = [gene for gene in genes if gene.strand == strand]
                read = strand_codes(codes, strand)
                frames = open_frames(read, code, is_start, min_bp=min_bp)
                left, right = _spans(own, strand, len(codes))
                truth = {int(end): int(start) for start, end in zip(left, right, strict=True)}
                starts = np.array([truth.get(int(end), -1) for end in frames.ends], np.int64)
                known = starts >= 0
                is_true = (starts == frames.starts)[known].astype(np.int64)
                at = frames.starts[known]
                around = windows_around(read, at, BEFORE, AFTER)
                np.add.at(windows, (is_true[:, None], np.arange(around.shape[1])[None], around.astype(np.int64)), 1)
                np.add.at(runs, (is_true, _runs(read, at)), 1)
                # The gene before, on this strand: the last one that begins before this one does.
                order = np.argsort(left)
                first, last = left[order], right[order]
                before = np.searchsorted(first, starts[known]) - 1
                distance = np.where(before >= 0, at - last[before], GAP_MOST + 1)
                np.add.at(gaps, (is_true, _bins(distance)), 1)
        matrix = log_odds_of(windows[:, :, :AMBIGUOUS])
        joined = _joined(gaps)
        return cls(np.pad(matrix, ((0, 0), (0, 1))), log_odds_of(runs), joined[:-1], float(joined[-1]))

    def sharpened(
        self,
        contigs: Iterable[LabelledContig],
        code: GeneticCode,
        is_start: Bools,
        sums: Callable[[LabelledContig, str, OpenFrames], Floats],
        *,
        min_bp: int = 90,
    ) -> Self:
        """Learn matrix and motif again so that they tell the true start of a gene from its other ones.

        Counts take the places of a matrix for independent; here the true starts are made likely among all of their
        frames (conditional logistic regression). What else tells them, the distance to the gene before, the length and
        the bases of the frame, is taken into account and left out of the result. So a wider matrix can be learned.

        Args:
            contigs, code, is_start, min_bp: As of `fit`.
            sums: Gives the log-odds of the bases of the frames (N) of a contig and strand.
        """
        rows, groups, right, taken = list[Ints](), list[Ints](), list[Bools](), 0
        beside: list[Floats] = []
        for contig in contigs:
            _, codes, _, genes = contig
            for strand in "+-":
                read = strand_codes(codes, strand)
                frames = open_frames(read, code, is_start, min_bp=min_bp)
                left, ends = _spans([gene for gene in genes if gene.strand == strand], strand, len(codes))
                truth = {int(end): int(start) for start, end in zip(left, ends, strict=True)}
                starts = np.array([truth.get(int(end), -1) for end in frames.ends], np.int64)
                known = starts >= 0
                at, end = frames.starts[known], frames.ends[known]
                order = np.argsort(left)
                before = np.searchsorted(left[order], starts[known]) - 1
                distance = np.where(before >= 0, at - ends[order][before], GAP_MOST + 1)
                gap = np.append(self.gaps, self.far)[_bins(distance)]
                # The columns in which a start has a 1: a base at each place, and the longest run of the motif.
                around = windows_around(read, at, WIDER[0], WIDER[1]).astype(np.int64) + 5 * np.arange(sum(WIDER))
                rows.append(np.column_stack([around, 5 * sum(WIDER) + _runs(read, at)]))
                groups.append(end + taken)
                taken += len(codes) + 1
                right.append(starts[known] == at)
                bases = _SUMS_SCALE * sums(contig, strand, frames)[known]
                beside.append(np.column_stack([gap, np.log(end - at), bases]))
        columns = 5 * sum(WIDER) + len(MOTIF) + 1
        ones = np.concatenate(rows)
        table = csr_array(
            (np.ones(ones.size), ones.ravel(), np.arange(len(ones) + 1) * ones.shape[1]), shape=(len(ones), columns)
        )
        evidence = hstack([table, np.concatenate(beside)], format="csr")
        weights = conditional_logit(evidence, np.concatenate(groups), np.concatenate(right), _PENALTY)
        matrix = weights[: 5 * sum(WIDER)].reshape(-1, 5)
        matrix[:, AMBIGUOUS] = 0
        motif = weights[5 * sum(WIDER) : columns]
        return replace(self, matrix=matrix, motif=motif, before=WIDER[0])

    def __call__(self, codes: Codes, frames: OpenFrames) -> Floats:
        """Return the log-odds that frames (N) of a strand, read as `codes` (L,), begin where they do.

        That of the distance to the gene before is not in it. An edge of the contig has 0.
        """
        around = windows_around(codes, frames.starts, self.before, len(self.matrix) - self.before)
        scores = self.matrix[np.arange(around.shape[1]), around].sum(axis=1) + self.motif[_runs(codes, frames.starts)]
        return np.where(frames.open_start, 0.0, scores)

    def upstream(self, codes: Codes, places: Ints) -> Floats:
        """Return the log-odds of the letters before places (N,) alone, of which each may begin a start codon."""
        around = windows_around(codes, places, self.before, 0)
        return np.asarray(self.matrix[np.arange(self.before), around].sum(axis=1))


def _spans(genes: Sequence[GeneModel], strand: str, length: int) -> tuple[Ints, Ints]:
    """Return start and end of genes of one part, in the coordinates of their strand."""
    spans = np.array([gene.cds[0] for gene in genes if len(gene.cds) == 1], np.int64).reshape(-1, 2)
    return (spans[:, 0], spans[:, 1]) if strand == "+" else (length - spans[:, 1], length - spans[:, 0])


def windows_around(codes: Codes, places: Ints, before: int, after: int) -> Codes:
    """Return the bases from `before` ones before each place (N,) on, `after` of them from it, (N, before + after)."""
    padded = np.pad(codes, (before, after), constant_values=AMBIGUOUS)
    return np.asarray(padded[places[:, None] + np.arange(before + after)])


def _runs(codes: Codes, starts: Ints) -> Ints:
    """Return the longest run of matches to the motif, at any distance that is allowed (N)."""
    padded = np.pad(codes, (FARTHEST + len(MOTIF), 0), constant_values=AMBIGUOUS)
    best = np.zeros(len(starts), np.int64)
    for distance in range(NEAREST, FARTHEST + 1):
        first = starts + FARTHEST - distance  # of the motif, in `padded`
        run = np.zeros(len(starts), np.int64)
        for place, base in enumerate(MOTIF):
            run = np.where(padded[first + place] == base, run + 1, 0)
            np.maximum(best, run, out=best)
    return best


def _bins(distance: Ints) -> Ints:
    inside = (distance >= GAP_LEAST) & (distance <= GAP_MOST)
    return np.where(inside, distance - GAP_LEAST, GAP_MOST - GAP_LEAST + 1)


def _joined(counts: Floats) -> Floats:
    """Return the log-odds of distances from counts of them (2, D), those that are rare joined by tens."""
    distances = np.arange(GAP_LEAST, GAP_MOST + 1)
    groups = np.where(abs(distances) <= _SINGLE, distances, np.sign(distances) * (abs(distances) // 10 * 10 + 100))
    log_odds = np.empty(counts.shape[1])
    totals = counts.sum(axis=1)
    for group in [*np.unique(groups), None]:
        members = np.append(groups == group, False) if group is not None else np.arange(counts.shape[1]) == len(groups)
        # A single distance is shrunk towards even odds by as much as one observation of each kind weighs.
        other, true = (counts[:, members].sum(axis=1) + 2 * _PSEUDO) / (totals + 2 * _PSEUDO)
        log_odds[members] = np.log(true / other)
    return log_odds


def log_odds_of(counts: Floats) -> Floats:
    """Return ln p(true) - ln p(other) of counts whose first axis is other, true, and whose last sums to all."""
    shares = counts / counts.sum(axis=-1, keepdims=True)
    return np.asarray(np.log(shares[1] / shares[0]))
