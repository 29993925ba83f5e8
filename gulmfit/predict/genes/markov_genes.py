"""A gene finder without a network, for genomes without introns: the baseline that a labeller has to beat."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from gulmfit.evaluate.baselines.gene_markov import PeriodicMarkov
from gulmfit.evaluate.gene_scores import GeneScores
from gulmfit.predict.genes.orfs import OrfDecoder
from gulmfit.predict.genes.start_sites import StartSites
from gulmfit.predict.genes.tuning import GeneCalibration, calibrated, ends_right, tuned
from gulmfit.seq.alphabet import Codes, decode
from gulmfit.seq.genome.genes import GeneModel, spliced
from gulmfit.seq.genome.genetic_code import genetic_code
from gulmfit.seq.genome.open_frames import start_codons
from gulmfit.seq.labels.gene_labels import LabelledContig

_RARE = 0.005  # of the genes: a start codon of fewer brings more false starts than true ones


@dataclass(frozen=True)
class MarkovGenes:
    """A Markov model of the places in a codon, evidence of starts, and the best chain of open reading frames.

    Attributes:
        markov: Log-odds of bases.
        decoder: With weights chosen on the validation part.
        calibration: Of the scores of genes.
        scores: On the validation part.
    """

    markov: PeriodicMarkov
    decoder: OrfDecoder
    calibration: GeneCalibration
    scores: GeneScores

    @classmethod
    def fit(
        cls,
        train: Sequence[LabelledContig],
        valid: Sequence[LabelledContig],
        *,
        code: int = 11,
        open_ends: bool = False,
    ) -> Self:
        """Count on the training part, and choose weights and calibration on the validation part.

        Raises:
            ConfigError: There is no such genetic code.
            DataError: There are too few genes in a part.
        """
        starts = common_starts(train)
        markov = PeriodicMarkov.fit(train)
        sites = StartSites.fit(train, genetic_code(code), start_codons(starts))
        first = OrfDecoder(code=code, starts=starts, sites=sites, open_ends=open_ends)
        held_out = [(contig, markov(contig.codes)) for contig in valid]
        decoder, scores = tuned(first, held_out)
        found = [gene for contig, log_odds in held_out for gene in decoder(contig.codes, log_odds, contig.name)]
        return cls(markov, decoder, calibrated(found, ends_right(found, valid)), scores)

    def __call__(self, codes: Codes, contig: str, *, circular: bool = False) -> list[GeneModel]:
        """Return the genes of a contig by position; the score of each is the probability that a gene ends there."""
        return self.calibration(self.decoder(codes, self.markov(codes), contig, circular=circular))


def common_starts(contigs: Iterable[LabelledContig]) -> tuple[str, ...]:
    """List the start codons of genes, but for rare ones, the commonest first."""
    counts = Counter(
        decode(spliced(contig.codes, gene.cds, gene.strand)[:3]) for contig in contigs for gene in contig.genes
    )
    return tuple(codon for codon, count in counts.most_common() if count >= _RARE * counts.total())
