"""A label for every base of a contig, on both strands: what it is to a gene, and its place in a codon.

Shapes: `L` bases; the first axis of length 2 is the strand, "+" and "-". All positions are those of the forward strand.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import AMBIGUOUS, Codes
from gulmfit.seq.formats.features import Feature
from gulmfit.seq.genome.genes import GeneModel, Span, inside, positions
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.gene_models import REASONS, STRANDS, GeneModels

CLASSES = ("intergenic", "UTR", "CDS", "intron")
INTERGENIC, UTR, CDS, INTRON = range(4)
PHASES = ("none", "0", "1", "2")
"""Bases until the next codon starts, as in GFF3: within a codon 0, 2, 1."""

CODON_PLACES = (1, 3, 2)
"""Index into `PHASES` of the first, second and third base of a codon."""

_UNKNOWN = REASONS.index("non-ACGT base") + 1
_SHORT = REASONS.index("intron too short") + 1
_DISAGREE = REASONS.index("introns and UTRs of several genes") + 1
_CUT = REASONS.index("gene cut by the end of a part") + 1
_FRAMES = REASONS.index("several reading frames") + 1

Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class GeneLabels:
    """The labels of one contig.

    Attributes:
        classes: Index into `CLASSES` (2, L).
        phases: Index into `PHASES` (2, L).
        reasons: 0, or 1 + the index into `REASONS` of why a base is masked (2, L).
    """

    classes: Bytes
    phases: Bytes
    reasons: Bytes

    @property
    def masked(self) -> Bools:
        """Where the class is not known (2, L)."""
        masked: Bools = (self.reasons > 0) & (self.reasons != _FRAMES)
        return masked

    @property
    def phase_masked(self) -> Bools:
        """Where the phase is not known, or not one (2, L)."""
        return self.reasons > 0

    def part(self, start: int, end: int) -> "GeneLabels":
        """Return those of bases [start, end)."""
        return GeneLabels(*(one[:, start:end] for one in (self.classes, self.phases, self.reasons)))

    @classmethod
    def joined(cls, labels: Sequence["GeneLabels"]) -> "GeneLabels":
        """Lay the labels of several contigs end to end."""
        names = [one.name for one in fields(cls)]
        return cls(*(np.concatenate([getattr(own, name) for own in labels], axis=1) for name in names))

    def masked_bases(self) -> dict[str, int]:
        """Count the bases of both strands by the reason for which they are masked."""
        counts = np.bincount(self.reasons.ravel(), minlength=len(REASONS) + 1)[1:]
        return {reason: int(count) for reason, count in zip(REASONS, counts, strict=True) if count}


class LabelledContig(NamedTuple):
    """A contig or a part of one, with all that is known of it.

    Attributes:
        name: Its name; that of a part ends in ":start-end".
        codes: Its bases (L,).
        labels: Their labels.
        genes: The genes that lie wholly in it, on its coordinates.
    """

    name: str
    codes: Codes
    labels: GeneLabels
    genes: list[GeneModel]

    def part(self, start: int, end: int) -> "LabelledContig":
        """Cut out bases [start, end).

        What is left of a gene that is cut is masked, where no other gene codes: a decoder should neither find it nor
        learn from it.
        """
        name = f"{self.name}:{start}-{end}"
        genes = [replace(gene, contig=name) for gene in inside(self.genes, self.name, start, end)]
        labels = self.labels.part(start, end)
        reasons = labels.reasons.copy()
        for gene in self.genes:
            first, last = gene.span
            if first < start < last or first < end < last:
                left = reasons[STRANDS.index(gene.strand), max(0, first - start) : max(0, last - start)]
                left[left == 0] = _CUT
        for gene in genes:
            row = STRANDS.index(gene.strand)
            for first, last in gene.cds:
                reasons[row, first:last] = labels.reasons[row, first:last]
        return LabelledContig(name, self.codes[start:end], replace(labels, reasons=reasons), genes)

    def replaced(self, other: "LabelledContig", spans: Sequence[Span]) -> "LabelledContig":
        """Return it with the labels of another annotation of its contig in some intervals, and their genes there.

        A gene of this one that reaches into an interval, or of the other one that reaches out of one, is left out.
        """
        names = ("classes", "phases", "reasons")
        arrays = {name: getattr(self.labels, name).copy() for name in names}
        for start, end in spans:
            for name in names:
                arrays[name][:, start:end] = getattr(other.labels, name)[:, start:end]
        genes = [
            gene for gene in self.genes if not any(gene.span[0] < end and start < gene.span[1] for start, end in spans)
        ]
        genes += [
            gene for gene in other.genes if any(start <= gene.span[0] and gene.span[1] <= end for start, end in spans)
        ]
        genes.sort(key=lambda gene: gene.span)
        return self._replace(labels=GeneLabels(**arrays), genes=genes)


def labelled_contigs(models: GeneModels, store: GenomeStore) -> Iterator[LabelledContig]:
    """Label the contigs that have any feature, one after another."""
    for contig in store.contigs:
        if contig.name in models.contigs:
            codes = np.asarray(store.codes[contig.start : contig.start + contig.length])
            genes = [gene for gene in models.genes if gene.contig == contig.name]
            yield LabelledContig(contig.name, codes, gene_labels(models, contig.name, codes), genes)


def labels_of(genes: Iterable[GeneModel], contig: str, codes: Codes) -> GeneLabels:
    """Label every base of a contig by genes alone, nothing masked beforehand; arguments as of `gene_labels`."""
    return gene_labels(GeneModels(list(genes), [], [contig]), contig, codes)


def gene_labels(models: GeneModels, contig: str, codes: Codes) -> GeneLabels:
    """Label every base of a contig.

    Where genes of one strand overlap, a base that codes in any of them is CDS, and its phase is masked where they
    differ in it; one that is an intron of one gene and an untranslated region of another one is masked. A base that
    codes is never masked for a broken gene or a pseudogene on it.

    Args:
        models: Genes of the annotation.
        contig: Name of the contig.
        codes: Its bases (L,).
    """
    shape = (2, len(codes))
    classes, phases, reasons = (np.zeros(shape, np.uint8) for _ in range(3))
    for one in models.masked:
        if one.contig == contig:
            reasons[STRANDS.index(one.strand), one.start : one.end] = REASONS.index(one.reason) + 1
    genes = [gene for gene in models.genes if gene.contig == contig]
    for gene in genes:
        _paint_around(gene, models.min_intron_bp, classes, reasons)
    for gene in genes:
        strand = STRANDS.index(gene.strand)
        where = positions(gene.cds, gene.strand)
        phase = np.resize(np.array(CODON_PLACES, np.uint8), len(where))
        earlier = phases[strand, where]
        clash = (earlier > 0) & (earlier != phase)
        # A frame that shifts backwards reads a base twice.
        repeated = len(np.unique(where)) < len(where)
        reasons[strand, where] = np.where(clash | (reasons[strand, where] == _FRAMES), _FRAMES, 0)
        classes[strand, where], phases[strand, where] = CDS, phase
        if repeated:
            reasons[strand, where[phases[strand, where] != phase]] = _FRAMES
    reasons[:, codes == AMBIGUOUS] = _UNKNOWN
    return GeneLabels(classes, phases, reasons)


def _paint_around(gene: GeneModel, min_intron_bp: int, classes: Bytes, reasons: Bytes) -> None:
    """Paint the introns and untranslated regions of a gene."""
    strand, length = STRANDS.index(gene.strand), classes.shape[1]
    before, after = gene.untranslated()
    introns = gene.introns(length)
    # Where a ribosome slips, it leaves out less than an intron.
    slips = [(a, b) for a, b in introns if b - a < min_intron_bp and a > 0 and b < length]
    for spans, label in (([*before, *after], UTR), ([span for span in introns if span not in slips], INTRON)):
        for start, end in spans:
            here = classes[strand, start:end]
            reasons[strand, start:end][(here != INTERGENIC) & (here != label)] = _DISAGREE
            here[:] = label
    for start, end in slips:
        reasons[strand, start:end] = _SHORT


def feature_labels(
    features: Iterable[Feature], kinds: tuple[str, ...], contig: str, length: int, *, stranded: bool = True
) -> Bytes:
    """Label every base of a contig with the kind of the feature that covers it: 0 for none, 1 + its index in `kinds`.

    Where several cover a base, the kind that stands first counts. Features without strand count on both.

    Args:
        features: Of the annotation.
        kinds: Types of features.
        contig: Name of the contig.
        length: Its bases.
        stranded: Whether features count on their own strand only.

    Returns:
        (2, L).

    Raises:
        DataError: A feature leaves the contig.
    """
    labels = np.zeros((2, length), np.uint8)
    chosen = [one for one in features if one.contig == contig and one.kind in kinds]
    for one in sorted(chosen, key=lambda one: -kinds.index(one.kind)):
        if one.end > length:
            raise DataError(
                f"{one.place}: {one.start}-{one.end} does not lie in contig {contig!r} of {length:,} bases. Is this "
                "the genome of the features?"
            )
        both = one.strand == "." or not stranded
        labels[slice(None) if both else STRANDS.index(one.strand), one.start : one.end] = kinds.index(one.kind) + 1
    return labels
