"""Whether the first intron of a gene stands near its start: one pair of splice sites, or none.

A path through a hidden Markov model hardly sees a first exon of a few codons, so a start codon behind the intron wins.
Here all pairs of splice sites at the beginning of a gene's last open frame are weighed against each other, and against
no intron, by what is known of all of them together: letters, lengths, and what the frame would lose or gain. The
weights make the genes of the training part likely. What the labeller says of all bases counts, too, with a weight that
makes the genes of the validation part likely, since it has learned from those of the training part.

Shapes: `L` bases of a strand in its reading direction, `N` candidates, `F` pieces of evidence.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from gulmfit.predict.genes.choice import conditional_logit
from gulmfit.predict.genes.gene_paths import BLOCK_BP, GeneGrammar
from gulmfit.predict.genes.splice_sites import FARTHEST, LEAST, SpliceSites, dinucleotides_at, on_own_strand
from gulmfit.predict.genes.start_sites import StartSites
from gulmfit.seq.alphabet import Codes
from gulmfit.seq.genome.genes import Span
from gulmfit.seq.genome.genetic_code import Bools, codon_numbers, genetic_code
from gulmfit.seq.genome.open_frames import start_codons, strand_codes
from gulmfit.seq.labels.gene_labels import LabelledContig

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FRAME_BP = 15_000  # how far back an open frame is followed
FIRST_BP = 1500  # most coding bases before the intron
LOST_BP = 300  # most bases of the longest frame without an intron that it may take
LAST_BP = 30  # fewest coding bases after it
LEAST_LOG_ODDS = 2.5  # of the letters at both ends together
CODING = 0.1  # least mean probability that the bases of a gene code, where a path has found none
OPEN_BP, NEAR_BP = 60, 240  # least bases of its last frame, and most that are looked at
EVIDENCE = 12
BASES_WEIGHTS = (0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.006, 0.008, 0.012, 0.016)
NONCODING = 0.1  # how much of the probability of bases outside of genes is that of an intron, which labellers miss
_FOLDS = 4
_PENALTY = 1e-5


class IntronCandidates(NamedTuple):
    """First introns that a gene could have, each with a start before it.

    Attributes:
        places: Start of the gene, start of the intron, and its end (N, 3).
        evidence: What speaks for each (N, F).
        first: Where the gene starts without an intron; `end` for nowhere.
        end: Where its coding part ends.
    """

    places: Ints
    evidence: Floats
    first: int
    end: int

    def log_odds(self, classes: Any) -> Floats:
        """Return how much likelier a labeller holds its bases with each intron than without one (N).

        Args:
            classes: Log-probabilities (4, L) of `gulmfit.seq.labels.gene_labels.CLASSES`; anything that gives some of
                its rows, `[rows, start:end]`.
        """
        if not len(self.places):
            return np.zeros(0)
        low = min(int(self.places.min()), self.first)
        intergenic, untranslated, coding, intron = np.asarray(classes[:, low : self.end], np.float64)
        outside = np.logaddexp(intergenic, untranslated)
        rows = [outside, coding, np.logaddexp(intron, np.log(NONCODING) + outside)]
        outer, inner, cut = np.pad(np.cumsum(rows, axis=1), ((0, 0), (1, 0)))
        start, donor, acceptor = (self.places - low).T
        whole = max(outer[self.first - low] + inner[-1] - inner[self.first - low], outer[-1])  # or no gene at all
        spliced = outer[start] + inner[donor] - inner[start] + cut[acceptor] - cut[donor] + inner[-1] - inner[acceptor]
        return np.asarray(spliced - whole, np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class IntronChoice:
    """Choose the first intron of a gene, or none.

    Attributes:
        splicing: Evidence of the letters at the ends of introns.
        starting: Evidence of the letters around starts.
        weights: What each piece of evidence is multiplied by (F).
        threshold: What an intron must be worth.
        longest_bp: Bases of the longest one.
        bases_weight: What the labeller's log-odds of all bases are multiplied by.
    """

    splicing: SpliceSites
    starting: StartSites
    weights: Floats
    threshold: float
    longest_bp: int
    bases_weight: float = 0.0

    @classmethod
    def fit(
        cls, contigs: Sequence[LabelledContig], starting: StartSites, longest_bp: int, grammar: GeneGrammar
    ) -> Self | None:
        """Learn from genes that have one intron or none.

        A weight matrix is too sure of the introns that it was made of, so those of one quarter of the contigs are
        weighed by matrices of the other three. The threshold is that of the greatest F1 of introns, each quarter judged
        by weights of the others.

        Args:
            contigs: The training part.
            starting: Evidence of the letters around starts.
            longest_bp: Bases of the longest intron.
            grammar: What a gene may be.

        Returns:
            None where most genes with introns have several, or fewer than `LEAST` have one.
        """
        spliced = [len(gene.cds) for contig in contigs for gene in contig.genes if len(gene.cds) > 1]
        whole = SpliceSites.fit(contigs, grammar.introns)
        if whole is None or spliced.count(2) < max(LEAST, len(spliced) / 2):
            return None
        evidence, right, group, fold = list[Floats](), list[Bools](), list[int](), list[int]()
        for number in range(_FOLDS):
            others = [piece for other in range(_FOLDS) if other != number for piece in _pieces(contigs, other)]
            if not (learned := SpliceSites.fit(others, grammar.introns)):
                return None
            choice = cls(
                splicing=learned.sites,
                starting=starting,
                weights=np.zeros(EVIDENCE),
                threshold=0.0,
                longest_bp=longest_bp,
            )
            for _, found, true in _of_genes(_pieces(contigs, number), choice, grammar):
                evidence.append(found.evidence)
                right.append((found.places == true).all(axis=1))
                group += [group[-1] + 1 if group else 0] * len(found.places)
                fold += [number] * len(found.places)
        if sum(map(np.sum, right)) < LEAST:
            return None
        table, hit, groups, dealt = np.concatenate(evidence), np.concatenate(right), np.array(group), np.array(fold)
        worth = np.zeros(len(table))
        for number in range(_FOLDS):
            own = dealt == number
            worth[own] = table[own] @ _weights(table[~own], groups[~own], hit[~own])
        return cls(
            splicing=whole.sites,
            starting=starting,
            weights=_weights(table, groups, hit),
            threshold=_threshold(worth, groups, hit, len(spliced)),
            longest_bp=longest_bp,
        )

    def weighed(self, contigs: Sequence[tuple[LabelledContig, Mapping[str, Any]]], grammar: GeneGrammar) -> Self:
        """Choose `bases_weight` by the likelihood of genes that have one intron or none.

        The validation part may hold a dozen introns, so of the weights within one standard error of the likeliest, half
        a nat below, the greatest is taken; without introns there, none.

        Args:
            contigs: The validation part, each with the labeller's log-probabilities of classes by strand, as
                `IntronCandidates.log_odds` takes them.
            grammar: What a gene may be.
        """
        groups = list[tuple[Floats, Floats, Bools]]()  # of each gene: its introns and no intron, which is worth 0
        for contig, classes in contigs:
            for strand, found, true in _of_genes([contig], self, grammar):
                right = (found.places == true).all(axis=1)
                if right.any() or true[0] < 0:
                    letters = found.evidence @ self.weights - self.threshold
                    bases = found.log_odds(classes[strand])
                    groups.append((np.append(letters, 0), np.append(bases, 0), np.append(right, not right.any())))

        if all(right[-1] for *_, right in groups):
            return self

        def likelihood(weight: float) -> float:
            worths = [(letters + weight * bases, right) for letters, bases, right in groups]
            return float(sum(np.logaddexp.reduce(own[right]) - np.logaddexp.reduce(own) for own, right in worths))

        likelihoods = {weight: likelihood(weight) for weight in BASES_WEIGHTS}
        least = max(likelihoods.values()) - 0.5
        return replace(self, bases_weight=max(weight for weight, own in likelihoods.items() if own >= least))

    def __call__(
        self,
        codes: Codes,
        end: int,
        before: int,
        grammar: GeneGrammar,
        classes: Any,
        known: Span = (-1, -1),
        bonus: float = 0.0,
    ) -> tuple[list[Span], float] | None:
        """Return the two coding parts of a gene with its first intron, and by how much that is above the threshold;
        None for no intron.

        Args:
            codes: Bases of the strand (L,).
            end: Where the coding part of the gene ends.
            before: Where the gene before it ends, which it is not to reach.
            grammar: What a gene may be.
            classes: What the labeller says, as `IntronCandidates.log_odds` takes it.
            known: An intron that something else speaks for.
            bonus: What that adds to its worth.
        """
        found = self.candidates(codes, end, before, grammar)
        worth = found.evidence @ self.weights - self.threshold
        if self.bases_weight:
            worth += self.bases_weight * found.log_odds(classes)
        worth[(found.places[:, 1:] == known).all(axis=1)] += bonus
        if not len(worth) or worth.max() <= 0:
            return None
        start, donor, acceptor = found.places[worth.argmax()].tolist()
        return [(start, donor), (acceptor, end)], float(worth.max())

    def between(
        self,
        codes: Codes,
        low: int,
        high: int,
        classes: Any,
        least: float,
        grammar: GeneGrammar,
    ) -> list[list[Span]]:
        """Find genes of two exons between two others, where a path has found none.

        A last exon without a start codon, or a short one, is worth little to a path.

        Args:
            codes: Bases of the strand (L,).
            low, high: Where the gene before ends, and the one after begins.
            classes: What the labeller says, as `IntronCandidates.log_odds` takes it.
            least: By how much an intron must be above the threshold.
            grammar: What a gene may be.

        Returns:
            The coding parts of each gene, in order.
        """

        def coding(start: int, end: int) -> Floats:
            return np.asarray(np.exp(classes[2, start:end]), np.float64)

        likely: list[tuple[float, list[Span]]] = []
        for end in _coding_ends(codes, low, high, coding, grammar):
            found = self(codes, end, low, grammar, classes)
            if found and found[1] > least and _mean(coding, found[0]) >= CODING:
                likely.append((found[1], found[0]))
        chosen: list[list[Span]] = []
        for _, cds in sorted(likely, key=itemgetter(0), reverse=True):
            if all(cds[-1][1] <= other[0][0] or other[-1][1] <= cds[0][0] for other in chosen):
                chosen.append(cds)
        return sorted(chosen)

    def candidates(self, codes: Codes, end: int, before: int, grammar: GeneGrammar) -> IntronCandidates:
        """List the first introns that a gene could have; arguments as when it is called."""
        opens, first = open_frame(codes, end, before, grammar)
        low, last = max(before, opens - self.longest_bp - FIRST_BP, 0), min(end - LAST_BP, first + LOST_BP)
        margin = FARTHEST + len(self.starting.matrix)
        offset = max(0, low - margin)
        near = _Near(codes[offset : last + margin], (end - offset) % 3, grammar)
        rows: list[tuple[int, int, int, bool]] = []
        letters: list[Floats] = []
        for ends in grammar.introns:
            donors, acceptors = (dinucleotides_at(near.codes, (ends,), which) for which in (0, 1))
            acceptors = acceptors + 2
            donors = donors[(donors > low - offset) & (donors < last - offset)]
            acceptors = acceptors[(acceptors > max(opens - 3, low) - offset) & (acceptors <= last - offset)]
            if not len(donors) or not len(acceptors):
                continue
            left, right = self.splicing.donors(near.codes, donors), self.splicing.acceptors(near.codes, acceptors)
            size = acceptors[None] - donors[:, None]
            likely = left[:, None] + right[None] >= LEAST_LOG_ODDS
            for n, m in np.argwhere(likely & (size >= grammar.min_intron_bp) & (size <= self.longest_bp)).tolist():
                starts = near.starts(int(donors[n]), int(acceptors[m]), low - offset)
                rows += [(start, donors[n], acceptors[m], start == starts[-1]) for start in starts]
                letters += [np.array([left[n], right[m]])] * len(starts)
        table = np.array(rows, np.int64).reshape(-1, 4)
        start, donor, acceptor, farthest = table.T
        size, added = np.log(acceptor - donor), np.maximum(first - offset - acceptor, 0)
        evidence = [
            *np.reshape(letters, (-1, 2)).T,
            size,
            size**2,
            np.log(donor - start),
            np.log1p(np.maximum(acceptor - first + offset, 0)),  # what the longest frame without an intron loses,
            np.log1p(added),  # and what it gains
            added == 0,
            self.starting.upstream(near.codes, start),
            self.splicing.acceptors_between(near.codes, acceptor),
            farthest,
            np.ones(len(table)),
        ]
        return IntronCandidates(table[:, :3] + offset, np.column_stack(evidence).astype(np.float64), first, end)


def open_frame(codes: Codes, end: int, before: int, grammar: GeneGrammar) -> tuple[int, int]:
    """Return where the frame opens that ends at `end`, and its first start there, not in the gene before; `end` for
    none."""
    low = max(end - FRAME_BP, end % 3)
    numbers = codon_numbers(codes[low:end])[::3]
    closed = np.flatnonzero(genetic_code(grammar.code).is_stop[numbers[:-1]])
    opens = low + 3 * (int(closed[-1]) + 1) if len(closed) else low
    begins = low + 3 * np.flatnonzero(start_codons(grammar.starts)[numbers])
    begins = begins[begins >= max(opens, before)]
    return opens, int(begins[0]) if len(begins) else end


def _coding_ends(
    codes: Codes, low: int, high: int, coding: Callable[[int, int], Floats], grammar: GeneGrammar
) -> Iterator[int]:
    """Yield the ends of frames in [low, high) that are open for `OPEN_BP` and that the labeller holds for coding."""
    is_stop = genetic_code(grammar.code).is_stop
    for first in range(low, high - 2, BLOCK_BP):
        begin, end = max(low, first - NEAR_BP), min(high, first + BLOCK_BP + 2)
        sums = np.pad(np.cumsum(coding(begin, end), dtype=np.float64), (1, 0))
        stops = is_stop[codon_numbers(codes[begin:end])]
        for frame in range(3):
            ends = frame + 3 * np.flatnonzero(stops[frame::3]) + 3
            opens = np.maximum(np.append(frame, ends[:-1])[: len(ends)], ends - NEAR_BP)
            mean = (sums[ends] - sums[opens]) / (ends - opens)
            kept = (ends - opens >= OPEN_BP) & (mean >= CODING / 2) & (ends - 3 + begin >= first)
            yield from (ends[kept] + begin).tolist()


def _mean(coding: Callable[[int, int], Floats], spans: Sequence[Span]) -> float:
    return float(np.mean(np.concatenate([coding(start, end) for start, end in spans])))


class _Near:
    """Bases in which a gene may begin, and whose last frame ends at `end` modulo 3."""

    def __init__(self, codes: Codes, end: int, grammar: GeneGrammar) -> None:
        self.codes, self.end = codes, end
        self.is_stop = genetic_code(grammar.code).is_stop
        self.is_start = start_codons(grammar.starts) & ~self.is_stop
        numbers = codon_numbers(codes)
        self.stops, self.begins = self.is_stop[numbers], self.is_start[numbers]

    def starts(self, donor: int, acceptor: int, low: int) -> list[int]:
        """Return the starts, from `low` on, whose frame goes on behind an intron, the farthest last."""
        cut = (acceptor - self.end) % 3  # bases of a codon before the intron
        found: list[int] = []
        if donor - cut < low:
            return []
        if cut:
            joined = np.concatenate([self.codes[donor - cut : donor], self.codes[acceptor : acceptor + 3 - cut]])
            number = codon_numbers(joined)[0]
            if self.is_stop[number]:
                return []
            found += [donor - cut] * bool(self.is_start[number])
        places = np.arange(donor - cut - 3, max(low, donor - FIRST_BP) - 1, -3)
        closed = np.flatnonzero(self.stops[places])
        places = places[: closed[0]] if len(closed) else places
        return [*found, *(int(place) for place in places[self.begins[places]])]


def _pieces(contigs: Sequence[LabelledContig], number: int) -> list[LabelledContig]:
    """Return one of `_FOLDS` pieces of each contig."""
    edges = [[len(contig.codes) * edge // _FOLDS for edge in (number, number + 1)] for contig in contigs]
    return [contig.part(*edge) for contig, edge in zip(contigs, edges, strict=True)]


def _of_genes(
    contigs: Sequence[LabelledContig], choice: IntronChoice, grammar: GeneGrammar
) -> Iterator[tuple[str, IntronCandidates, Ints]]:
    """Yield the strand and candidates of each gene of one or two exons that has any, and the true one, -1 for none."""
    for contig in contigs:
        for strand in "+-":
            codes, before = strand_codes(contig.codes, strand), 0
            own = [gene.cds for gene in contig.genes if gene.strand == strand]
            for cds in sorted([on_own_strand(part, strand, len(codes)) for part in parts] for parts in own):
                true = np.array([cds[0][0], cds[0][1], cds[1][0]] if len(cds) == 2 else [-1, -1, -1])
                found = choice.candidates(codes, cds[-1][1], before, grammar)
                before = cds[-1][1]
                if len(cds) < 3 and len(found.places):
                    yield strand, found, true


def _weights(evidence: Floats, groups: Ints, right: Bools) -> Floats:
    scale = np.abs(evidence).mean(axis=0) + 1e-12
    return np.asarray(conditional_logit(evidence / scale, groups, right, _PENALTY, or_none=True) / scale)


def _threshold(worth: Floats, groups: Ints, right: Bools, true: int) -> float:
    """Return the threshold of the greatest F1 of the best candidate of each group, of so many true introns."""
    order = np.lexsort((-worth, groups))
    best = order[np.unique(groups[order], return_index=True)[1]]
    best = best[np.argsort(-worth[best], kind="stable")]
    f1 = 2 * np.cumsum(right[best]) / (np.arange(1, len(best) + 1) + true)
    at = int(f1.argmax())
    after = worth[best[at + 1]] if at + 1 < len(best) else worth[best[at]] - 2
    return float((worth[best[at]] + after) / 2)
