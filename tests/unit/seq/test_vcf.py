"""Reading VCF: what is written is read again, and what is damaged is named."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import DataError
from gulmfit.seq.formats.vcf import Vcf, declared, described, unsequenced, vcf_file, with_info

COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
HEADER = ["##fileformat=VCFv4.3", COLUMNS]

bases = st.text("ACGTNacgt", min_size=1, max_size=5)
text = st.text(st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters="\t"), min_size=1, max_size=5)
alternatives = st.one_of(
    st.just("."), st.lists(st.one_of(bases, st.sampled_from(["*", "<DEL>", "G]17:1982]"])), min_size=1).map(",".join)
)
rows = st.tuples(text, st.integers(0, 10**9).map(str), text, bases, alternatives, text, text, text, text)


def read(path: Path, *lines: str) -> list[list[str]]:
    path.write_text("\n".join([*HEADER, *lines]) + "\n")
    return [list(record.fields) for record in Vcf(path).records()]


@given(st.lists(rows), st.booleans())
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, lines: list, zipped: bool) -> None:
    path = tmp_path_factory.mktemp("vcf") / "a.vcf"
    header = ["##fileformat=VCFv4.3", "##source=naïve", f"{COLUMNS}\tFORMAT"]
    with vcf_file(path, zipped=zipped) as write:
        for line in [*header, *map("\t".join, lines)]:
            write(line)
    vcf = Vcf(path)
    assert vcf.header == header
    for _ in range(2):  # it may be read more than once
        records = list(vcf.records())
        assert [record.fields for record in records] == lines
    for number, (record, line) in enumerate(zip(records, lines, strict=True), start=len(header) + 1):
        assert (record.contig, record.start + 1, record.ref) == (line[0], int(line[1]), line[3])
        assert record.alts == (() if line[4] == "." else tuple(line[4].split(",")))
        assert record.place == f"{path}, line {number}"
        assert record.locus == f"{line[0]}:{line[1]}"


def test_line_ends_compression_and_odd_bytes_do_not_matter(tmp_path: Path) -> None:
    content = "\n".join([*HEADER, "1\t7\trs\xe4\tA\tC\t.\t.\tDP=3", "", "1\t8\t.\tC\tG,T\t.\t.\t."]).encode("latin-1")
    ways = {
        "unix": content,
        "unix_ended": content + b"\n",
        "byte_order_mark": b"\xef\xbb\xbf" + content,
        "windows": content.replace(b"\n", b"\r\n"),
        "gzip": gzip.compress(content),
        "two_members": gzip.compress(content[:90]) + gzip.compress(content[90:]),
    }
    for name, form in ways.items():
        (tmp_path / name).write_bytes(form)
        first, second = Vcf(tmp_path / name).records()
        assert (second.start, second.alts) == (7, ("G", "T")), name
        with vcf_file(tmp_path / "again", zipped=False) as write:
            write("\t".join(first.fields))
        assert (tmp_path / "again").read_bytes() == "1\t7\trs\xe4\tA\tC\t.\t.\tDP=3\n".encode("latin-1")


@pytest.mark.parametrize(
    ("allele", "kind"),
    [
        ("A", ""), ("acgtn", ""), (".", "missing"), ("*", "spanning_deletion"), ("<DEL>", "symbolic"),
        ("<NON_REF>", "symbolic"), ("<*>", "symbolic"), ("G]17:198982]", "breakend"), ("[13:123457[C", "breakend"),
        (".TGCA", "breakend"), ("G.", "breakend"),
    ],
)  # fmt: skip
def test_alleles_without_bases(tmp_path: Path, allele: str, kind: str) -> None:
    assert unsequenced(allele) == kind
    assert len(read(tmp_path / "a.vcf", f"1\t7\t.\tA\t{allele},T\t.\t.\t.")) == 1


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("1\t7\t.\tA", r"line 4: 4 column\(s\) where .* has 8"),
        ("1 7 . A C . . .", r"line 4: 1 column\(s\).*'1 7 . A C . . .'.*tabs"),
        ("1\t7\t.\tA\tC\t.\t.\t.\tGT", r"line 4: 9 column\(s\)"),
        ("1\tseven\t.\tA\tC\t.\t.\t.", "line 4: POS 'seven'"),
        ("1\t-7\t.\tA\tC\t.\t.\t.", "line 4: POS '-7'"),
        (f"1\t{'9' * 5000}\t.\tA\tC\t.\t.\t.", "line 4: POS '999"),
        ("1\t7\t.\tAXA\tC\t.\t.\t.", "line 4: REF 'AXA' holds 'X'"),
        ("1\t7\t.\t.\tC\t.\t.\t.", r"line 4: REF '\.' holds '\.'"),
        ("1\t7\t.\t\tC\t.\t.\t.", "line 4: REF '' .*ACGTN"),
        ("1\t7\t.\tA\tC,-\t.\t.\t.", "line 4: ALT '-' holds '-'"),
        ("1\t7\t.\tA\tC,,G\t.\t.\t.", "line 4: ALT '' .*<DEL>"),
        ("1\t7\t.\tA\t<DEL\t.\t.\t.", "line 4: ALT '<DEL' holds '<'"),
    ],
)
def test_damaged_lines_are_named(tmp_path: Path, line: str, complaint: str) -> None:
    with pytest.raises(DataError, match=rf"a\.vcf, {complaint}"):
        read(tmp_path / "a.vcf", "1\t5\t.\tA\tC\t.\t.\t.", line)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "line 1: ''"),
        (b"##fileformat=VCFv4.3\n", "line 2: ''"),
        (b"1\t7\t.\tA\tC\t.\t.\t.\n", "line 1: .*column names"),
        (b"#CHROM\tPOS\tREF\tALT\n", "line 1: .*column names"),
        (b"BCF\x02\x02\x00\xff\n", "line 1: .*bcftools view"),
        (gzip.compress(b"##fileformat=VCFv4.3\n" * 999, mtime=0)[:-9], "cut short"),
    ],
)
def test_what_is_no_vcf_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "a.vcf").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.vcf.*{complaint}"):
        Vcf(tmp_path / "a.vcf")
    with pytest.raises(DataError, match=r"none\.vcf: unreadable .*No such"):
        Vcf(tmp_path / "none.vcf")


def test_info_is_added_to_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "a.vcf").write_text("\n".join([*HEADER, "1\t5\t.\tA\tC,G\t.\t.\t.", "1\t6\t.\tA\tC,G\t.\t.\tDP=3;DB"]))
    vcf = Vcf(tmp_path / "a.vcf")
    spelled = [with_info(record, {"X": ["1", "."], "Y": ["a", "b"]}).split("\t") for record in vcf.records()]
    assert [fields[-1] for fields in spelled] == ["X=1,.;Y=a,b", "DP=3;DB;X=1,.;Y=a,b"]
    assert [with_info(record, {}).split("\t")[-1] for record in vcf.records()] == [".", "DP=3;DB"]
    header = described(vcf.header, ['##INFO=<ID=X,Number=A,Type=Float,Description="x">', "##other=1"])
    assert header[-1] == COLUMNS
    assert declared(header) == {"X"}


def test_htslib_reads_and_indexes_what_is_written(tmp_path: Path) -> None:
    pysam = pytest.importorskip("pysam")
    path = tmp_path / "a.vcf.gz"
    info = '##INFO=<ID=X,Number=A,Type=Float,Description="a \\"quoted\\" name">'
    with vcf_file(path, zipped=True) as write:
        for line in described(["##fileformat=VCFv4.3", "##contig=<ID=1>", COLUMNS], [info]):
            write(line)
        for position in range(1, 20_000):  # several blocks
            write(f"1\t{position}\t.\tA\tC,G\t.\t.\tX=.,{position / 8}")
    pysam.tabix_index(str(path), preset="vcf")
    with pysam.VariantFile(str(path)) as file:
        assert [record.info["X"] for record in file.fetch("1", 14_998, 15_000)] == [(None, 1874.875), (None, 1875.0)]
