"""Genes with introns from what a labeller says of each base, with what letters say of their signals.

Shapes: `L` bases; the first axis of length 2 is the strand, "+" and "-".
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.predict.genes.gene_paths import GeneGrammar
from gulmfit.predict.genes.start_choice import StartChoice
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
        noncoding: How much of the probability that a base is untranslated or intergenic counts as that of an intron:
            0 where the labeller knows introns, up to 1 where it has seen too few.
        intron_bp: Mean length of an intron: it is as likely to end at one base as at another, so what it costs grows by
            1 / intron_bp with every base. 0 for no such cost.
        untranslated_bonus: Added to the log-probability of an untranslated base.
        starting: Chooses the start of each gene that was found among the start codons of its first coding exon; None
            leaves it as the path has it.
        code, starts, introns, min_intron_bp, max_intron_bp, min_exon_bp, gene_constant, intron_constant, early_bp,
            early_bonus, late_bonus, splicing, splice_weight: As of `GeneGrammar`.

    Raises:
        ConfigError: The genetic code does not exist, a length is too small, or an intron is no pair of dinucleotides.
    """

    min_cds_bp: int = 60
    temperature: float = 1.0
    phase_weight: float = 1.0
    noncoding: float = 0.0
    intron_bp: float = 0.0
    untranslated_bonus: float = 0.0
    starting: StartChoice | None = None

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
            classes: Log-probabilities in the strand's reading direction (4, L); anything that gives `[:, start:end]`
                and `[2, start:end]`.
            phases: Likewise.
            contig: Name of the contig.
        """
        found: list[GeneModel] = []
        length = len(codes)
        read = strand_codes(codes, strand)
        before = 0  # where the coding part of the gene before ends
        for exons, cds in self.path(read, classes, phases):
            if self.starting:
                exons, cds = self._started(self.starting, read, classes, phases, exons, cds, before)
            before = cds[-1][1]
            if sum(end - start for start, end in cds) < self.min_cds_bp:
                continue
            score = float(np.mean([np.exp(classes[2, start:end]).mean() for start, end in cds]))
            if strand == "-":
                exons, cds = ([(length - end, length - start) for start, end in part] for part in (exons, cds))
            found.append(GeneModel(contig, strand, tuple(cds), tuple(exons), score=score))
        return found

    def path(self, codes: Codes, classes: Floats, phases: Floats) -> list[tuple[list[Span], list[Span]]]:
        """Return exons and coding parts of each gene of one strand, in its own coordinates and reading direction."""

        def rates(first: int, last: int) -> Floats:
            """Return what bases add to no gene, UTR, introns of CDS, introns of UTR, CDS in each frame (7, size)."""
            own, place = classes[:, first:last], phases[:, first:last]
            coding = [own[2] + self.phase_weight * place[index] for index in CODON_PLACES]
            frames = [np.choose((np.arange(first, last) - frame) % 3, coding) for frame in range(3)]
            intron = np.log(np.exp(own[3]) + self.noncoding * np.exp(own[:2]).sum(axis=0)) if self.noncoding else own[3]
            outside = [own[0], own[1] + self.untranslated_bonus, intron, own[3]]
            added = self.temperature * np.array([*outside, *frames], dtype=np.float64)
            added[2:4] -= 1 / self.intron_bp if self.intron_bp else 0.0
            return added

        return self.best_path(codes, rates)

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
