"""Read the genes of an annotation: the longest sound coding transcript of each, and what must be masked, and why."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import AMBIGUOUS, Codes
from gulmfit.seq.formats.features import Feature
from gulmfit.seq.formats.gff import read_gff
from gulmfit.seq.genome.contigs import contig_names, contig_of, is_gff, read_features
from gulmfit.seq.genome.genes import GeneModel, Span, Spans, positions, spliced
from gulmfit.seq.genome.genetic_code import (
    AMBIGUOUS_CODON,
    GENETIC_CODES,
    GeneticCode,
    codon_numbers,
    genetic_code,
)
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.transcripts import NOT_CODING, PSEUDOGENE, Transcript, read_transcripts

_log = logging.getLogger(__name__)

STRANDS = ("+", "-")
MOST_WITHOUT_ENDS = 0.2  # of the genes; an annotation of another assembly has nearly all
LEAST_MIXED = 0.05  # of the genes that tell whether a CDS holds its stop codon
LEAST_BROKEN = 0.03  # of the transcripts; an annotation of bacteria read by the standard code lacks a start in a tenth
SAMPLE = 500  # transcripts by which genetic codes are compared
LIKELY = (11, 1, 4, 6, 12)  # first of the codes that mask as few: most others are those of mitochondria

REASONS = (
    PSEUDOGENE,
    NOT_CODING,
    "parts on both strands",
    "overlapping parts",
    "intron too short",
    "non-ACGT base",
    "wrong phase",
    "missing start codon",
    "missing stop codon",
    "stop codon inside",
    "gene of another annotation only",
    "introns and UTRs of several genes",
    "gene cut by the end of a part",
    "several reading frames",
)
"""Why bases are masked; the last one concerns the phase only."""
(_MIXED, _OVERLAP, _SHORT, _UNKNOWN, _PHASE, _START, _STOP, _INSIDE, _OTHER) = REASONS[2:11]


_UNREAD = ("intron", "five_prime_UTR_intron", "three_prime_UTR_intron")  # what they say follows from exons


class _AllBut(frozenset[str]):
    """Every kind of feature but these."""

    def __contains__(self, kind: object) -> bool:
        return not super().__contains__(kind)


class Masked(NamedTuple):
    """Bases of a strand of which nobody knows what they are: a gene that cannot be one as it is annotated."""

    contig: str
    strand: str
    start: int
    end: int
    reason: str
    name: str
    place: str


@dataclass(frozen=True, eq=False)
class GeneModels:
    """The genes of an annotation.

    Attributes:
        genes: Sound ones, one transcript for each gene, in genome order; contigs are named as in the genome.
        masked: What is masked.
        contigs: Contigs that have any feature: of the others nothing is known.
        counts: Of genes, of those masked by reason, of other transcripts, and of stop codons in and out of a CDS;
            ready for JSON.
        min_intron_bp: What is shorter between two exons is not an intron.
        code: Number of the genetic code of most transcripts.
    """

    genes: list[GeneModel]
    masked: list[Masked]
    contigs: list[str]
    counts: dict[str, Any] = field(default_factory=dict)
    min_intron_bp: int = 20
    code: int = 1


def read_genes(
    annotation: str | Path,
    store: GenomeStore,
    *,
    code: int = 0,
    codes: Mapping[str, int] | None = None,
    contigs: Mapping[str, str | None] | None = None,
    min_intron_bp: int = 20,
) -> GeneModels:
    """Read the genes of a GFF3, GTF, GenBank or .tbl file.

    Whether a CDS holds its stop codon is found by testing all of them, and each then gets it. A gene is masked with
    its introns where no transcript of it is sound; `REASONS` says what is looked for.

    Args:
        annotation: File.
        store: Its genome.
        code: Number of the genetic code; 0 takes what the file says of each CDS, else 1.
        codes: Numbers for single contigs of the genome, such as that of mitochondria.
        contigs: Names in the genome by those in the annotation; None for one that is to be left out. Names that are
            not there stay as they are.
        min_intron_bp: The shortest intron.

    Raises:
        ConfigError: There is no such genetic code.
        DataError: A contig is not in the genome, a feature leaves its contig, no CDS is left, some CDS hold their stop
            codons and others do not, or more than a fifth of the genes have neither start nor stop codon.
    """
    path = Path(annotation)
    kinds = _AllBut(_UNREAD)
    rows = read_gff(path, kinds, skip_empty_utrs=True) if is_gff(path) else read_features(path, kinds)
    found = read_transcripts(rows)
    names = contig_names(found.contigs, store, contigs or {}, path)
    kept = [one for one in found.transcripts if names[one.contig] is not None]
    if not kept:
        raise DataError(f"{path}: no CDS on a contig of the genome; labels of genes need an annotation of proteins")
    models = [_Model.of(one, str(names[one.contig]), store, code, codes or {}) for one in kept]
    better = _better_code(models, codes or {}, min_intron_bp)
    with_stop, without = _stop_codons(models, path, better)
    if without > with_stop:
        models = [model.with_stop() for model in models]
    by_locus: dict[tuple[str, str], list[tuple[GeneModel, str, int]]] = {}
    for model in models:
        by_locus.setdefault((model.gene.contig, model.transcript.locus), []).append(
            (model.gene, model.trouble(min_intron_bp), model.gene.coding_bases)
        )
    genes: list[GeneModel] = []
    masked = [
        Masked(str(names[f.contig]), f.strand, f.start, f.end, PSEUDOGENE, f.name, f.place)
        for f in found.pseudogenes
        if names[f.contig] is not None
    ]
    reasons: Counter[str] = Counter({PSEUDOGENE: len(masked)} if masked else {})
    for transcripts in by_locus.values():
        gene, trouble, _ = min(transcripts, key=lambda one: (one[1] != "", -one[2]))
        if not trouble:
            genes.append(gene)
            continue
        reasons[trouble] += trouble != PSEUDOGENE or not masked  # its gene counts already
        for strand in gene.strand if trouble != _MIXED else STRANDS:
            masked.append(Masked(gene.contig, strand, *gene.span, trouble, gene.name, gene.place))
    order = {contig.name: number for number, contig in enumerate(store.contigs)}
    genes.sort(key=lambda gene: (order[gene.contig], *gene.span))
    counts = {
        "genes": len(genes),
        "masked": dict(reasons),
        "other_transcripts": len(models) - len(by_locus),
        "cds_with_stop_codon": with_stop,
        "cds_without_stop_codon": without,
    }
    _log.info("%s: %s", path, counts)
    broken = sum(reasons.values()) - reasons[PSEUDOGENE]
    if better or broken > MOST_WITHOUT_ENDS * len(by_locus):
        _log.warning(
            "%s: %d of %d genes are masked: %s. Is the genetic code right? %s", path, broken, len(by_locus),
            dict(reasons), better or "No other masks fewer: is this the annotation of the genome?",
        )  # fmt: skip
    on = dict.fromkeys(name for contig in found.contigs if (name := names[contig]) is not None)
    most, _ = Counter(model.code.number for model in models).most_common(1)[0]
    return GeneModels(genes, masked, sorted(on, key=order.__getitem__), counts, min_intron_bp, most)


def mask_others(models: GeneModels, other: GeneModels) -> GeneModels:
    """Mask the genes that only another annotation of the genome has: nobody knows whether they are genes.

    Genes are the same if they end at the same base. Introns and untranslated regions are masked with them.
    """
    known = {(gene.contig, gene.strand, gene.three_prime) for gene in models.genes}
    more = [
        Masked(gene.contig, gene.strand, *gene.span, _OTHER, gene.name, gene.place)
        for gene in other.genes
        if gene.contig in models.contigs and (gene.contig, gene.strand, gene.three_prime) not in known
    ]
    counts = {**models.counts, "masked": {**models.counts["masked"], _OTHER: len(more)}}
    return replace(models, masked=[*models.masked, *more], counts=counts)


@dataclass(frozen=True)
class _Model:
    """A transcript with its sequence."""

    transcript: Transcript
    gene: GeneModel
    codes: Codes  # of the contig
    code: GeneticCode
    strand_clear: bool

    @classmethod
    def of(
        cls, transcript: Transcript, contig: str, store: GenomeStore, code: int, codes: Mapping[str, int]
    ) -> "_Model":
        strands = transcript.strands - {"."}
        strand = "-" if "-" in strands else "+"
        whole = contig_of(store, Feature(contig, 0, 0, ".", place=transcript.place))
        for start, end in (*transcript.exons, *((part.start, part.end) for part in transcript.cds)):
            contig_of(store, Feature(contig, start, end, ".", place=transcript.place))
        crossed = whole.length if transcript.crosses else 0
        gene = GeneModel(
            contig,
            strand,
            _in_order([(part.start, part.end) for part in transcript.cds], strand, crossed),
            _in_order(transcript.exons, strand, crossed, joined=True),
            transcript.name,
            place=transcript.place,
        )
        number = codes.get(contig) or code or transcript.code or 1
        bases = store.codes[whole.start : whole.start + whole.length]
        return cls(transcript, gene, bases, genetic_code(number), transcript.strands in ({"+"}, {"-"}))

    def ends(self) -> tuple[bool, bool, bool]:
        """Tell whether the first codon can start, the last one stops, and the one after the last stops."""
        bases = spliced(self.codes, self.gene.cds, self.gene.strand)
        first, last = (_codon(bases[:3]), _codon(bases[-3:]))
        after = _codon(spliced(self.codes, self._after(), self.gene.strand))
        return bool(self.code.is_start[first]), bool(self.code.is_stop[last]), bool(self.code.is_stop[after])

    def with_stop(self) -> "_Model":
        """Return the model with the codon after its CDS in it, if that one stops and the last one does not."""
        _, last, after = self.ends()
        if last or not after:
            return self
        strand = self.gene.strand
        wrapped = len(self.codes) if self.transcript.crosses else 0
        cds = _in_order([*self.gene.cds, *self._after()], strand, wrapped, touching=True)
        exons = _in_order([*self.gene.exons, *self._after()], strand, wrapped, joined=True)
        return replace(self, gene=replace(self.gene, cds=cds, exons=exons))

    def _after(self) -> Spans:
        """List the three bases after the CDS, along the exons and then along the contig, one by one."""
        gene, step = self.gene, 1 if self.gene.strand == "+" else -1
        along = positions(gene.exons, gene.strand)
        ahead = along[int(np.flatnonzero(along == gene.three_prime)[-1]) + 1 :][:3].tolist()
        while len(ahead) < 3:
            ahead.append((ahead[-1] if ahead else gene.three_prime) + step)
        return tuple((at, at + 1) for at in ahead if 0 <= at < len(self.codes))

    def trouble(self, min_intron_bp: int) -> str:
        """Say why this is not a sound gene; "" if it is."""
        transcript, gene = self.transcript, self.gene
        if transcript.trouble or not self.strand_clear:
            return transcript.trouble or _MIXED
        size = len(self.codes) if transcript.crosses else 0
        steps = _steps(gene.cds, gene.strand, size)
        if not transcript.slippage:
            if any(step < 0 for step in steps):
                return _OVERLAP
            if any(0 < step < min_intron_bp for step in (*steps, *_steps(gene.exons, gene.strand, size))):
                return _SHORT
        bases = spliced(self.codes, gene.cds, gene.strand)
        if (bases == AMBIGUOUS).any():
            return _UNKNOWN
        if len(bases) % 3 or self._phases_differ():
            return _PHASE
        starts, stops, _ = self.ends()
        if not starts or not stops or transcript.partial:
            return _STOP if starts and not stops else _START
        inside = self.code.is_stop[codon_numbers(bases)[:-1:3]]
        where = positions(gene.cds, gene.strand)
        lowest = np.minimum(where[:-3:3], where[2:-3:3])
        if any(int(at) not in transcript.excepted for at in lowest[inside]):
            return _INSIDE
        return ""

    def _phases_differ(self) -> bool:
        """Tell whether the file has another phase for a part than those before it leave."""
        declared = {(part.start, part.end): part.phase for part in self.transcript.cds}
        before = 0
        for start, end in self.gene.cds:
            if (phase := declared.get((start, end))) is not None and phase != -before % 3:
                return True
            before += end - start
        return False


def _codon(bases: Codes) -> int:
    return int(codon_numbers(bases)[0]) if len(bases) == 3 else AMBIGUOUS_CODON


def _in_order(
    spans: Iterable[Span], strand: str, contig_length: int, *, joined: bool = False, touching: bool = False
) -> Spans:
    """Put parts in reading order, and join those that overlap or touch, or only those that touch.

    Where a contig has a length, parts lie on both sides of its origin: the widest gap is outside of the gene.
    """
    ordered = sorted(set(spans))
    if contig_length:
        ends = np.maximum.accumulate([end for _, end in ordered])
        outside = int(np.argmax([start - end for (start, _), end in zip(ordered[1:], ends, strict=False)])) + 1
        ordered = [
            *ordered[outside:],
            *((start + contig_length, end + contig_length) for start, end in ordered[:outside]),
        ]
    merged: list[Span] = []
    for start, end in ordered:
        last = merged[-1][1] if merged else -1
        over_origin = contig_length and start == contig_length
        if merged and ((joined and start <= last) or (touching and start == last)) and not over_origin:
            merged[-1] = (merged[-1][0], max(last, end))
        else:
            merged.append((start, end))
    if contig_length:
        merged = [(s - contig_length, e - contig_length) if s >= contig_length else (s, e) for s, e in merged]
    return tuple(merged if strand == "+" else merged[::-1])


def _steps(parts: Spans, strand: str, contig_length: int) -> list[int]:
    """Return how many bases lie between each part and the next; negative where they overlap."""
    ascending = parts if strand == "+" else parts[::-1]
    found = []
    for (first, end), (start, _) in pairwise(ascending):
        found.append(start + (contig_length if start < first else 0) - end)
    return found


def _better_code(models: Sequence[_Model], codes: Mapping[str, int], min_intron_bp: int) -> str:
    """Tell which other genetic code masks no more than half as many of the transcripts; "" for none.

    It is looked for where codons mask `LEAST_BROKEN` of the transcripts or more, on `SAMPLE` of them at most.
    """
    own = [model for model in models if model.gene.contig not in codes]
    sample = own[:: -(-len(own) // SAMPLE) or 1]

    def masked(number: int) -> int:
        """Count those that codons mask, by a code; 0 for the one that each was read by."""
        read = [replace(model, code=genetic_code(number)) if number else model for model in sample]
        return sum(model.with_stop().trouble(min_intron_bp) in (_START, _STOP, _INSIDE) for model in read)

    now = masked(0)
    if now < max(2, LEAST_BROKEN * len(sample)):
        return ""
    best = min(dict.fromkeys((*LIKELY, *GENETIC_CODES)), key=masked)
    if 2 * (then := masked(best)) > now:
        return ""
    return (
        f"By code {best} {then} of {len(sample)} coding transcripts would be masked for their codons, not {now}: if "
        f"that is the organism's, give data.genetic_code={best}."
    )


def _stop_codons(models: Sequence[_Model], path: Path, better: str) -> tuple[int, int]:
    """Count the CDS that end with a stop codon, and those that one follows; raise where both occur."""
    whole = [model for model in models if not model.transcript.trouble and not model.transcript.partial]
    ends = [(model, *model.ends()) for model in whole]
    inside = sum(last for _, _, last, _ in ends)
    outside = sum(after and not last for _, _, last, after in ends)
    lost = [model for model, first, last, after in ends if not (first or last or after)]
    if len(lost) > MOST_WITHOUT_ENDS * len(whole):
        raise DataError(
            f"{path}: {len(lost)} of {len(whole)} coding transcripts have neither a start nor a stop codon, the first "
            f"of them {lost[0].gene.name!r} ({lost[0].gene.place}). Is this the annotation of another assembly? Give "
            f"the genome that it was made for, or another data.genetic_code{better and '. '}{better}"
        )
    if min(inside, outside) > max(1, LEAST_MIXED * (inside + outside)):
        raise DataError(
            f"{path}: {inside} CDS hold their stop codon, and {outside} end before it; which codon is the last of the "
            f"others is not clear. Give an annotation that does one of the two{better and '. '}{better}"
        )
    return inside, outside
