"""Genes with introns from what a labeller says of each base, with what letters say of their signals.

Shapes: `L` bases; the first axis of length 2 is the strand, "+" and "-".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.evaluate.baselines.gene_markov import PeriodicMarkov
from gulmfit.predict.genes.gene_paths import GeneGrammar
from gulmfit.predict.genes.intron_choice import IntronChoice, open_frame
from gulmfit.predict.genes.start_choice import StartChoice
from gulmfit.predict.genes.untranslated import UntranslatedEnds, untranslated_odds
from gulmfit.seq.alphabet import Codes
from gulmfit.seq.genome.genes import GeneModel, Span
from gulmfit.seq.genome.open_frames import strand_codes
from gulmfit.seq.labels.gene_labels import CODON_PLACES

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class GeneDecoder(GeneGrammar):
    """Find genes with introns on both strands, each strand on its own.

    Args:
        min_cds_bp: Genes that code less are dropped from the path that is found.
        temperature: What the log-probabilities are multiplied by.
        phase_weight: What the log-probability of the place in a codon is multiplied by.
        markov: Log-odds of bases that code, of one class of genes, which are added to what the network says; None for
            the network alone.
        markov_weight: What they are multiplied by, whatever the temperature.
        noncoding: How much of the probability that a base is untranslated or intergenic counts as that of an intron:
            0 where the labeller knows introns, up to 1 where it has seen too few.
        intron_bp: Mean length of an intron: it is as likely to end at one base as at another, so what it costs grows by
            1 / intron_bp with every base. 0 for no such cost.
        splitting: Chooses the first intron of each gene that was found with one or none; None leaves it as the path has
            it.
        agreed_bonus: Added to what an intron is worth to `splitting` where the path has it, too.
        hidden_worth: By how much the intron of a gene that the path has missed must be above the threshold of
            `splitting`; below 0 no such gene is looked for.
        starting: Chooses the start of each gene that was found among the start codons of its first coding exon; None
            leaves it as the path has it.
        ending: Chooses how long the regions before and after the coding part are; None leaves them as the path has
            them.
        code, starts, introns, min_intron_bp, max_intron_bp, min_exon_bp, gene_constant, intron_constant, early_bp,
            early_bonus, late_bonus, splicing, splice_weight: As of `GeneGrammar`.

    Raises:
        ConfigError: The genetic code does not exist, a length is too small, or an intron is not two dinucleotides.
    """

    min_cds_bp: int = 60
    temperature: float = 1.0
    phase_weight: float = 1.0
    markov: PeriodicMarkov | None = None
    markov_weight: float = 0.0
    noncoding: float = 0.0
    intron_bp: float = 0.0
    splitting: IntronChoice | None = None
    agreed_bonus: float = 2.0
    hidden_worth: float = 2.0
    starting: StartChoice | None = None
    ending: UntranslatedEnds | None = None

    def __call__(self, codes: Codes, classes: npt.ArrayLike, phases: npt.ArrayLike, contig: str) -> list[GeneModel]:
        """Return the genes of a contig by position; the score of each is the mean probability of its coding bases.

        Args:
            codes: Bases of the forward strand (L,).
            classes: Log-probabilities of `gulmfit.seq.labels.gene_labels.CLASSES`, positions as in `codes` (2, 4, L);
                read block by block, so they may be mapped from a file.
            phases: Log-probabilities of `PHASES` there (2, 4, L).
            contig: Its name.
        """
        found: list[GeneModel] = []
        for row, strand in enumerate("+-"):
            step = 1 if strand == "+" else -1
            own, place = (np.asarray(one)[row][:, ::step] for one in (classes, phases))
            found += self.on_strand(codes, strand, own, place, contig)
        return sorted(found, key=lambda gene: (gene.span, gene.strand))

    def on_strand(self, codes: Codes, strand: str, classes: Any, phases: Any, contig: str) -> list[GeneModel]:
        """Return the genes of one strand in its reading direction; as when it is called, but of the strand alone.

        Args:
            codes: Bases of the forward strand (L,).
            strand: "+" or "-".
            classes: Log-probabilities in the strand's reading direction (4, L); anything that gives some of its rows,
                `[rows, start:end]`.
            phases: Likewise.
            contig: Name of the contig.
        """
        found: list[GeneModel] = []
        length = len(codes)
        for exons, cds in self._parts(strand_codes(codes, strand), classes, phases):
            score = float(np.mean([np.exp(classes[2, start:end]).mean() for start, end in cds]))
            if strand == "-":
                exons, cds = ([(length - end, length - start) for start, end in part] for part in (exons, cds))
            found.append(GeneModel(contig, strand, tuple(cds), tuple(exons), score=score))
        return self.ending(found, length, untranslated_odds(classes)) if self.ending else found

    def _parts(self, read: Codes, classes: Any, phases: Any) -> Iterator[tuple[list[Span], list[Span]]]:
        """Yield exons and coding parts of each gene of a strand, whatever chose them."""
        before = 0  # where the coding part of the gene before ends
        for exons, cds in self.path(read, classes, phases):
            chosen = False
            if self.splitting and len(cds) < 3 and cds[-1][1] - cds[-1][0] >= 3:  # no intron cuts the stop codon
                exons, cds, chosen = self._split(self.splitting, read, classes, exons, cds, before)
            if self.starting and not chosen:
                exons, cds = self._started(self.starting, read, classes, phases, exons, cds, before)
            if sum(end - start for start, end in cds) < self.min_cds_bp:
                continue
            yield from self._between(read, before, cds[0][0], classes)
            before = cds[-1][1]
            yield exons, cds
        yield from self._between(read, before, len(read), classes)

    def _between(self, codes: Codes, low: int, high: int, classes: Any) -> Iterator[tuple[list[Span], list[Span]]]:
        """Yield genes between two others that their intron tells."""
        if not self.splitting or self.hidden_worth < 0:
            return
        for cds in self.splitting.between(codes, low, high, classes, self.hidden_worth, self):
            if sum(end - start for start, end in cds) >= self.min_cds_bp:
                yield cds, cds

    def path(self, codes: Codes, classes: Floats, phases: Floats) -> list[tuple[list[Span], list[Span]]]:
        """Return exons and coding parts of each gene of one strand, in its own coordinates and reading direction."""

        def rates(first: int, last: int) -> Floats:
            """Return what bases add to no gene, UTR, introns of CDS, introns of UTR, CDS in each frame (7, size)."""
            own, place = classes[:, first:last], phases[:, first:last]
            coding = self.temperature * np.array([own[2] + self.phase_weight * place[index] for index in CODON_PLACES])
            if self.markov and self.markov_weight:
                coding = coding + self.markov_weight * self.markov.on_strand(codes, first, last)[0]
            frames = [np.choose((np.arange(first, last) - frame) % 3, coding) for frame in range(3)]
            intron = np.log(np.exp(own[3]) + self.noncoding * np.exp(own[:2]).sum(axis=0)) if self.noncoding else own[3]
            outside = self.temperature * np.array([own[0], own[1], intron, own[3]])
            added = np.concatenate([outside, frames]).astype(np.float64)
            added[2:4] -= 1 / self.intron_bp if self.intron_bp else 0.0
            return added

        return self.best_path(codes, rates)

    def _split(
        self, choose: IntronChoice, codes: Codes, classes: Any, exons: list[Span], cds: list[Span], before: int
    ) -> tuple[list[Span], list[Span], bool]:
        """Let a gene of a strand have the first intron that is chosen; tell whether it has one.

        Where its start moves, as many untranslated bases as were before it come along.
        """
        end, outer = cds[-1][1], exons[-1][1]
        untranslated = sum(min(stop, cds[0][0]) - start for start, stop in exons if start < cds[0][0])
        known = (cds[0][1], cds[1][0]) if len(cds) == 2 else (-1, -1)
        if found := choose(codes, end, before, self, classes, known, self.agreed_bonus):
            (start, donor), (acceptor, _) = found[0]
            if found[0] != cds:
                exons = [(max(before, start - untranslated), donor), (acceptor, outer)]
            return exons, found[0], True
        if len(cds) == 1:
            return exons, cds, False
        _, start = open_frame(codes, end, before, self)
        if start == end:  # there is no gene without the intron
            return exons, cds, True
        return [(max(before, start - untranslated), outer)], [(start, end)], False

    def _started(
        self,
        choose: StartChoice,
        codes: Codes,
        classes: Any,
        phases: Any,
        exons: list[Span],
        cds: list[Span],
        before: int,
    ) -> tuple[list[Span], list[Span]]:
        """Let a gene of a strand begin where it is chosen to; exons and coding parts are as of `path`."""
        begin, end = cds[0]
        inner = sum(stop - start for start, stop in cds[1:])
        start = choose(
            codes, (begin, end), inner, before, lambda low, high: (classes[:, low:high], phases[:, low:high]),
            code=self.code, starts=self.starts,
        )  # fmt: skip
        if start == begin:
            return exons, cds
        apart = [exon for exon in exons if exon[1] < min(begin, start)]
        joined = [exon for exon in exons if exon[1] >= min(begin, start) and exon[0] <= begin]
        whole = (min(start, joined[0][0]), joined[-1][1])
        return [*apart, whole, *(exon for exon in exons if exon[0] > begin)], [(start, end), *cds[1:]]
