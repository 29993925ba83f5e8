"""What a labeller's probabilities come to as genes, beside gene finders without a network.

Everything is learned on the training part, chosen on the validation part, and scored on the test part once.

Shapes: `N` windows, `L` bases, `C` classes of both tracks; an axis of 2 is the strand.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.evaluate.gene_lengths import length_distributions
from gulmfit.evaluate.gene_scores import base_intervals, base_scores, counted_genes, gene_scores
from gulmfit.predict.genes.decoding import Decoding
from gulmfit.predict.genes.intron_tuning import fit_gene_decoding
from gulmfit.predict.genes.markov_genes import MarkovGenes, common_starts
from gulmfit.predict.genes.weighing import weighed_decoding, weighed_markov
from gulmfit.seq.genome.genes import GeneModel
from gulmfit.seq.genome.genetic_code import genetic_code
from gulmfit.seq.genome.open_frames import longest_frames
from gulmfit.seq.labels.annotated import AnnotatedWindows
from gulmfit.seq.labels.gene_labels import CLASSES, GeneLabels, LabelledContig, labels_of
from gulmfit.seq.labels.labelled import LabelledSequences

logger = logging.getLogger(__name__)

Floats = npt.NDArray[Any]
Read = tuple[LabelledContig, Floats]
"""A stretch, and the probabilities of its bases (L, 2, C)."""


def judge_genes(
    parts: Mapping[str, LabelledSequences],
    valid_raw: Floats,
    test_raw: Floats,
    *,
    seed: int,
    before: tuple[Path | None, Floats] | None = None,
) -> dict[str, Any]:
    """Decode the probabilities of the test part, and score its genes.

    Args:
        parts: The windows of `train`, `valid` and `test`.
        valid_raw: Probabilities of the validation part, uncalibrated (N, 2, L, C).
        test_raw: Those of the test part.
        seed: Of the bootstrap.
        before: Of the labeller that was tuned, its folder and its probabilities of the test part.

    Returns:
        Nothing where the labels are not of genes; else `genes`, the scores by method with `ci95`, ready for JSON, and
        `decoding`, what the model folder keeps.
    """
    train, valid, test = (parts[name] for name in ("train", "valid", "test"))
    if not (isinstance(train, AnnotatedWindows) and isinstance(valid, AnnotatedWindows)):
        return {}
    if not isinstance(test, AnnotatedWindows) or not test.decode:
        return {}
    held_out, tested = joined(valid, valid_raw), joined(test, test_raw)
    learned, chosen, truth = train.labelled_parts(), [one for one, _ in held_out], [one for one, _ in tested]
    raw = _bases(truth, [raw_labels(own) for _, own in tested], seed)
    methods: dict[str, dict[str, Any]] = {"network, base by base": raw}
    spliced, code = test.decode == "genes", genetic_code(test.code)
    starts = common_starts(learned)
    finders: dict[str, Callable[[LabelledContig, Floats], list[GeneModel]]] = {
        "open reading frames of 300 bp or more": lambda one, _: longest_frames(one.codes, one.name, code, starts=starts)
    }
    decodings: dict[str, Decoding] = {}
    if spliced:
        decodings["network, decoded"] = fit_gene_decoding(learned, held_out, code=test.code)
    else:
        plain = MarkovGenes.fit(learned, chosen, code=test.code)
        finders["Markov model, decoded"] = lambda one, _: plain(one.codes, one.name)
        decoder, markov = weighed_markov(learned, chosen, code=test.code)
        finders["Markov model, decoded as the network is"] = lambda one, _: decoder(
            one.codes, markov(one.codes), one.name
        )
        for name, both in (("network, decoded", False), ("network and Markov model, decoded", True)):
            decodings[name] = weighed_decoding(learned, held_out, code=test.code, markov=both)
    for name, decoding in decodings.items():
        finders[name] = _finder(decoding)
    for name, find in finders.items():
        found = [find(one, own) for one, own in tested]  # the last ones are of the decoding that is kept
        methods[name] = judged_genes(truth, found, seed)
        logger.info("%s: %s", name, told_genes(methods[name]))
    if before is not None:
        own = joined(test, before[1])
        untuned = (before[0] and Decoding.load(before[0])) or Decoding.untuned(test.decode)
        methods["before tuning, base by base"] = _bases(truth, [raw_labels(values) for _, values in own], seed)
        methods["before tuning, decoded"] = judged_genes(truth, [_finder(untuned)(*one) for one in own], seed)
        logger.info("before tuning, decoded: %s", told_genes(methods["before tuning, decoded"]))
    kept, decoding = list(decodings.items())[-1]
    true = [gene for one in truth for gene in one.genes]
    counted = counted_genes(
        true, [gene for genes in found for gene in genes], {one.name: one.labels.masked for one in truth}
    )
    genes = {
        "true": len(true),
        "methods": methods,
        "kept": kept,
        "markov_weight": decoding.markov_weight,
        "lengths": length_distributions(true, counted),
    }
    return {"genes": genes, "decoding": decoding}


def joined(data: AnnotatedWindows, predicted: Floats) -> list[Read]:
    """Lay the probabilities of windows (N, 2, L, C) end to end, stretch by stretch."""
    found = []
    for stretch, whole in zip(data.stretches(), data.labelled_parts(), strict=True):
        sizes = [(data.loci or [])[index][2] - (data.loci or [])[index][1] for index in stretch.windows]
        rows = [predicted[index, :, :size] for index, size in zip(stretch.windows, sizes, strict=True)]
        found.append((whole, np.concatenate(rows, axis=1).swapaxes(0, 1)))
    return found


def raw_labels(predicted: Floats) -> GeneLabels:
    """Return the likeliest class and phase of each base from probabilities (L, 2, C)."""
    classes, phases = np.split(predicted.swapaxes(0, 1), [len(CLASSES)], axis=2)
    chosen = [own.argmax(axis=2).astype(np.uint8) for own in (classes, phases)]
    return GeneLabels(chosen[0], chosen[1], np.zeros_like(chosen[0]))


def _finder(decoding: Decoding) -> Callable[[LabelledContig, Floats], list[GeneModel]]:
    return lambda one, own: decoding(one.codes, lambda start, end: own[start:end], one.name)


def judged_genes(truth: Sequence[LabelledContig], found: Sequence[Sequence[GeneModel]], seed: int) -> dict[str, Any]:
    """Score predicted genes, and the bases that they say, against the truth of the same contigs; with `ci95`."""
    labels = [labels_of(genes, one.name, one.codes) for genes, one in zip(found, truth, strict=True)]
    scores = gene_scores(
        [gene for one in truth for gene in one.genes],
        [gene for genes in found for gene in genes],
        {one.name: one.labels.masked for one in truth},
    )
    bases = _bases(truth, labels, seed)
    return {**bases, **scores.scores(), "ci95": {**bases["ci95"], **scores.intervals(seed=seed)}}


def _bases(truth: Sequence[LabelledContig], predicted: Sequence[GeneLabels], seed: int) -> dict[str, Any]:
    true, guess = GeneLabels.joined([one.labels for one in truth]), GeneLabels.joined(predicted)
    return {**base_scores(true, guess), "ci95": base_intervals(true, guess, seed=seed)}


def told_genes(scores: Mapping[str, Any]) -> str:
    """Write the scores that matter most in a line."""
    shown = {"CDS/f1": "base F1", "three_prime": "3'", "exact": "exact"}
    pairs = [
        f"{text} {scores[name]:.4f}"
        if "/" in name
        else f"{text} {scores[f'{name}/sensitivity']:.3f} / {scores[f'{name}/precision']:.3f}"
        for name, text in shown.items()
    ]
    return ", ".join(pairs)
