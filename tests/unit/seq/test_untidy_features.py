"""Records that are odd where nobody looks do not stop a file: GFF3, GTF, GenBank, VCF, lineages."""

import codecs
import logging
from pathlib import Path

import pytest

from gulmfit.data.sources.reads import ReadsSource
from gulmfit.data.sources.regions import IntervalsSource
from gulmfit.errors import DataError
from gulmfit.predict.variant_check import left_out, survey
from gulmfit.seq.alphabet import encode
from gulmfit.seq.formats.bed import read_bed
from gulmfit.seq.formats.features import ODD_ATTRIBUTES
from gulmfit.seq.formats.gff import read_gff
from gulmfit.seq.formats.vcf import Vcf, with_info
from gulmfit.seq.genome.genbank import genbank_store, read_genbank
from gulmfit.seq.labels.lineages import prefix_ranks, read_lineages

VCF_HEADER = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
LOCUS = """LOCUS       {name}                 12 bp    DNA     linear   BCT 01-JAN-2020
DEFINITION  Strain®, a µ.
ACCESSION   {accession}
VERSION     {accession}
FEATURES             Location/Qualifiers
     gene            1..6
                     /note="caf\u00e9"
ORIGIN
        1 acgtacgtac gt
//
"""


def gff(folder: Path, column: str, name: str = "a.gff3") -> Path:
    path = folder / name
    path.write_text(f"c\ts\tgene\t1\t6\t.\t+\t.\t{column}\nc\ts\tgene\t7\t12\t.\t-\t.\t{column}\n")
    return path


@pytest.mark.parametrize(
    ("name", "column", "known", "odd"),
    [
        ("a.gff3", "ID=g;product=Qin prophage; predicted protein", {"ID": "g"}, "product"),
        ("a.gff3", "Dbxref=A:1;ID=g;Dbxref=B:2", {"ID": "g", "Dbxref": "A:1,B:2"}, "Dbxref"),
        ("a.gff3", "ID=g;=x", {"ID": "g"}, "ID"),
        ("a.gtf", 'gene_id "g"; odd; note "x";', {"gene_id": "g", "note": "x"}, "gene_id"),
        ("a.gtf", 'gene_id "g"; note "x', {"gene_id": "g"}, "gene_id"),
        ("a.gff", "ID=g; x", {"ID": "g"}, "ID"),
    ],
)
def test_an_odd_attribute_is_passed_over_and_counted(
    tmp_path: Path, name: str, column: str, known: dict[str, str], odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = gff(tmp_path, column, name)
    with caplog.at_level(logging.WARNING):
        found = list(read_gff(path))
    assert [(one.start, one.end, one.strand) for one in found] == [(0, 6, "+"), (6, 12, "-")]
    assert all(known.items() <= one.attributes.items() for one in found)
    assert [one.attributes[ODD_ATTRIBUTES] for one in found] == [odd, odd]
    (record,) = caplog.records
    assert "2 feature(s)" in record.getMessage()
    assert f"{path}, line 1" in record.getMessage()


def test_an_odd_attribute_is_no_label(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text(">c\nACGTACGTACGT\n")
    words = {"genome": str(tmp_path / "g.fa"), "cache_dir": str(tmp_path / "store")}
    path = tmp_path / "a.gff3"
    path.write_text("".join(f"c\ts\tg\t{i}\t{i + 3}\t.\t+\t.\tkind={i};product=a; b\n" for i in (1, 5)))
    with pytest.raises(DataError, match=r"a\.gff3, line 1: attribute:product"):
        IntervalsSource(path=str(path), label="attribute:product", **words).labelled()
    assert IntervalsSource(path=str(path), label="attribute:kind", **words).labelled().classes == ["1", "5"]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("a.gff3", '"ID=g1;Name=gltI"'), ("a.gff3", 'ID="g1";Name="gltI"'), ("a.gff", '"ID=g1;Name=gltI"'),
        ("a.gtf", '"ID ""g1""; Name ""gltI"";"'), ("a.gff3", "ID=g1;Name=gltI"),
    ],
)  # fmt: skip
def test_quotes_around_column_9_are_no_part_of_it(tmp_path: Path, name: str, column: str) -> None:
    found = next(read_gff(gff(tmp_path, column, name)))
    assert (found.name, dict(found.attributes)) == ("gltI", {"ID": "g1", "Name": "gltI"})


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-16"])
def test_genbank_in_any_encoding(tmp_path: Path, encoding: str, mark: bytes) -> None:
    text = LOCUS.format(name="R1", accession="R1.1").encode(encoding)
    (tmp_path / "a.gb").write_bytes(text if encoding == "utf-16" else mark + text)
    (feature,) = read_genbank(tmp_path / "a.gb")
    assert (feature.contig, feature.attributes["note"]) == ("R1.1", "café")
    assert [contig.length for contig in genbank_store(tmp_path / "a.gb").contigs] == [12]


def test_genbank_without_names_is_told_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.gb").write_text(2 * LOCUS.format(name="Exported", accession="."), encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.gb, record number 1 .*ACCESSION"):
        genbank_store(tmp_path / "a.gb")
    (tmp_path / "b.gb").write_text(2 * LOCUS.format(name="R1", accession="R1.1"), encoding="utf-8")
    with pytest.raises(DataError, match=r"b\.gb, record number 2: 'R1\.1'"):
        genbank_store(tmp_path / "b.gb")


@pytest.mark.parametrize(
    ("alt", "reasons"),
    [
        ("<DEL>", ["symbolic"]), ("*", ["spanning_deletion"]), ("]c:5]N", ["breakend"]), (".", []),
        ("N.", ["breakend"]),
        ("<DEL>,<INS>", ["symbolic"] * 2), ("C", ["ref_mismatch"]), ("<DEL>,C", ["symbolic", "ref_mismatch"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ref", ["N", "G"])
def test_what_is_not_scored_does_not_stop_a_vcf(tmp_path: Path, alt: str, reasons: list[str], ref: str) -> None:
    (tmp_path / "a.vcf").write_text(f"{VCF_HEADER}c\t2\t.\t{ref}\t{alt}\t.\t.\t.\n")
    (record,) = Vcf(tmp_path / "a.vcf").records()
    assert left_out(record, encode("AAAA")) == reasons
    found = survey(Vcf(tmp_path / "a.vcf"), {"c": encode("AAAA")}, "genome")
    assert (found.mismatches, found.records) == (int("ref_mismatch" in reasons), 1)


def test_a_contig_of_symbolic_alleles_alone_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "a.vcf").write_text(f"{VCF_HEADER}decoy\t2\t.\tN\t<DEL>\t.\t.\t.\nc\t2\t.\tA\tC\t.\t.\t.\n")
    found = survey(Vcf(tmp_path / "a.vcf"), {"c": encode("AAAA")}, "genome")
    assert (found.records, found.alleles, found.mismatches) == (2, 1, 0)
    (tmp_path / "a.vcf").write_text(f"{VCF_HEADER}decoy\t2\t.\tA\tC,<DEL>\t.\t.\t.\n")
    with pytest.raises(DataError, match="'decoy'"):
        survey(Vcf(tmp_path / "a.vcf"), {"c": encode("AAAA")}, "genome")


@pytest.mark.parametrize(
    ("info", "wanted"), [("AC=1;", "AC=1;X=2"), ("AC=1", "AC=1;X=2"), (".", "X=2"), (";", "X=2"), ("A;B", "A;B;X=2")]
)
def test_info_has_no_empty_field(tmp_path: Path, info: str, wanted: str) -> None:
    (tmp_path / "a.vcf").write_text(f"{VCF_HEADER}c\t2\t.\tA\tC\t.\t.\t{info}\n")
    (record,) = Vcf(tmp_path / "a.vcf").records()
    assert with_info(record, {"X": ["2"]}).split("\t")[7] == wanted


@pytest.mark.parametrize("blank", ["", "Unassigned", "k__; p__", "NA"])
@pytest.mark.parametrize("table", [False, True])
def test_one_id_without_a_lineage_is_dropped_and_counted(
    tmp_path: Path, blank: str, table: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [("S1", "k__A; p__B"), ("S2", blank), ("S3", "k__A; p__C")]
    path = tmp_path / ("t.tsv" if table else "t.txt")
    path.write_text("id\ttaxon\n" * table + "".join("\t".join(row) + "\n" for row in rows))
    with caplog.at_level(logging.WARNING):
        found = read_lineages(path, lineage="taxon")
    assert found == {"S1": ("k__A", "p__B"), "S3": ("k__A", "p__C")}
    assert prefix_ranks(list(found.values())) == ["kingdom", "phylum"]
    assert "1 id(s)" in caplog.text


def test_reads_are_cut_beside_an_unassigned_gene(tmp_path: Path) -> None:
    genes = ["ACGTTGCA" * 5, "TTGACCAT" * 5, "GGGTATCC" * 5, "CATCATGG" * 5, "AAGGTTCA" * 5]
    (tmp_path / "g.fa").write_text("".join(f">S{i}\n{letters}\n" for i, letters in enumerate(genes)))
    taxa = ["k__A; p__B", "k__A; p__C", "k__A; p__B", "k__A; p__C", "Unassigned"]
    (tmp_path / "t.txt").write_text("".join(f"S{i}\t{taxon}\n" for i, taxon in enumerate(taxa)))
    source = ReadsSource(
        path=str(tmp_path / "g.fa"), labels=str(tmp_path / "t.txt"), rank="phylum", min_genes=1, read_bp=20
    )
    assert source.labelled().classes == ["k__A;p__B", "k__A;p__C"]
    assert source.record["left_out"]["without lineage"] == 1


@pytest.mark.parametrize("score", ["1_5", "high"])
def test_a_score_that_only_python_reads_is_none(tmp_path: Path, score: str) -> None:
    (tmp_path / "a.bed").write_text(f"c\t0\t5\tx\t{score}\t+\n")
    with pytest.raises(DataError, match="line 1: score"):
        list(read_bed(tmp_path / "a.bed"))
