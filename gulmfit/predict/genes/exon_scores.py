"""How sure it is that the coding part of an exon begins and ends where a decoder says.

Shapes: `L` bases, `C` classes of both tracks; an axis of 2 is the strand, "+" and "-".
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.predict.genes.tuning import GeneCalibration, platt
from gulmfit.seq.genome.genes import GeneModel, Span
from gulmfit.seq.labels.gene_labels import CDS, LabelledContig
from gulmfit.seq.labels.gene_models import STRANDS

Read = Callable[[int, int], npt.NDArray[np.floating[Any]]]
"""As `gulmfit.predict.genes.decoding.Read`."""

EDGE_BP = 10  # on each side of each end
_LEAST = 1e-4


def evidence(gene: GeneModel, length: int, read: Read) -> list[float]:
    """Return what speaks for each coding part of a gene: log-odds that there is a gene, and that the part is right.

    The latter are those of the mean probability that the bases around its ends are what the part says: coding inside
    and not outside.

    Args:
        gene: A gene whose score is a probability.
        length: Bases of its contig.
        read: Gives the probabilities of bases.
    """
    row = STRANDS.index(gene.strand)

    def agreeing(span: Span) -> float:
        start, end = span
        found = []
        for edge, inner, outer in ((start, min(start + EDGE_BP, end), start - EDGE_BP),
                                   (end, max(end - EDGE_BP, start), end + EDGE_BP)):  # fmt: skip
            low, high = max(0, min(inner, outer)), min(length, max(inner, outer))
            coding = np.asarray(read(low, high)[:, row, CDS], np.float64)
            inside = np.arange(low, high) >= edge if edge == start else np.arange(low, high) < edge
            found.append(np.where(inside, coding, 1 - coding))
        return float(np.concatenate(found).mean())

    return [_log_odds(gene.score) + _log_odds(agreeing(span)) for span in gene.cds]


def with_exon_scores(
    genes: Iterable[GeneModel], calibration: GeneCalibration, length: int, read: Read
) -> list[GeneModel]:
    """Return genes with a probability for each coding part; arguments as of `evidence`, and its calibration."""
    return [
        replace(gene, cds_scores=tuple(map(calibration.probability, evidence(gene, length, read)))) for gene in genes
    ]


def fitted(genes: Sequence[GeneModel], known: Iterable[tuple[LabelledContig, Any]]) -> GeneCalibration | None:
    """Fit the probability that a coding part is exact (Platt); None where there is none.

    Args:
        genes: Found in these contigs; their scores are probabilities.
        known: Contigs of the validation part, each with the labeller's probabilities (L, 2, C).
    """
    contigs = {contig.name: (len(contig.codes), own, contig.genes) for contig, own in known}
    true = {(name, gene.strand, span) for name, (*_, own) in contigs.items() for gene in own for span in gene.cds}
    worth, right = list[float](), list[bool]()
    for gene in genes:
        length, probabilities, _ = contigs[gene.contig]
        worth += evidence(gene, length, lambda start, end, own=probabilities: own[start:end])  # type: ignore[misc]
        right += [(gene.contig, gene.strand, span) in true for span in gene.cds]
    return platt(np.array(worth), np.array(right)) if worth else None


def _log_odds(chance: float) -> float:
    inside = min(max(chance, _LEAST), 1 - _LEAST)
    return float(np.log(inside / (1 - inside)))
