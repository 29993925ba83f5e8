"""Wrong types, missing values, quotes, headers and encodings of untidy tables: nothing becomes another thing."""

import csv
import gzip
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import Letters
from gulmfit.seq.formats.tables import read_rows
from gulmfit.seq.labels.labelled import LabelledSequences, read_sequences, read_table

COLUMNS = {"sequence": "sequence", "label": "label"}


def jsonl(folder: Path, *labels: Any) -> Path:
    path = folder / "t.jsonl"
    rows = [{"sequence": "ACGT" + "ACGT"[index % 4], "label": label} for index, label in enumerate(labels)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def csv_of(folder: Path, *rows: tuple[str, str], header: tuple[str, str] = ("sequence", "label")) -> Path:
    path = folder / "t.csv"
    with open(path, "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([header, *rows])
    return path


def sets_of(data: LabelledSequences) -> list[set[str]]:
    return [{name for name, there in zip(data.classes, row, strict=True) if there} for row in data.labels]


@pytest.mark.parametrize("parquet", [False, True])
def test_lists_are_label_sets(tmp_path: Path, parquet: bool) -> None:
    sets = [["cpg", "inr"], ["tata"], [], ["inr"]]
    path = jsonl(tmp_path, *sets)
    if parquet:
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet

        path = tmp_path / "t.parquet"
        pyarrow.parquet.write_table(pa.table({"sequence": ["ACGT", "ACCT", "AGGT", "ATTT"], "label": sets}), path)
    data = read_table(path, targets="label_sets")
    assert (data.classes, sets_of(data)) == (["cpg", "inr", "tata"], [set(one) for one in sets])
    with pytest.raises(DataError, match=r"(line|row) 1: column 'label'"):
        read_table(path)


@pytest.mark.parametrize(
    ("label", "targets"),
    [
        ({"a": 1}, "label_sets"), ([0, 1, 1], "label_sets"), ([True], "label_sets"), ([1.0, 0.0], "label_sets"),
        (["a;b"], "label_sets"), ([""], "label_sets"), ([["a"]], "label_sets"), ([0, 1, 1], "classes"),
        ([1.5], "values"), ({"a": 1}, "classes"),
    ],
)  # fmt: skip
def test_what_is_no_label_is_named_with_its_line(tmp_path: Path, label: Any, targets: str) -> None:
    plain: Any = {"label_sets": ["x"], "classes": "x", "values": 1.0}[targets]
    path = jsonl(tmp_path, plain, label)
    with pytest.raises(DataError, match=rf"{path}, line 2: column 'label'"):
        read_table(path, targets=targets)


@pytest.mark.parametrize("column", ["sequence", "label"])
def test_bytes_are_refused(tmp_path: Path, column: str) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    cells = {"sequence": ["ACGT", "ACCT"], "label": ["x", "y"]}
    cells[column] = [cell.encode() for cell in cells[column]]  # type: ignore[misc]
    pyarrow.parquet.write_table(pa.table(cells), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=f"row 1: column '{column}' .*bytes"):
        read_table(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    "cell", ["['cpg']", "['cpg', 'inr']", "[]", "[0, 1, 1]", "[0 1 1]", "{'a': 1}", "b'cpg'", "[a, b]"]
)
@pytest.mark.parametrize("targets", ["classes", "label_sets"])
def test_what_a_program_printed_is_no_label(tmp_path: Path, cell: str, targets: str) -> None:
    path = csv_of(tmp_path, ("ACGT", "x"), ("ACCT", cell), ("AGGT", "y"))
    with pytest.raises(DataError, match=r"t\.csv, line 3: label"):
        read_table(path, targets=targets)


@pytest.mark.parametrize("label", ["[2Fe-2S]", "(other)", "[unknown]", "-35 [box]", "a'b"])
def test_names_with_brackets_are_labels(tmp_path: Path, label: str) -> None:
    assert set(read_table(csv_of(tmp_path, ("ACGT", "x"), ("ACCT", label))).classes) == {"x", label}


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"sequence": "ACGT", "label": "a", "label": "b"}\n')
    with pytest.raises(DataError, match=r"line 1: .*JSON: .*key 'label'"):
        read_table(tmp_path / "t.jsonl")


@pytest.mark.parametrize("alphabet", ["dna", "protein"])
@pytest.mark.parametrize("cell", ["NA", "nan", "None", "NULL", "N/A", "", "NaN", "<NA>"])
def test_a_missing_sequence_is_an_error(tmp_path: Path, cell: str, alphabet: str) -> None:
    path = csv_of(tmp_path, ("ACGT", "x"), (cell, "y"))
    for read in (lambda: read_table(path, alphabet=alphabet), lambda: list(read_sequences(path, alphabet=alphabet))):
        with pytest.raises(DataError, match=r"t\.csv, line 3: column 'sequence'"):
            read()


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_a_header_in_the_middle_is_an_error(tmp_path: Path, kind: str) -> None:
    path, mark = tmp_path / f"t.{kind}", "," if kind == "csv" else "\t"
    path.write_text(2 * f"id{mark}sequence{mark}label\n1{mark}MKV{mark}x\n")
    for read in (lambda: read_table(path, alphabet="protein"), lambda: list(read_sequences(path, alphabet="protein"))):
        with pytest.raises(DataError, match=rf"t\.{kind}, line 3: the header"):
            read()


def test_quotes_in_tsv_are_letters(tmp_path: Path) -> None:
    notes = [f"note {index}" for index in range(40)]
    notes[4], notes[10], notes[20] = '"alpha subunit', 'beta subunit"', 'a "b" c'
    path = tmp_path / "t.tsv.gz"
    rows = [f"{index}\t{note}\tACGTACGT\t{'xy'[index % 2]}" for index, note in enumerate(notes)]
    path.write_bytes(gzip.compress(("id\tnote\tsequence\tlabel\n" + "\n".join(rows) + "\n").encode()))
    found = list(read_rows(path, {"note": "note", "id": "id"}))
    assert [row["id"] for _, row in found] == [str(index) for index in range(40)]
    assert [row["note"] for _, row in found] == notes


def test_quotes_around_a_value_of_tsv_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text('sequence\tlabel\nACGT\t"x"\n')
    with pytest.raises(DataError, match=r"line 2: column 'label'.*quotes"):
        read_table(tmp_path / "t.tsv")
    (tmp_path / "t.tsv").write_text('"sequence"\t"label"\n"ACGT"\t"x"\n')
    with pytest.raises(DataError, match="line 1: quotes around"):
        read_table(tmp_path / "t.tsv")


def test_a_line_break_in_a_field_of_csv_keeps_its_row(tmp_path: Path) -> None:
    notes = ["one\ntwo\r\nthree", 'q "r"\n', "a, b\nc"]
    with open(tmp_path / "t.csv", "w", newline="") as handle:
        csv.writer(handle).writerows([["id", "note", "sequence"], *([i, note, "ACGT"] for i, note in enumerate(notes))])
    assert [row["id"] for _, row in read_rows(tmp_path / "t.csv", {"id": "id"})] == ["0", "1", "2"]


def test_a_quote_that_swallows_rows_of_csv_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('id,note,sequence\n1,"alpha,ACGT\n2,x,ACGT\n3,beta",ACGT\n4,y,ACGT\n')
    with pytest.raises(DataError, match=r"t\.csv, lines 2 to 4"):
        list(read_rows(tmp_path / "t.csv", {"id": "id"}))


@pytest.mark.parametrize("cell", ["1_5", "１５", "0x1F", "1e", ""])
def test_what_only_python_reads_as_a_number_is_none(tmp_path: Path, cell: str) -> None:
    path = csv_of(tmp_path, ("ACGT", "1.5"), ("ACCT", cell))
    with pytest.raises(DataError, match="line 3: column 'label'"):
        read_table(path, targets="values")


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["x", "NA", "NA", "y"], "2 of 4 labels .*'NA'"),
        (["x", "None", "y"], "1 of 3 labels .*'None'"),
        (["Promoter", "promoter", "x"], r"'Promoter' \(1\) and 'promoter' \(1\)"),
        (["1", "01", "2"], r"'1' \(1\) and '01' \(1\)"),
        (["tata box", "tatabox"], "only in case, spaces"),
        (["\u00e9", "e\u0301"], "Unicode"),
    ],
)
def test_labels_that_may_be_slips_are_counted(
    tmp_path: Path, labels: list[str], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        data = read_table(csv_of(tmp_path, *(("ACGT" + "ACGT"[i], label) for i, label in enumerate(labels))))
    assert sorted(data.classes) == sorted(set(labels))  # kept as they are
    (record,) = caplog.records
    assert re.search(told, record.getMessage())


def test_labels_without_slips_are_not_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read_table(csv_of(tmp_path, ("ACGT", "chr1"), ("ACCT", "chr10"), ("AGGT", "v1.01"), ("AGGG", "1.1.0")))
    assert not caplog.records


@pytest.mark.parametrize(("letters", "warned"), [(("ACGT", "GATTACAN"), True), (("ACGT", "MKV"), False)])
def test_dna_for_a_protein_model_is_warned_of(
    tmp_path: Path, letters: tuple[str, ...], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.fa").write_text("".join(f">r{index}\n{text}\n" for index, text in enumerate(letters)))
    with caplog.at_level(logging.WARNING):
        assert len(list(read_sequences(tmp_path / "a.fa", alphabet="protein"))) == 2
    assert ("all 2 records" in caplog.text) == warned


def test_records_without_a_known_letter_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.fa").write_text(">a\nNNNN\n>b\nACGT\n>c\nRYN\n")
    with caplog.at_level(logging.WARNING):
        assert len(list(read_sequences(tmp_path / "a.fa"))) == 3
    assert "2 of 3 records" in caplog.text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le-bom", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_a_byte_order_mark_is_believed(tmp_path: Path, encoding: str, kind: str) -> None:
    mark = "," if kind == "csv" else "\t"
    text = f"sequence{mark}label\r\nACGT{mark}µ\r\n"
    if kind == "jsonl":
        text = '{"sequence": "ACGT", "label": "µ"}\r\n'
    data = b"\xff\xfe" + text.encode("utf-16-le") if encoding == "utf-16-le-bom" else text.encode(encoding)
    (tmp_path / f"t.{kind}").write_bytes(data)
    assert [row for _, row in read_rows(tmp_path / f"t.{kind}", COLUMNS)] == [{"sequence": "ACGT", "label": "µ"}]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_another_encoding_is_told_with_its_line(tmp_path: Path, end: bytes) -> None:
    rows = [b"sequence,label", *[b"ACGT,x"] * 5000, "ACGT,µ".encode("cp1252"), b"ACGT,y"]
    (tmp_path / "t.csv").write_bytes(end.join(rows))
    with pytest.raises(DataError, match=r"t\.csv, line 5002: .*0xb5.*Windows-1252.*'µ'"):
        list(read_rows(tmp_path / "t.csv", COLUMNS))
    (tmp_path / "t.csv").write_bytes("sequence,label\nACGT,x\n".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"t\.csv: .*UTF-16\b.*iconv -f UTF-16LE"):
        list(read_rows(tmp_path / "t.csv", COLUMNS))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("t.csv", "id;sequence;label\n1;ACGT;x\n", "semicolons"),
        ("t.csv", "id\tsequence\tlabel\n1\tACGT\tx\n", "tabs"),
        ("t.tsv", "id,sequence,label\n1,ACGT,x\n", "commas"),
        ("t.csv", "sep=;\nsequence;label\nACGT;x\n", "Excel"),
    ],
)
def test_fields_that_are_parted_by_something_else_are_told(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=rf"line 1: .*{told}"):
        list(read_rows(tmp_path / name, COLUMNS))


@pytest.mark.parametrize(("case", "blank"), [("upper", 2), ("mask", 3)])
def test_records_without_a_known_letter_are_counted_as_they_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str, blank: int
) -> None:
    (tmp_path / "a.fa").write_text(">n\nNNN\n>iupac\nRYn\n>rna\nUU\n>soft\nacgu\n>known\nNNA\n")
    list(read_sequences(tmp_path / "a.fa", letters=Letters(case=case)))
    assert re.search(rf"a\.fa: {blank} of 5 records .*\bletter\b", caplog.text)
