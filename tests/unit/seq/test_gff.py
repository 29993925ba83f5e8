"""GFF3 and GTF: one set of features in both, directives, escapes, circles, and a message for everything wrong."""

import gzip
from pathlib import Path

import pytest

from gulmfit.errors import DataError
from gulmfit.seq.formats.features import CROSSES_ORIGIN, Feature, join_parts
from gulmfit.seq.formats.gff import read_gff
from tests.unit.seq.test_fasta import bgzip

GFF3 = """##gff-version 3
# by hand
1\tx\tgene\t1\t9\t.\t+\t.\tgene_id=g1;biotype=protein_coding
1\tx\texon\t3\t3\t2.5\t-\t.\tgene_id=g1;transcript_id=t1;note=a%3B b%2C \"c\"

##sequence-region 1 1 20
1\tx\texon\t7\t9\t.\t?\t.\tgene_id=g1;transcript_id=t1
###
"""
GTF = """#!genome-build x
1\tx\tgene\t1\t9\t.\t+\t.\tgene_id "g1"; biotype "protein_coding";
1\tx\texon\t3\t3\t2.5\t-\t.\tgene_id "g1"; transcript_id "t1"; note "a; b, \\"c\\"";
1\tx\texon\t7\t9\t.\t.\t.\tgene_id "g1"; transcript_id "t1"
"""
FEATURES = [
    Feature("1", 0, 9, "+", "g1", None, "gene", {"gene_id": "g1", "biotype": "protein_coding"}),
    Feature("1", 2, 3, "-", "t1", 2.5, "exon", {"gene_id": "g1", "transcript_id": "t1", "note": 'a; b, "c"'}),
    Feature("1", 6, 9, ".", "t1", None, "exon", {"gene_id": "g1", "transcript_id": "t1"}),
]


def read(folder: Path, text: str | bytes, name: str = "a.gff3", kinds: set[str] | None = None) -> list[Feature]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [feature._replace(place="") for feature in read_gff(path, kinds)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bgzip, lambda text: text.replace(b"\n", b"\r\n"), bytes.rstrip])
@pytest.mark.parametrize(("name", "text"), [("a.gff3", GFF3), ("a.gtf", GTF), ("a.gff", GFF3), ("b.gff", GTF)])
def test_both_formats_give_the_same_features(tmp_path: Path, pack, name: str, text: str) -> None:  # type: ignore[no-untyped-def]
    assert read(tmp_path, pack(text.encode()), name) == FEATURES


def test_a_feature_knows_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.gff3").write_text(GFF3)
    assert [f.place.rpartition(" ")[2] for f in read_gff(tmp_path / "a.gff3")] == ["3", "4", "7"]


@pytest.mark.parametrize("sequence", ["##FASTA\n>1\nACGT\n", ">1\nACGT\n"])
def test_sequence_ends_the_features(tmp_path: Path, sequence: str) -> None:
    assert read(tmp_path, GFF3 + sequence) == FEATURES


def test_kinds_are_chosen_and_other_lines_are_not_judged(tmp_path: Path) -> None:
    broken = GFF3.replace("exon\t7\t9", "exon\t9\t7")
    assert read(tmp_path, broken, kinds={"gene"}) == FEATURES[:1]
    with pytest.raises(DataError, match=r"line 7: start 9, end 7"):
        read(tmp_path, broken, kinds={"exon"})


def test_a_key_that_gtf_repeats_has_all_its_values(tmp_path: Path) -> None:
    line = '1\tx\texon\t1\t9\t.\t+\t.\tgene_id "g"; tag "basic"; exon_number 2; tag "CCDS";\n'
    assert read(tmp_path, line, "a.gtf")[0].attributes == {"gene_id": "g", "tag": "basic,CCDS", "exon_number": "2"}


def test_escaped_names_of_contigs(tmp_path: Path) -> None:
    assert read(tmp_path, "a%3E1\tx\texon\t1\t9\t.\t+\t.\t.\n")[0].contig == "a>1"


def test_a_feature_over_the_origin_comes_in_two_pieces(tmp_path: Path) -> None:
    text = (
        "c\tx\tregion\t1\t100\t.\t+\t.\tID=c;Is_circular=true\n"
        "c\tx\tCDS\t91\t115\t.\t-\t0\tID=p\n"
        "c\tx\tCDS\t91\t100\t.\t-\t0\tID=q\n"
    )
    pieces = read(tmp_path, text, kinds={"CDS"})
    assert [(f.start, f.end, f.name) for f in pieces] == [(90, 100, "p"), (0, 15, "p"), (90, 100, "q")]
    assert [CROSSES_ORIGIN in f.attributes for f in pieces] == [True, True, False]
    assert join_parts(pieces) == pieces
    with pytest.raises(DataError, match=r"line 2: 91-300 .*circular contig 'c' .*\b100 bases"):
        read(tmp_path, text.replace("115", "300"))


def test_parts_are_joined_only_where_asked(tmp_path: Path) -> None:
    """Of one ID, kind, contig and strand; the order of the lines does not matter."""
    lines = [
        "c\tx\tCDS\t{}\t{}\t.\t{}\t0\tID={};Parent=t".format(*cells)
        for cells in [(51, 60, "-", "a"), (1, 9, "+", "b"), (11, 20, "-", "a"), (71, 80, "+", "a"), (31, 40, "-", "a")]
    ]
    parts = read(tmp_path, "\n".join(lines))
    assert len(parts) == 5
    assert [(f.start, f.end, f.strand, f.name) for f in join_parts(parts)] == [
        (10, 60, "-", "a"),
        (0, 9, "+", "b"),
        (70, 80, "+", "a"),
    ]


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("a.gff3", "1 x exon 1 9 . + . ID=a", r"line 1: 1 column\(s\).*expected 9 with tabs"),
        ("a.gff3", "1\tx\texon\t0\t9\t.\t+\t.\tID=a", "line 1: start 0, end 9; .*1 <= start <= end"),
        ("a.gff3", "1\tx\texon\t-4\t9\t.\t+\t.\tID=a", "line 1: start -4, end 9"),
        ("a.gff3", "1\tx\texon\t10\t9\t.\t+\t.\tID=a", "line 1: start 10, end 9"),
        ("a.gff3", "1\tx\texon\t1\tend\t.\t+\t.\tID=a", "line 1: end 'end' .*18 digits"),
        ("a.gff3", "1\tx\texon\t1\t9\thigh\t+\t.\tID=a", "line 1: score 'high'"),
        ("a.gff3", "1\tx\texon\t1\t9\t.\t*\t.\tID=a", r"line 1: strand '\*'"),
        ("a.gtf", "##gff-version 3", "a.gtf: no feature"),
        ("a.gff3", "##FASTA\n>a\nACGT", "a.gff3: no feature"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, line, name)
