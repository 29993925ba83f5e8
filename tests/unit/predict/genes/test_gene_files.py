"""Genes in GFF3, which the reader of annotations understands, and their proteins, as Biopython translates them."""

from pathlib import Path

import numpy as np
import pytest
from Bio import SeqIO
from Bio.Seq import Seq

from gulmfit.predict.genes.gene_hmm import GeneDecoder
from gulmfit.predict.outputs.gene_files import numbered, write_gff3, write_proteins
from gulmfit.seq.alphabet import decode
from gulmfit.seq.formats.gff import read_gff
from gulmfit.seq.genome.genes import GeneModel
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.gene_models import read_genes

CONTIGS = {"b": 4000, "a 1|x": 3000}


@pytest.fixture(scope="module")
def found() -> tuple[list[GeneModel], dict[str, np.ndarray], GenomeStore]:
    """Find genes of many exons in noise, on both strands of two contigs."""
    generator = np.random.default_rng(0)
    codes = {name: generator.integers(0, 4, length).astype(np.uint8) for name, length in CONTIGS.items()}
    decoder = GeneDecoder(min_cds_bp=0, min_intron_bp=20, gene_constant=6.0)
    genes = []
    for name, bases in codes.items():
        classes, phases = (np.log(generator.dirichlet([0.4] * 4, (2, len(bases)))).transpose(0, 2, 1) for _ in range(2))
        genes += decoder(bases, np.maximum(classes, -6), np.maximum(phases, -6), name)
    store = GenomeStore.from_sequences(list(codes), [decode(bases) for bases in codes.values()])
    assert {gene.strand for gene in genes} == {"+", "-"}
    assert max(len(gene.cds) for gene in genes) > 2
    return genes[::-1], codes, store


def test_what_is_written_is_read_again(
    tmp_path: Path, found: tuple[list[GeneModel], dict[str, np.ndarray], GenomeStore]
) -> None:
    genes, _, store = found
    named = numbered(genes, CONTIGS)
    write_gff3(tmp_path / "a.gff3", named, CONTIGS, code=1, model="abc")
    models = read_genes(tmp_path / "a.gff3", store, min_intron_bp=20)
    assert models.counts["masked"] == {}
    read, written = (sorted((g.contig, g.strand, g.cds, g.exons) for g in some) for some in (models.genes, genes))
    assert read == written
    text = (tmp_path / "a.gff3").read_text().splitlines()
    assert text[:4] == [
        "##gff-version 3",
        "#!model abc",
        "##sequence-region b 1 4000",
        "##sequence-region a%201|x 1 3000",
    ]


def test_lines_are_sorted_and_parts_belong_together(
    tmp_path: Path, found: tuple[list[GeneModel], dict[str, np.ndarray], GenomeStore]
) -> None:
    genes, _, _ = found
    named = numbered(genes, CONTIGS)
    write_gff3(tmp_path / "a.gff3", named, CONTIGS, code=1, exon_score=lambda gene, span: 0.25)
    rows = list(read_gff(tmp_path / "a.gff3"))
    places = [(list(CONTIGS).index(row.contig), row.start) for row in rows]
    assert places == sorted(places)
    seen = set()
    for row in rows:
        assert row.attributes.get("Parent") is None or row.attributes["Parent"] in seen
        seen.add(row.attributes["ID"])
        assert row.score is not None
        assert 0 <= row.score <= 1
    assert {row.score for row in rows if row.kind in ("exon", "CDS", "five_prime_UTR")} == {0.25}
    for gene in named:
        own = [row for row in rows if row.attributes.get("Parent") == f"{gene.name}.t1"]
        sizes = {
            kind: sum(row.end - row.start for row in own if row.kind == kind) for kind in {row.kind for row in own}
        }
        assert sizes.pop("exon") == sum(sizes.values())
        before = 0
        for row in sorted(
            (row for row in own if row.kind == "CDS"), key=lambda row: row.start * (1 if gene.strand == "+" else -1)
        ):
            assert row.phase == -before % 3
            before += row.end - row.start
    assert [gene.name for gene in named] == [f"gene{n:06d}" for n in range(1, len(named) + 1)]


def test_proteins_are_those_of_biopython(
    tmp_path: Path, found: tuple[list[GeneModel], dict[str, np.ndarray], GenomeStore]
) -> None:
    genes, codes, _ = found
    named = numbered(genes, CONTIGS)
    write_proteins(tmp_path / "a.faa", named, codes, code=1)
    records = list(SeqIO.parse(tmp_path / "a.faa", "fasta"))  # type: ignore[no-untyped-call]
    assert [record.id for record in records] == [f"{gene.name}.t1" for gene in named]
    for gene, record in zip(named, records, strict=True):
        text = decode(codes[gene.contig])
        parts = [text[start:end] for start, end in sorted(gene.cds)]
        coding = Seq("".join(parts)) if gene.strand == "+" else Seq("".join(parts)).reverse_complement()
        assert str(record.seq) == str(coding.translate(to_stop=True))


def test_genes_below_the_confidence_are_left_out() -> None:
    genes = [
        GeneModel("b", "+", ((at, at + 9),), score=score) for at, score in ((50, 0.9), (20, 0.3), (10, float("nan")))
    ]
    assert [gene.cds[0][0] for gene in numbered(genes, CONTIGS, confidence=0.5)] == [10, 50]


@pytest.mark.parametrize("strand", ["+", "-"])
def test_a_gene_over_the_origin_is_written_as_one_and_read_again(tmp_path: Path, strand: str) -> None:
    coding = "ATG" + "GCA" * 9 + "TAA"
    circle = coding[20:] + "CCCCCC" + coding[:20]
    cds = [(19, 39), (0, 13)]
    if strand == "-":
        circle, cds = str(Seq(circle).reverse_complement()), [(0, 20), (26, 39)]
    gene = GeneModel("c", strand, tuple(cds), score=0.5)
    store = GenomeStore.from_sequences(["c"], [circle])
    write_gff3(tmp_path / "a.gff3", numbered([gene], {"c": 39}), {"c": 39}, code=11, circular=["c"])
    lines = [line.split("\t") for line in (tmp_path / "a.gff3").read_text().splitlines() if "\tCDS\t" in line]
    assert [(line[3], line[4]) for line in lines] == [("20", "52") if strand == "+" else ("27", "59")]
    (read,) = read_genes(tmp_path / "a.gff3", store).genes
    assert (read.strand, read.cds) == (strand, gene.cds)
    write_proteins(tmp_path / "a.faa", [gene], {"c": store.codes}, code=11)
    assert (tmp_path / "a.faa").read_text().splitlines()[1] == "M" + "A" * 9
