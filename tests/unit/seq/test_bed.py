"""BED: the same features from every packaging, there and back again, and a message for everything that can be wrong."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import DataError
from gulmfit.seq.formats.bed import read_bed
from gulmfit.seq.formats.features import Feature
from tests.unit.seq.test_fasta import bgzip

BED6 = "chr1\t0\t10\tfirst gene\t5.5\t+\n7\t5\t5\t.\t.\t.\nchr1\t3\t12\tlast\t1000\t-\n"
FEATURES = [
    ("chr1", 0, 10, "+", "first gene", 5.5),
    ("7", 5, 5, ".", "", None),
    ("chr1", 3, 12, "-", "last", 1000.0),
]
BED12 = "chr1\t100\t200\ttx\t0\t-\t110\t190\t255,0,0\t3\t10,20,30,\t0,30,70,"


def write(folder: Path, text: str, name: str = "a.bed") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "packed",
    [
        BED6.encode(),
        gzip.compress(BED6.encode(), mtime=0),
        bgzip(BED6.encode()),
        BED6.replace("\n", "\r\n").encode(),
        BED6.rstrip().encode(),
        b"browser position chr1:1-10\ntrack name=mine type=bed\n# made by hand\n\n" + BED6.encode(),
        BED6.encode("utf-8-sig"),
    ],
)
def test_every_packaging_gives_the_same_features(tmp_path: Path, packed: bytes) -> None:
    path = tmp_path / "a.bed"
    path.write_bytes(packed)
    assert [feature[:6] for feature in read_bed(path)] == FEATURES


def test_white_space_parts_columns_where_there_is_no_tab(tmp_path: Path) -> None:
    path = write(tmp_path, "chr1 1  2 name 0 +\n")
    assert next(read_bed(path))[:6] == ("chr1", 1, 2, "+", "name", 0.0)


def test_three_columns_are_enough(tmp_path: Path) -> None:
    place = f"{tmp_path / 'a.bed'}, line 1"
    assert list(read_bed(write(tmp_path, "2\t1\t9\n"))) == [Feature("2", 1, 9, ".", place=place)]


def test_columns_after_the_sixth_are_attributes(tmp_path: Path) -> None:
    attributes = next(read_bed(write(tmp_path, BED12))).attributes
    assert list(attributes) == ["thickStart", "thickEnd", "itemRgb", "blockCount", "blockSizes", "blockStarts"]
    peak = next(read_bed(write(tmp_path, "chr1\t1\t9\tp\t0\t.\t182.5\t5.1\t-1\t75\n")))
    assert dict(peak.attributes) == {"column7": "182.5", "column8": "5.1", "column9": "-1", "column10": "75"}


def bed_line(feature: Feature) -> str:
    """Write a feature as a line of BED: 6 columns and one for each attribute."""
    score = feature.score
    text = "." if score is None else str(int(score)) if score.is_integer() else repr(score)
    cells = [feature.contig, str(feature.start), str(feature.end), feature.name or ".", text, feature.strand]
    return "\t".join([*cells, *feature.attributes.values()])


@pytest.mark.parametrize("text", [BED6.replace("5.5", "5.25"), BED12])
def test_bed_to_features_to_bed(tmp_path: Path, text: str) -> None:
    assert [bed_line(feature) for feature in read_bed(write(tmp_path, text))] == text.rstrip().split("\n")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["chr1", "7", "scaffold|1.2"]),
            st.integers(0, 10**9),
            st.integers(0, 10**6),
            st.sampled_from("+-."),
            st.text(alphabet="ab;\"' #%", max_size=6).map(str.strip),
            st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(0, 1000).map(float),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_features_to_bed_to_features(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, int, int, str, str, float | None]]
) -> None:
    made = [Feature(contig, at, at + size, *rest) for contig, at, size, *rest in drawn]
    path = write(tmp_path_factory.mktemp("bed"), "".join(f"{bed_line(feature)}\n" for feature in made))
    assert [feature._replace(place="") for feature in read_bed(path)] == made


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.bed: no BED record"),
        ("# nothing\n", "a.bed: no BED record"),
        ("chr1\t1\n", r"line 1: 2 column\(s\)"),
        ("chr1\t1\t2\nchr1\t1\t2\tx\n", r"line 2: 4 column\(s\).* 3\b"),
        ("chr1\t-1\t2\n", "line 1: start -1, end 2"),
        ("#\nchr1\t5\t4\n", "line 2: start 5, end 4"),
        ("chr1\tx\t4\n", "line 1: start 'x' .*18 digits"),
        ("chr1\t1_0\t40\n", "line 1: start '1_0' .*18 digits"),
        ("chr1\t1\t4.0\n", r"line 1: end '4\.0' .*18 digits"),
        ("\t1\t4\n", "line 1: .*contig.* empty"),
        ("chr1\t1\t4\tn\thigh\t+\n", "line 1: score 'high'"),
        ("chr1\t1\t4\tn\t1\t?\n", r"line 1: strand '\?'"),
        (BED12.replace("\t3\t", "\t2\t"), "line 1: blockCount 2 with 3 blockSizes"),
        (BED12.replace("0,30,70", "0,30,60"), r"line 1: blocks .*\[0, 30, 60\] .*\[10, 20, 30\] .*100 bases"),
        (BED12.replace("0,30,70", "0,5,70"), r"line 1: blocks .*\[0, 5, 70\] .*\[10, 20, 30\] .*100 bases"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(read_bed(write(tmp_path, text)))


def test_a_file_that_is_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.bed.gz"
    path.write_bytes(gzip.compress(BED6.encode() * 1000)[:-20])
    with pytest.raises(DataError, match=r"a\.bed\.gz: unreadable .*\d+"):
        list(read_bed(path))


def test_records_come_one_at_a_time(tmp_path: Path) -> None:
    records = read_bed(write(tmp_path, "chr1\t1\t2\nbroken\n"))
    assert next(records).start == 1
    with pytest.raises(DataError, match="line 2"):
        next(records)
