"""Fit a decoder of genes with introns to a labeller.

Shapes: `L` bases, `C` classes of both tracks; an axis of 2 is the strand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gulmfit.errors import DataError
from gulmfit.evaluate.gene_scores import GeneScores, gene_scores
from gulmfit.predict.genes.decoding import Decoding, Probabilities
from gulmfit.predict.genes.gene_hmm import GeneDecoder
from gulmfit.predict.genes.markov_genes import common_starts
from gulmfit.predict.genes.tuning import calibrated, climbed, ends_right, worth_of
from gulmfit.seq.genome.genes import GeneModel
from gulmfit.seq.labels.gene_labels import LabelledContig

GENE_GRID: Mapping[str, Sequence[float]] = {
    "temperature": (0.1, 0.2, 0.5, 1.0),
    "gene_constant": (-20.0, -10.0, -5.0, 0.0, 5.0),
    "intron_constant": (-10.0, -5.0, 0.0, 5.0),
}
TUNE_BP = 500_000
"""Bases of the validation part by which weights are chosen: to decode them takes 5 s, and every weight wants it."""


def fit_gene_decoding(
    train: Sequence[LabelledContig], valid: Sequence[tuple[LabelledContig, Probabilities]], *, code: int = 1
) -> Decoding:
    """Fit a decoder of genes with introns to a labeller.

    Start codons are those of the training part. Weights are chosen on the first `TUNE_BP` bases of the validation part,
    and scores are calibrated on all of it.

    Args:
        train: The training part.
        valid: Contigs of the validation part, each with the labeller's probabilities (L, 2, C).
        code: Number of the genetic code.

    Raises:
        ConfigError: There is no such genetic code.
        DataError: There is no gene to choose by.
    """
    left, chosen = TUNE_BP, list[tuple[LabelledContig, Probabilities]]()
    for contig, known in valid:
        size = min(left, len(contig.codes))
        left -= size
        if size:
            chosen.append((contig.part(0, size), known[:size]))
    true = [gene for contig, _ in chosen for gene in contig.genes]
    if not true:
        raise DataError("no gene lies in the validation part, so a decoder cannot be chosen; give it a larger part")
    masked = {contig.name: contig.labels.masked for contig, _ in chosen}

    def judged(decoder: GeneDecoder) -> tuple[float, GeneScores]:
        scores = gene_scores(true, _found(Decoding(decoder=decoder), chosen), masked)
        return worth_of(scores), scores

    decoder, _ = climbed(GeneDecoder(code=code, starts=common_starts(train)), GENE_GRID, judged)
    own = Decoding(decoder=decoder)
    found = _found(own, valid)
    right = ends_right(found, [contig for contig, _ in valid])
    return replace(own, calibration=calibrated(found, right) if found else None)


def _found(decoding: Decoding, contigs: Sequence[tuple[LabelledContig, Probabilities]]) -> list[GeneModel]:
    def genes(contig: LabelledContig, known: Probabilities) -> list[GeneModel]:
        return decoding(contig.codes, lambda start, end: known[start:end], contig.name)

    return [gene for contig, known in contigs for gene in genes(contig, known)]
