"""How well bases, exons and genes are found: precision, recall and F1 a base, and what is exact of each gene.

Whatever an annotation masks counts for nothing: no base of it is scored, and a predicted gene is ignored, neither right
nor wrong, if at least half of its coding bases are masked on its strand and no true gene ends where it does.

Shapes: `L` bases; the first axis of length 2 is the strand. `C` classes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gulmfit.seq.genome.genes import GeneModel, gaps, positions
from gulmfit.seq.labels.gene_labels import CDS as CODING
from gulmfit.seq.labels.gene_labels import CLASSES, INTRON, UTR, Bools, Bytes, GeneLabels
from gulmfit.seq.labels.gene_models import STRANDS

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

IGNORED_SHARE = 0.5  # of the coding bases of a predicted gene, masked
BLOCK_BP = 10_000  # that a bootstrap over bases draws as one, since neighbours depend on each other
GROUPS = {"genic": (UTR, CODING, INTRON), "sub_genic": (CODING, INTRON)}


def base_confusion(true: Bytes, predicted: Bytes, counted: Bools, classes: int) -> Counts:
    """Count the bases of every true class (rows) that got each predicted one (C, C)."""
    pairs = true[counted].astype(np.int64) * classes + predicted[counted]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def base_scores(labels: GeneLabels, predicted: GeneLabels) -> dict[str, float]:
    """Score every base of both strands that is not masked.

    Returns:
        `precision`, `recall` and `f1` of each class ("CDS/f1"); of `genic` (UTR, CDS and intron) and `sub_genic` (CDS
        and intron), with true and false positives summed over their classes, so that one taken for the other is
        wrong twice; of `phase`, summed over the three; `phase/accuracy`, where both truth and prediction have one; and
        `accuracy`. nan where there is nothing to score.

    Source: genic, sub-genic and phase scores are those of Helixer (Stiehler et al. 2020).
    """
    return _base_scores(
        base_confusion(labels.classes, predicted.classes, ~labels.masked, len(CLASSES)),
        base_confusion(labels.phases, predicted.phases, ~labels.phase_masked, 4),
    )


def _base_scores(table: Counts, phases: Counts) -> dict[str, float]:
    scores = {"accuracy": _share(float(np.trace(table)), float(table.sum()))}
    groups = {name: (number,) for number, name in enumerate(CLASSES)} | GROUPS
    for counts, named in ((table, groups), (phases, {"phase": (1, 2, 3)})):
        for name, members in named.items():
            chosen = list(members)
            right = float(counts[chosen, chosen].sum())
            claimed, there = float(counts[:, chosen].sum()), float(counts[chosen].sum())
            scores |= {
                f"{name}/precision": _share(right, claimed),
                f"{name}/recall": _share(right, there),
                f"{name}/f1": _share(2 * right, claimed + there),
            }
    both = phases[1:, 1:]
    scores["phase/accuracy"] = _share(float(np.trace(both)), float(both.sum()))
    return scores


def base_intervals(
    labels: GeneLabels, predicted: GeneLabels, *, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Bound each of `base_scores` by a bootstrap over blocks of `BLOCK_BP` bases, both strands together."""
    length = labels.classes.shape[1]
    blocks = [slice(start, start + BLOCK_BP) for start in range(0, length, BLOCK_BP)]
    tables, phases = (
        np.array([base_confusion(true[:, b], guess[:, b], counted[:, b], 4) for b in blocks]).reshape(len(blocks), -1)
        for true, guess, counted in (
            (labels.classes, predicted.classes, ~labels.masked),
            (labels.phases, predicted.phases, ~labels.phase_masked),
        )
    )
    weights = np.random.default_rng(seed).multinomial(len(blocks), np.full(len(blocks), 1 / len(blocks)), size=draws)
    drawn = [
        _base_scores(table.reshape(4, 4), phase.reshape(4, 4))
        for table, phase in zip(weights @ tables, weights @ phases, strict=True)
    ]
    tail = (1 - level) / 2
    bounds = {}
    for name in drawn[0]:
        low, high = (
            np.nanquantile([one[name] for one in drawn], (tail, 1 - tail)) if _known(drawn, name) else (np.nan,) * 2
        )
        bounds[name] = (float(low), float(high))
    return bounds


def _known(drawn: Sequence[Mapping[str, float]], name: str) -> bool:
    return not all(np.isnan(one[name]) for one in drawn)


@dataclass(frozen=True)
class GeneScores:
    """What was found of the genes of a set of contigs.

    Attributes:
        found: Of every true gene, exon and intron, whether a prediction agrees with it: of each kind (N,).
        right: Of every prediction that counts, whether it agrees with a true one: of each kind (M,).
        ignored: Predicted genes that lie on masked bases.
    """

    found: dict[str, Bools]
    right: dict[str, Bools]
    ignored: int

    def scores(self) -> dict[str, float]:
        """Return the `sensitivity` and `precision` of each kind, as "exact/sensitivity"; nan where there is none."""
        return {
            f"{kind}/{name}": _share(float(values[kind].sum()), float(values[kind].size))
            for kind in self.found
            for name, values in (("sensitivity", self.found), ("precision", self.right))
        }

    def intervals(self, *, draws: int = 1000, seed: int = 0, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Bound each score by a bootstrap over genes (exons, introns); (nan, nan) where there is none."""
        generator = np.random.default_rng(seed)
        tail = (1 - level) / 2
        bounds = {}
        for kind in self.found:
            for name, values in (("sensitivity", self.found[kind]), ("precision", self.right[kind])):
                # Drawing from yes and no with replacement is drawing from a binomial distribution.
                shares = (
                    generator.binomial(values.size, values.mean(), draws) / values.size if values.size else [np.nan]
                )
                low, high = np.quantile(shares, (tail, 1 - tail))
                bounds[f"{kind}/{name}"] = (float(low), float(high))
        return bounds


def gene_scores(
    true: Sequence[GeneModel],
    predicted: Sequence[GeneModel],
    masked: Mapping[str, Bools],
    *,
    lengths: Mapping[str, int] | None = None,
    also_true: Collection[GeneModel] = (),
) -> GeneScores:
    """Compare genes: `three_prime` with the same last coding base, `exact` with the same coding parts; each coding
    `exon` and each `exact_intron` between two; `multi_exon`, those of `exact` with introns.

    Args:
        true: Genes of the annotation that count.
        predicted: Predicted ones.
        masked: Masked bases of each contig (2, L).
        lengths: Bases of contigs that are circular.
        also_true: Genes that are not looked for, but no error either if predicted, such as other transcripts.
    """
    kept = counted_genes((*true, *also_true), predicted, masked)
    around = lengths or {}
    found: dict[str, Bools] = {}
    right: dict[str, Bools] = {}
    known = {kind: _things(kind, (*true, *also_true), around) for kind in _KINDS}
    for kind in _KINDS:
        looked_for, claimed = _things(kind, true, around), _things(kind, kept, around)
        claims, truths = set(claimed), set(known[kind])
        found[kind] = np.array([one in claims for one in looked_for], bool)
        right[kind] = np.array([one in truths for one in claimed], bool)
    return GeneScores(found, right, len(predicted) - len(kept))


def counted_genes(
    true: Sequence[GeneModel], predicted: Sequence[GeneModel], masked: Mapping[str, Bools]
) -> list[GeneModel]:
    """Leave out the predicted genes that lie on masked bases, unless a true one ends where they do; arguments as of
    `gene_scores`."""
    ends = {_end(gene) for gene in true}
    return [gene for gene in predicted if _end(gene) in ends or _masked_share(gene, masked) < IGNORED_SHARE]


_KINDS = ("three_prime", "exact", "multi_exon", "exon", "exact_intron")  # "intron" is a class of bases


def _things(kind: str, genes: Iterable[GeneModel], lengths: Mapping[str, int]) -> list[tuple[object, ...]]:
    """List what is to be compared; of exons and introns each once."""
    if kind == "three_prime":
        return [_end(gene) for gene in genes]
    if kind in ("exact", "multi_exon"):
        chosen = (gene for gene in genes if kind == "exact" or gaps(gene.cds, gene.strand, lengths.get(gene.contig, 0)))
        return [(gene.contig, gene.strand, gene.cds) for gene in chosen]
    parts = (
        (gene, gene.cds if kind == "exon" else gaps(gene.cds, gene.strand, lengths.get(gene.contig, 0)))
        for gene in genes
    )
    return list(dict.fromkeys((gene.contig, gene.strand, span) for gene, spans in parts for span in spans))


def _end(gene: GeneModel) -> tuple[object, ...]:
    return gene.contig, gene.strand, gene.three_prime


def _masked_share(gene: GeneModel, masked: Mapping[str, Bools]) -> float:
    return float(masked[gene.contig][STRANDS.index(gene.strand), positions(gene.cds, gene.strand)].mean())


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
