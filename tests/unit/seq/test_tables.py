"""Every kind of table gives the rows that stand in it, and errors say where."""

import gzip
import json
import sys
from pathlib import Path

import pytest

from gulmfit.errors import DataError
from gulmfit.seq.formats.tables import is_table, not_one_of, read_rows

HEADER = ("id", "sequence", "label")
ROWS = [("a", "ACGT", "yes"), ("b", "uugg", "no"), ("c", "NNRY", "yes")]
COLUMNS = {"letters": "sequence", "class": "label"}
KINDS = ["csv", "csv.gz", "tsv", "tsv.gz", "tab", "jsonl", "jsonl.gz", "parquet"]


def table_of(kind: str, folder: Path) -> Path:
    """Write ROWS in one of the kinds of table."""
    path = folder / f"table.{kind}"
    records = [dict(zip(HEADER, row, strict=True)) for row in ROWS]
    if kind == "parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.Table.from_pylist(records), path)
        return path
    if kind.startswith("jsonl"):
        text = "\n".join(map(json.dumps, records)) + "\n\n"
    else:
        separator = "," if kind.startswith("csv") else "\t"
        text = "\r\n".join(separator.join(row) for row in [HEADER, *ROWS]) + "\r\n\r\n"
    data = text.encode("utf-8-sig")
    path.write_bytes(gzip.compress(data) if kind.endswith(".gz") else data)
    return path


def cells(path: Path, columns=COLUMNS) -> list[dict[str, str]]:
    return [row for _, row in read_rows(path, columns)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table_gives_the_same(kind, tmp_path):
    path = table_of(kind, tmp_path)
    assert is_table(path)
    assert cells(path) == [{"letters": letters, "class": label} for _, letters, label in ROWS]
    assert cells(path, {"id": "id", "letters": None}) == [{"id": name} for name, _, _ in ROWS]


@pytest.mark.parametrize(
    ("kind", "places"),
    [
        ("csv", ["line 2", "line 3", "line 4"]),
        ("tsv.gz", ["line 2", "line 3", "line 4"]),
        ("jsonl", ["line 1", "line 2", "line 3"]),
        ("parquet", ["row 1", "row 2", "row 3"]),
    ],
)
def test_rows_know_their_place(kind, places, tmp_path):
    path = table_of(kind, tmp_path)
    assert [place for place, _ in read_rows(path, COLUMNS)] == [f"{path}, {place}" for place in places]


@pytest.mark.parametrize("name", ["a.fa", "a.fasta.gz", "a.txt", "csv", "a.csv.bak", "a.xlsx"])
def test_what_is_no_table_by_its_name(name, tmp_path):
    path = tmp_path / name
    assert not is_table(path)
    with pytest.raises(DataError, match=rf"{name}: .*table .* \.csv, "):
        cells(path)


def test_names_in_capitals_are_tables_too():
    assert is_table(Path("A.CSV"))
    assert is_table(Path("A.TSV.GZ"))


def test_cells_are_stripped_text(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"sequence": " AC ", "label": 1}\n{"sequence": "G", "label": null}\n')
    assert cells(path) == [{"letters": "AC", "class": "1"}, {"letters": "G", "class": ""}]


def test_a_field_longer_than_the_csv_default_is_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sequence,label\n" + "ACGT" * 50_000 + ",x\n")
    assert len(cells(path)[0]["letters"]) == 200_000


@pytest.mark.parametrize("kind", KINDS)
def test_missing_column_names_the_nearest_and_those_found(kind, tmp_path):
    path = table_of(kind, tmp_path)
    with pytest.raises(DataError, match=r"table\..*: column 'sequenc' .*\]; .*'sequence'") as caught:
        cells(path, {"letters": "sequenc"})
    assert "['id', 'sequence', 'label']" in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sequence,label\nA,x\nC\n", "line 3: 1 field"),
        ("sequence,label\nA,x\nC,y,z\n", "line 3: 3 field"),
        ("sequence,label,label\nA,x,y\n", "line 1: 2 columns .*'label': "),
        ("", "no record"),
        ("sequence,label\n", "no record"),
        ('sequence,label\nA,"x\n', "unreadable"),
    ],
)
def test_broken_csv(text, message, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        cells(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{bad", "line 2: not JSON"),
        ("[1]", "line 2: found list"),
        ('{"label": 1}', "line 2: column 'sequence'"),
    ],
)
def test_broken_json_lines(line, message, tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"sequence": "A", "label": 0}\n' + line + "\n")
    with pytest.raises(DataError, match=message):
        cells(path)


@pytest.mark.parametrize("name", ["t.csv.gz", "t.jsonl.gz"])
def test_truncated_gzip(name, tmp_path):
    row = b"ACGT,1\n" if "csv" in name else b'{"sequence": "ACGT", "label": 1}\n'
    whole = gzip.compress(b"sequence,label\n" * ("csv" in name) + row * 5000)
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=f"{name}: unreadable"):
        cells(tmp_path / name)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"sequence,label\nA,\xff\xfe\n")
    with pytest.raises(DataError, match="unreadable"):
        cells(path)


def test_damaged_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(DataError, match=r"t\.parquet: .*readable Parquet"):
        cells(path)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"gulmfit\[parquet\]"):
        cells(path)


def test_a_wrong_name_is_told_the_nearest_if_one_is_near():
    assert not_one_of("lable", ["id", "label"]) == "'lable' is not one of ['id', 'label']; did you mean 'label'?"
    assert not_one_of("zzz", ["id", "label"]) == "'zzz' is not one of ['id', 'label']"
