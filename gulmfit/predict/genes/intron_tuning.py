"""Fit a decoder of genes with introns to a labeller.

Shapes: `L` bases, `C` classes of both tracks; an axis of 2 is the strand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gulmfit.errors import DataError
from gulmfit.evaluate.baselines.gene_markov import PeriodicMarkov
from gulmfit.evaluate.gene_scores import GeneScores, base_scores, gene_scores
from gulmfit.predict.genes import exon_scores
from gulmfit.predict.genes.choice import conditional_logit
from gulmfit.predict.genes.decoding import Decoding, Probabilities, Read, strand_logs
from gulmfit.predict.genes.gene_hmm import GeneDecoder
from gulmfit.predict.genes.gene_paths import INTRONS
from gulmfit.predict.genes.intron_choice import IntronChoice
from gulmfit.predict.genes.markov_genes import common_starts
from gulmfit.predict.genes.splice_sites import EARLY_BP, SpliceSites
from gulmfit.predict.genes.start_choice import StartChoice
from gulmfit.predict.genes.tuning import calibrated, climbed, ends_right, worth_of
from gulmfit.predict.genes.untranslated import UntranslatedEnds, untranslated_odds
from gulmfit.predict.genes.weighing import starting as frames_with_starts
from gulmfit.predict.genes.weighing import told_apart
from gulmfit.seq.genome.genes import GeneModel
from gulmfit.seq.labels.gene_labels import UTR, GeneLabels, LabelledContig, labels_of

GENE_GRID: Mapping[str, Sequence[float]] = {
    "temperature": (0.01, 0.02, 0.03, 0.05, 0.1, 0.3, 1.0),
    "markov_weight": (0.0, 0.3, 0.6, 1.0),
    "gene_constant": (-20.0, -10.0, -5.0, -2.0, 0.0, 5.0),
}
INTRON_SHIFTS = (-2.0, 0.0, 2.0)  # of what the training part says that an intron costs
INTRON_CONSTANTS = (-10.0, -5.0, 0.0, 5.0)  # where it says nothing
NONCODING = (0.0, 0.1, 1.0)
TUNE_BP = 1_000_000
"""Bases of the validation part by which weights are chosen: to decode them takes 7 s, and every weight wants it."""
_PENALTY = 1e-5


def fit_gene_decoding(
    train: Sequence[LabelledContig], valid: Sequence[tuple[LabelledContig, Probabilities]], *, code: int = 1
) -> Decoding:
    """Fit a decoder of genes with introns to a labeller.

    Start codons, what the letters say of coding bases, of starts and of the ends of introns, and how first introns are
    chosen, are those of the training part. Weights of the path are chosen on the first `TUNE_BP` bases of the
    validation part, and scores are calibrated on all of it.

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

    splicing = SpliceSites.fit(train, INTRONS)
    learned: dict[str, Any] = {}
    if splicing:
        learned = {
            "splicing": splicing.sites,
            "intron_constant": splicing.prior,
            "intron_bp": splicing.mean_bp,
            # Longer than any that was seen, as far as the number of those tells.
            "max_intron_bp": round(splicing.longest_bp * (1 + 5 / splicing.count)),
            "early_bp": EARLY_BP,
            "early_bonus": splicing.early,
            "late_bonus": splicing.late,
            "noncoding": 1.0,
        }
    starting = _start_choice(train, valid, code)
    markov = PeriodicMarkov.fit(train, classes=1)
    # With these first weights a labeller that knows little finds genes, too: the search has something to improve.
    first = GeneDecoder(
        code=code, starts=common_starts(train), starting=starting, markov=markov, temperature=0.03, markov_weight=0.3,
        **learned,
    )  # fmt: skip
    constants = [splicing.prior + shift for shift in INTRON_SHIFTS] if splicing else INTRON_CONSTANTS
    grid = {**GENE_GRID, "intron_constant": constants, "noncoding": NONCODING}
    decoder, _ = climbed(first, grid, judged)
    if not decoder.markov_weight:
        decoder = replace(decoder, markov=None)
    if splicing and starting:
        splitting = IntronChoice.fit(train, starting.sites, first.max_intron_bp, first)
        decoder = replace(decoder, splitting=splitting and splitting.weighed(_classes(valid), first))
    decoder = replace(decoder, ending=_ending(decoder, chosen))
    own = Decoding(decoder=decoder)
    found = _found(own, valid)
    if not found:
        return own
    calibration = calibrated(found, ends_right(found, [contig for contig, _ in valid]))
    return replace(own, calibration=calibration, exons=exon_scores.fitted(calibration(found), valid))


def _start_choice(
    train: Sequence[LabelledContig], valid: Sequence[tuple[LabelledContig, Probabilities]], code: int
) -> StartChoice | None:
    """Weigh what speaks for the start of a gene, on genes of a single exon."""
    frames = frames_with_starts(train, code, PeriodicMarkov.fit(train))
    alone = Decoding(decoder=frames)
    candidates = [
        (contig, frames.candidates(contig.codes, alone.log_odds(contig.codes, known))) for contig, known in valid
    ]
    groups, right, _ = told_apart(candidates)
    if not right.any() or frames.sites is None:
        return None
    evidence = np.concatenate([np.column_stack([one.bases, one.sites, one.lengths]) for _, one in candidates])
    scale = np.abs(evidence).mean(axis=0) + 1e-12
    weights = conditional_logit(evidence / scale, groups, right, _PENALTY, positive=3) / scale
    bases, sites, length = weights.tolist()
    return StartChoice(sites=frames.sites, bases_weight=bases, sites_weight=sites, length_weight=length)


def _ending(decoder: GeneDecoder, chosen: Sequence[tuple[LabelledContig, Probabilities]]) -> UntranslatedEnds | None:
    """Choose how long untranslated regions are, by the F1 of their bases; None where the annotation has none."""
    truth = GeneLabels.joined([contig.labels for contig, _ in chosen])
    if not (truth.classes == UTR).any():
        return None
    found = []
    for own, (contig, strands) in zip(chosen, _classes(chosen), strict=True):
        odds = {strand: untranslated_odds(classes) for strand, classes in strands.items()}
        found.append((contig, _found(Decoding(decoder=decoder), [own]), odds))

    def judged(ending: UntranslatedEnds) -> float:
        labels = []
        for contig, genes, odds in found:
            ended = [
                gene
                for strand, own in odds.items()
                for gene in ending([one for one in genes if one.strand == strand], len(contig.codes), own)
            ]
            labels.append(labels_of(ended, contig.name, contig.codes))
        return base_scores(truth, GeneLabels.joined(labels))["UTR/f1"]

    return UntranslatedEnds.fit(judged)


def _classes(
    contigs: Sequence[tuple[LabelledContig, Probabilities]],
) -> list[tuple[LabelledContig, dict[str, Any]]]:
    """Return contigs with the log-probabilities of their classes by strand."""
    return [
        (contig, {strand: classes for strand, (classes, _) in strand_logs(_reading(known), len(known)).items()})
        for contig, known in contigs
    ]


def _found(decoding: Decoding, contigs: Sequence[tuple[LabelledContig, Probabilities]]) -> list[GeneModel]:
    return [gene for contig, known in contigs for gene in decoding(contig.codes, _reading(known), contig.name)]


def _reading(known: Probabilities) -> Read:
    return lambda start, end: known[start:end]
