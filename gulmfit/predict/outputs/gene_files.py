"""Write genes as GFF3, and their proteins as FASTA: sorted by position, whole or not at all."""

import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from gulmfit.predict.outputs.track_files import write_lines
from gulmfit.seq.alphabet import Codes
from gulmfit.seq.genome.genes import GeneModel, Span, Spans, spliced, unwrapped
from gulmfit.seq.genome.genetic_code import genetic_code

_IN_NAMES = ".:^*$@!+_?-|"  # that GFF3 leaves as they are in the name of a contig
_WIDTH = 60
_RANKS = ("region", "gene", "mRNA", "exon", "five_prime_UTR", "CDS", "three_prime_UTR")

ExonScore = Callable[[GeneModel, Span], float]


class FoundGenes(NamedTuple):
    """Genes of a genome, and all that files of them tell."""

    genes: Sequence[GeneModel]
    """As `numbered` gives them."""
    contigs: Mapping[str, Codes]
    """Bases of each contig (L,), in the order of the files."""
    code: int
    """Number of the genetic code."""
    model: str
    """What made them."""


def found_gff3(path: Path, found: FoundGenes) -> int:
    """Write genes as GFF3 (`write_gff3`)."""
    lengths = {name: len(codes) for name, codes in found.contigs.items()}
    return write_gff3(path, found.genes, lengths, code=found.code, model=found.model)


def found_proteins(path: Path, found: FoundGenes) -> int:
    """Write the proteins of genes (`write_proteins`)."""
    return write_proteins(path, found.genes, found.contigs, code=found.code)


def numbered(genes: Iterable[GeneModel], lengths: Mapping[str, int], *, confidence: float = 0.0) -> list[GeneModel]:
    """Sort genes by position, contigs in the order of `lengths`, and name them gene000001 and so on.

    Args:
        genes: Predicted genes.
        lengths: Bases of each contig.
        confidence: Genes with a lower score are left out.
    """
    order = {contig: number for number, contig in enumerate(lengths)}
    kept = [gene for gene in genes if not gene.score < confidence]
    kept.sort(key=lambda gene: (order[gene.contig], gene.span, gene.strand))
    return [replace(gene, name=f"gene{number:06d}") for number, gene in enumerate(kept, start=1)]


def write_gff3(
    path: Path,
    genes: Sequence[GeneModel],
    lengths: Mapping[str, int],
    *,
    code: int,
    model: str = "",
    exon_score: ExonScore | None = None,
    circular: Collection[str] = (),
) -> int:
    """Write genes as GFF3 and return how many lines there were.

    All lines of a contig are sorted by their start, so the file can be indexed as it is. An exon is written even where
    it is all CDS. The phase of a CDS is the number of bases before its first whole codon. A gene over the origin of a
    circular contig ends behind the end of the contig.

    Args:
        path: Output file; its folder is made.
        genes: As `numbered` gives them.
        lengths: Bases of each contig; each gets a `##sequence-region`.
        code: Number of the genetic code, for the attribute transl_table.
        model: What made the genes, such as the hash of a model.
        exon_score: Gives the score of an exon or a part of one, from 0 to 1; that of its coding part by default.
        circular: Names of the contigs that are circular; each gets a line that says so.

    Raises:
        DataError: The file cannot be written.
    """
    return write_lines(path, _gff3(genes, lengths, code, model, exon_score or GeneModel.score_of, circular))


def write_proteins(path: Path, genes: Iterable[GeneModel], contigs: Mapping[str, Codes], *, code: int) -> int:
    """Write the translation of each gene as FASTA, without its stop, and return how many lines there were.

    Args:
        path: Output file; its folder is made.
        genes: As `numbered` gives them; ids are those of their mRNA in GFF3.
        contigs: Bases of each contig (L,).
        code: Number of the genetic code.

    Raises:
        DataError: The file cannot be written.
    """

    def lines() -> Iterator[str]:
        for gene in genes:
            start, end = unwrapped(gene, len(contigs[gene.contig])).span
            place = f"{gene.contig}:{start}-{end}({gene.strand})"
            yield f">{gene.name}.t1 {place}{'' if isnan(gene.score) else f' score={gene.score:.4f}'}\n"
            protein = genetic_code(code).translate(spliced(contigs[gene.contig], gene.cds, gene.strand))
            yield from (f"{line}\n" for line in textwrap.wrap(protein.removesuffix("*"), _WIDTH))

    return write_lines(path, lines())


def _gff3(
    genes: Sequence[GeneModel],
    lengths: Mapping[str, int],
    code: int,
    model: str,
    exon_score: ExonScore,
    circular: Collection[str],
) -> Iterator[str]:
    yield "##gff-version 3\n"
    if model:
        yield f"#!model {model}\n"
    for contig, length in lengths.items():
        yield f"##sequence-region {quote(contig, safe=_IN_NAMES)} 1 {length}\n"
    by_contig: dict[str, list[GeneModel]] = {}
    for gene in genes:
        by_contig.setdefault(gene.contig, []).append(gene)
    for contig, length in lengths.items():
        own = (unwrapped(gene, length) for gene in by_contig.get(contig, ()))
        rows = [row for gene in own for row in _rows(gene, code, exon_score)]
        if contig in circular:
            name = quote(contig, safe=_IN_NAMES)
            rows.append(("region", 0, length, float("nan"), "+", ".", f"ID={name}:1..{length};Is_circular=true"))
        rows.sort(key=lambda row: (row[1], -row[2], _RANKS.index(row[0])))
        for kind, start, end, score, strand, phase, attributes in rows:
            shown = "." if isnan(score) else f"{score:.4f}"
            cells = (quote(contig, safe=_IN_NAMES), "gulmfit", kind, start + 1, end, shown, strand, phase, attributes)
            yield "\t".join(map(str, cells)) + "\n"


_Row = tuple[str, int, int, float, str, str, str]  # kind, start, end, score, strand, phase, attributes


def _rows(gene: GeneModel, code: int, exon_score: ExonScore) -> Iterator[_Row]:
    transcript = f"{gene.name}.t1"
    partial = ";partial=true" if any(gene.partial) else ""
    yield ("gene", *gene.span, gene.score, gene.strand, ".", f"ID={gene.name}{partial}")
    yield ("mRNA", *gene.span, gene.score, gene.strand, ".", f"ID={transcript};Parent={gene.name}{partial}")

    def parts(kind: str, spans: Spans | list[Span]) -> Iterator[_Row]:
        for number, span in enumerate(spans, start=1):
            own = f"ID={transcript}.{kind}{number};Parent={transcript}"
            yield (kind, *span, exon_score(gene, span), gene.strand, ".", own)

    before, after = gene.untranslated()
    yield from parts("exon", gene.exons)
    yield from parts("five_prime_UTR", before)
    yield from parts("three_prime_UTR", after)
    bases = 0
    for span in gene.cds:
        own = f"ID={transcript}.cds;Parent={transcript};transl_table={code}{partial}"
        yield ("CDS", *span, exon_score(gene, span), gene.strand, str(-bases % 3), own)
        bases += span[1] - span[0]
