"""Weigh a labeller, a Markov model, evidence of starts and lengths against each other, by maximum likelihood.

Each open reading frame has one start or is not a gene; the weights make the truth of the validation part likely. A
choice by how many genes come out right, as `tuned` makes it, has few genes to go by and takes luck for weight. What
stays to be chosen so are two numbers that only the whole chain of genes shows.

Shapes: `L` bases, `N` candidates.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.evaluate.baselines.gene_markov import PeriodicMarkov
from gulmfit.evaluate.gene_scores import gene_scores
from gulmfit.predict.genes import exon_scores
from gulmfit.predict.genes.choice import conditional_logit
from gulmfit.predict.genes.decoding import Decoding, Probabilities
from gulmfit.predict.genes.markov_genes import common_starts
from gulmfit.predict.genes.orfs import Candidates, OrfDecoder, Singles, frame_sums
from gulmfit.predict.genes.start_sites import StartSites
from gulmfit.predict.genes.tuning import calibrated, ends_right, f1
from gulmfit.seq.genome.genetic_code import genetic_code
from gulmfit.seq.genome.open_frames import OpenFrames, start_codons
from gulmfit.seq.labels.gene_labels import Bools, LabelledContig

Floats = npt.NDArray[np.float64]
Evidence = Sequence[Sequence[Singles]]
"""Of each source its log-odds (2, 3, L), an array for each class of genes; several classes in one source at most."""

GAP_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHIFTS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)  # of the constant: overlaps take from a chain what a frame alone would have
_LEAST = 1e-4  # of the weight of a source
_PENALTY = 1e-5


def weighed(decoder: OrfDecoder, held_out: Sequence[tuple[LabelledContig, Evidence]]) -> tuple[OrfDecoder, Floats]:
    """Choose the weights of a decoder and of each source of log-odds.

    Args:
        decoder: With evidence of starts.
        held_out: Contigs of the validation part, each with its log-odds by source.

    Returns:
        The decoder, its temperature 1, and what the log-odds of each source are multiplied by.

    Raises:
        DataError: There is no gene to choose by.
    """
    if not any(contig.genes for contig, _ in held_out):
        raise DataError("no gene lies in the validation part, so a decoder cannot be chosen; give it a larger part")
    candidates = [[decoder.candidates(contig.codes, own) for own in sources] for contig, sources in held_out]
    groups, right, counted = told_apart(
        [(contig, sources[0]) for (contig, _), sources in zip(held_out, candidates, strict=True)]
    )
    evidence = np.concatenate(
        [
            np.column_stack([*(own.bases for own in sources), one.sites, one.lengths, np.ones(len(one.sites))])
            for sources in candidates
            for one in sources[:1]
        ]
    )[counted]
    scale = np.abs(evidence).mean(axis=0) + 1e-12
    count = len(held_out[0][1])
    found = conditional_logit(
        evidence / scale, groups[counted], right[counted], _PENALTY, or_none=True, positive=count + 1
    )
    *sources, start, length, constant = (found / scale).tolist()
    weights = np.maximum(sources, _LEAST)
    masked: dict[str, Bools] = {contig.name: contig.labels.masked for contig, _ in held_out}
    true = [gene for contig, _ in held_out for gene in contig.genes]
    joined = [
        replace(own[0], bases=np.sum([weight * one.bases for weight, one in zip(weights, own, strict=True)], axis=0))
        for own in candidates
    ]
    plain = replace(
        decoder, temperature=1.0, constant=constant, start_weight=start, length_weight=length, gap_weight=0.0
    )
    best, chosen = -1.0, plain
    for gap, shift in product(GAP_WEIGHTS, SHIFTS):
        other = replace(plain, gap_weight=gap, constant=constant + shift)
        pairs = zip(joined, held_out, strict=True)
        genes = [gene for own, (contig, _) in pairs for gene in other.decode(own, contig.name)]
        scores = gene_scores(true, genes, masked)
        if (now := f1(scores, "exact") + f1(scores, "three_prime")) > best:
            best, chosen = now, other
    return chosen, weights


def told_apart(
    candidates: Sequence[tuple[LabelledContig, Candidates]],
) -> tuple[npt.NDArray[np.int64], Bools, Bools]:
    """Return of the candidates of contigs (N,) the number of their frame, whether each is a gene, and whether that is
    known; numbers of contigs follow each other.
    """
    groups, right, counted, taken = list[npt.NDArray[np.int64]](), list[Bools](), list[Bools](), 0
    for contig, own in candidates:
        ends, known, clear = _truth(contig, own)
        groups.append(ends + taken)
        right.append(known)
        counted.append(clear)
        taken += 2 * len(contig.codes) + 2
    return np.concatenate(groups), np.concatenate(right), np.concatenate(counted)


def _truth(contig: LabelledContig, candidates: Candidates) -> tuple[npt.NDArray[np.int64], Bools, Bools]:
    """Return of each candidate (N,) the number of its frame's end, whether it is a gene, and whether that is known."""
    forward = candidates.strand == 0
    ends = np.where(forward, candidates.right, candidates.left) * 2 + candidates.strand
    starts = np.where(forward, candidates.left, candidates.right)
    true: dict[int, int] = {}
    for gene in contig.genes:
        if len(gene.cds) == 1:
            start, end = gene.cds[0] if gene.strand == "+" else gene.cds[0][::-1]
            true[2 * end + "+-".index(gene.strand)] = start
    start_of = np.array([true.get(end, -1) for end in ends.tolist()], np.int64)
    before: npt.NDArray[np.int64] = np.pad(np.cumsum(contig.labels.masked, axis=1), ((0, 0), (1, 0)))
    covered: npt.NDArray[np.int64] = (
        before[candidates.strand, candidates.right] - before[candidates.strand, candidates.left]
    )
    clear = covered < 0.5 * (candidates.right - candidates.left)
    return ends, start_of == starts, clear | (start_of >= 0)


def weighed_decoding(
    train: Sequence[LabelledContig],
    valid: Sequence[tuple[LabelledContig, Probabilities]],
    *,
    code: int = 11,
    markov: bool = True,
) -> Decoding:
    """Fit a decoder of open reading frames to a labeller.

    Evidence of starts, and the Markov model, are learned on the training part, weights on the validation part.

    Args:
        train: The training part.
        valid: Contigs of the validation part, each with the labeller's probabilities (L, 2, C).
        code: Number of the genetic code.
        markov: Whether a Markov model is weighed next to the network.

    Raises:
        ConfigError: There is no such genetic code.
        DataError: There are too few genes in a part.
    """
    model = PeriodicMarkov.fit(train)
    first = starting(train, code, model)
    alone = Decoding(decoder=first)
    held_out = [
        (contig, [alone.log_odds(contig.codes, known), *([model(contig.codes)] if markov else [])])
        for contig, known in valid
    ]
    decoder, weights = weighed(first, held_out)
    decoder = replace(decoder, temperature=float(weights[0]))
    own = Decoding(
        decoder=decoder,
        markov=model if markov else None,
        markov_weight=float(weights[1] / weights[0]) if markov else 0.0,
    )
    contigs = [contig for contig, _ in valid]
    odds = (own.log_odds(contig.codes, known) for contig, known in valid)
    found = [gene for one, odd in zip(contigs, odds, strict=True) for gene in decoder(one.codes, odd, one.name)]
    if not found:
        return own
    calibration = calibrated(found, ends_right(found, contigs))
    return replace(own, calibration=calibration, exons=exon_scores.fitted(calibration(found), valid))


def starting(train: Sequence[LabelledContig], code: int, model: PeriodicMarkov) -> OrfDecoder:
    """Return a decoder with evidence of starts that was learned on the training part, its weights not chosen yet.

    Args:
        train: The training part.
        code: Number of the genetic code.
        model: What the bases of a frame say, which the evidence of its start is not to say again.
    """
    starts, table = common_starts(train), genetic_code(code)
    is_start = start_codons(starts)

    def sums(contig: LabelledContig, strand: str, frames: OpenFrames) -> Floats:
        odds = [own["+-".index(strand)] for own in model(contig.codes)]
        found = [frame_sums(own if strand == "+" else own[:, ::-1], frames) for own in odds]
        return np.asarray(np.max(found, axis=0), np.float64)

    sites = StartSites.fit(train, table, is_start).sharpened(train, table, is_start, sums)
    return OrfDecoder(code=code, starts=starts, sites=sites)


def weighed_markov(
    train: Sequence[LabelledContig], valid: Sequence[LabelledContig], *, code: int = 11
) -> tuple[OrfDecoder, PeriodicMarkov]:
    """Return a Markov model and the decoder that was fitted to it as `weighed_decoding` fits one to a labeller."""
    model = PeriodicMarkov.fit(train)
    decoder, weights = weighed(starting(train, code, model), [(one, [model(one.codes)]) for one in valid])
    return replace(decoder, temperature=float(weights[0])), model
