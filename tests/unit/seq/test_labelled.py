"""Tables and FASTA classes become the labelled sequences that stand in them, and errors say where."""

import gzip
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import ConfigError, DataError, SequenceError
from gulmfit.seq.alphabet import NUCLEOTIDE_LETTERS
from gulmfit.seq.labels.labelled import (
    LabelledSequences,
    clean_sequence,
    read_fasta_classes,
    read_sequences,
    read_table,
    read_table_splits,
)

ROWS = [("a", "ACGT", "yes"), ("b", "uugg", "no"), ("c", "NNRY", "yes")]


def csv_file(path: Path, rows, header="id,sequence,label") -> Path:
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl.gz"])
def test_a_table_becomes_labelled_sequences(kind, tmp_path):
    path = tmp_path / f"table.{kind}"
    if kind == "csv":
        csv_file(path, ROWS)
    else:
        records = [dict(zip(("id", "sequence", "label"), row, strict=True)) for row in ROWS]
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, records)).encode()))
    data = read_table(path, id="id")
    assert data.ids == ["a", "b", "c"]
    assert data.sequences == ["ACGT", "TTGG", "NNRY"]
    assert data.classes == ["no", "yes"]
    assert data.labels.tolist() == [1, 0, 1]
    assert data.labels.dtype == np.int64
    assert data.positive == "yes"
    assert data.splits is None
    assert data.files == [str(path)]
    assert list(read_sequences(path)) == [("1", "ACGT"), ("2", "TTGG"), ("3", "NNRY")]
    assert list(read_sequences(path, id="id")) == [("a", "ACGT"), ("b", "TTGG"), ("c", "NNRY")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sequence,label\nA,x\nC,x\n", "column 'label' of .* has 1 distinct"),
        ("sequence,label\nA,x\n,y\n", "line 3.*empty sequence"),
        ("sequence,label\nA,x\nACEG,y\n", "line 3, position 2"),
        ("sequence,label\nA,x\nC\n", "line 3: 1 field"),
    ],
)
def test_broken_table(text, message, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises((DataError, SequenceError), match=message) as caught:
        read_table(path)
    assert str(path) in str(caught.value)


def test_null_label_in_json_lines_is_an_empty_label(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"sequence": "A", "label": null}\n')
    with pytest.raises(DataError, match="line 1: empty label"):
        read_table(path)


any_case = st.text(alphabet=NUCLEOTIDE_LETTERS + NUCLEOTIDE_LETTERS.lower(), min_size=1, max_size=60)


def one_by_one(sequence: str, case: str) -> str:
    """Clean letter by letter, straight from the definition."""
    masked = ("N" if case == "mask" and letter.islower() else letter.upper() for letter in sequence)
    return "".join("T" if letter == "U" else letter for letter in masked)


@given(any_case, st.sampled_from(["upper", "mask"]), st.sampled_from(["split", "unk", "error"]))
def test_cleaning_agrees_with_the_definition(sequence, case, ambiguity):
    expected = one_by_one(sequence, case)
    position = next((i for i, letter in enumerate(expected) if letter not in "ACGT"), None)
    if ambiguity == "error" and position is not None:
        with pytest.raises(SequenceError, match=rf"^x\.fa, record 'r', position {position}: ") as caught:
            clean_sequence(sequence, "x.fa, record 'r'", case=case, ambiguity=ambiguity)
        assert repr(sequence[position]) in str(caught.value)
        assert "data.ambiguity=unk" in str(caught.value)
    else:
        assert clean_sequence(sequence, "", case=case, ambiguity=ambiguity) == expected


@pytest.mark.parametrize("policy", [{"case": "lower"}, {"ambiguity": "drop"}])
def test_policies_that_are_none(policy):
    with pytest.raises(ConfigError, match=f"{next(iter(policy))}='{next(iter(policy.values()))}' is no"):
        clean_sequence("A", "", **policy)


def masked_set(folder: Path, reader: str, **policies: str) -> LabelledSequences:
    """Read ACgt, RAA and CCC with one of the readers; the first is soft-masked at 2, the second ambiguous at 0."""
    rows = [("a", "ACgt", "x"), ("b", "RAA", "y"), ("c", "CCC", "x"), ("d", "CCC", "y")]
    if reader == "read_table":
        return read_table(csv_file(folder / "t.csv", rows), id="id", **policies)
    if reader == "read_table_splits":
        parts = csv_file(folder / "t.csv", rows[:2]), csv_file(folder / "u.csv", rows[2:])
        return read_table_splits(*parts, id="id", **policies)
    if reader == "read_fasta_classes":
        files = {label: folder / f"t.{label}" for label in "xy"}
        for label, path in files.items():
            fasta(path, **{name: letters for name, letters, other in rows if other == label})
        return read_fasta_classes(files, **policies)
    return LabelledSequences.from_strings(*zip(*rows, strict=True), **policies)


READERS = ["read_table", "read_table_splits", "read_fasta_classes", "from_strings"]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("ambiguity", ["unk", "split"])
def test_every_reader_masks_and_keeps_ambiguous_letters(reader, ambiguity, tmp_path):
    masked = masked_set(tmp_path, reader, case="mask", ambiguity=ambiguity)
    assert sorted(masked.sequences) == ["ACNN", "CCC", "CCC", "RAA"]
    assert sorted(masked_set(tmp_path, reader).sequences) == ["ACGT", "CCC", "CCC", "RAA"]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("case", "name", "letter", "position"), [("upper", "b", "R", 0), ("mask", "a", "g", 2)])
def test_every_reader_refuses_ambiguous_letters_at_their_place(reader, case, name, letter, position, tmp_path):
    message = rf"record '{name}', position {position}: '{letter}' is ambiguous .*set data\.ambiguity=unk"
    with pytest.raises(SequenceError, match=message) as caught:
        masked_set(tmp_path, reader, case=case, ambiguity="error")
    assert reader == "from_strings" or str(caught.value).startswith(f"{tmp_path}/t.")


@pytest.mark.parametrize("reader", READERS)
def test_ambiguous_letters_are_counted_once(reader, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    masked_set(tmp_path, reader, case="mask")
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "2 of 4 sequences hold ambiguous letters, 3 in all, which are read as unknown"
    ]
    caplog.clear()
    LabelledSequences.from_strings(["a", "b"], ["ACGU", "c"], ["x", "y"], ambiguity="error")
    assert not caplog.records


def test_unlabelled_fasta_in_order(tmp_path):
    path = tmp_path / "x.fa.gz"
    path.write_bytes(gzip.compress(b">z first\nACG\nuu\n>a\nnN\n"))
    assert list(read_sequences(path)) == [("z", "ACGTT"), ("a", "NN")]


def test_several_files_and_globs_number_records_on(tmp_path):
    csv_file(tmp_path / "1.csv", [("a", "AC", "x"), ("b", "AG", "y")])
    csv_file(tmp_path / "2.csv", [("a", "AT", "x")])
    data = read_table(str(tmp_path / "*.csv"))
    assert data.ids == ["1", "2", "3"]
    assert data.sequences == ["AC", "AG", "AT"]
    assert len(data.files) == 2


def test_numeric_classes_sort_by_value_and_positive_can_be_the_first(tmp_path):
    path = csv_file(tmp_path / "t.csv", [("a", "A", "10"), ("b", "C", "9"), ("c", "G", "0")])
    assert read_table(path).classes == ["0", "9", "10"]
    assert read_table(path, positive=0).positive == "0"


def test_errors_name_the_record_where_ids_are_known(tmp_path):
    path = csv_file(tmp_path / "t.csv", [("a", "A", "x"), ("b", "AJ", "y")])
    with pytest.raises(SequenceError, match=r"t\.csv, line 3, record 'b', position 1"):
        read_table(path, id="id")


def test_declared_classes_keep_their_order(tmp_path):
    path = csv_file(tmp_path / "t.csv", ROWS)
    data = read_table(path, classes=["yes", "no"])
    assert (data.classes, data.labels.tolist()) == (["yes", "no"], [0, 1, 0])


def test_split_column_synonyms(tmp_path):
    names = ["train", "Training", "val", "validation", "dev", "valid", "test"]
    rows = [("A" * (i + 1), str(i % 2), name) for i, name in enumerate(names)]
    data = read_table(csv_file(tmp_path / "t.csv", rows, "sequence,label,part"), split="part")
    assert data.splits.tolist() == ["train", "train", "valid", "valid", "valid", "valid", "test"]


def test_subset_keeps_classes_and_loci():
    data = LabelledSequences(
        ["a", "b", "c"],
        ["A", "C", "G"],
        np.array([0, 1, 0]),
        ["n", "p"],
        np.array(["train", "test", "valid"]),
        loci=[("chr", i, i + 1, "+") for i in range(3)],
    )
    part = data.subset([2, 0])
    assert (part.ids, part.sequences, part.labels.tolist()) == (["c", "a"], ["G", "A"], [0, 0])
    assert part.splits.tolist() == ["valid", "train"]
    assert part.loci == [("chr", 2, 3, "+"), ("chr", 0, 1, "+")]
    assert part.classes == ["n", "p"]
    assert part.positive == "p"
    assert data.subset(data.labels == 1).ids == ["b"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ["a"]}, "unequal lengths"),
        ({"splits": np.array(["train"])}, "unequal lengths"),
        ({"labels": np.array([0, 2])}, r"label 2 .*record 'b' .*\b0 to 1\b"),
        ({"labels": np.array([-1, 0])}, "label -1 of record 'a'"),
        ({"positive": "P"}, r"positive class 'P' .*\['n', 'p'\]"),
    ],
)
def test_construction_is_checked(change, message):
    good = {"ids": ["a", "b"], "sequences": ["A", "C"], "labels": np.array([0, 1]), "classes": ["n", "p"]}
    with pytest.raises(DataError, match=message):
        LabelledSequences(**(good | change))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("", "empty label"),
        ("1.0", r"line 3: label '1\.0' .*head=regressor"),
        ("-0.5", r"line 3: label '-0\.5' .*head=regressor"),
        ("1e-3", r"line 3: label '1e-3' .*head=regressor"),
        ("nan", r"line 3: label 'nan' .*head=regressor"),
        ("NaN", r"line 3: label 'NaN' .*head=regressor"),
        ("-inf", r"line 3: label '-inf' .*head=regressor"),
    ],
)
def test_labels_that_are_no_classes_are_named_with_their_line(label, message, tmp_path):
    path = csv_file(tmp_path / "t.csv", [("a", "A", "0"), ("b", "C", label), ("c", "C", "1")])
    with pytest.raises(DataError, match=message) as caught:
        read_table(path)
    assert f"{path}, line 3" in str(caught.value)


@pytest.mark.parametrize("label", ["-1", "1e", "e1", "sigma70", "1.2.3", "infra"])
def test_labels_that_are_classes(label, tmp_path):
    data = read_table(csv_file(tmp_path / "t.csv", [("a", "A", "x"), ("b", "C", label)]))
    assert set(data.classes) == {"x", label}


def test_repeated_and_empty_ids(tmp_path):
    path = csv_file(tmp_path / "t.csv", [("a", "A", "x"), ("b", "C", "y"), ("a", "G", "y")])
    assert read_table(path, id="id").ids == ["a/1", "b", "a/2"]
    assert read_table(path).ids == ["1", "2", "3"]
    path = csv_file(tmp_path / "u.csv", [("", "A", "x"), ("b", "C", "y")])
    with pytest.raises(DataError, match="line 2: empty id"):
        read_table(path, id="id")


def test_unknown_split_and_class(tmp_path):
    path = csv_file(tmp_path / "t.csv", [("A", "x", "train"), ("C", "y", "holdout")], "sequence,label,split")
    with pytest.raises(DataError, match=r"line 3: split 'holdout' .*\['dev', 'test', "):
        read_table(path, split="split")
    with pytest.raises(DataError, match=r"line 3: label 'y' .*\['x', 'z'\]"):
        read_table(path, classes=["x", "z"])
    with pytest.raises(DataError, match=r"no example .*'z': .*\['x', 'y'\]"):
        read_table(path, classes=["x", "y", "z"])
    with pytest.raises(DataError, match="1 distinct class"):
        read_table(path, classes=["x", "x"])


def test_files_for_each_part(tmp_path):
    train = csv_file(tmp_path / "train.csv", [("1", "A", "x"), ("2", "C", "y"), ("3", "C", "z")])
    valid = csv_file(tmp_path / "valid.csv", [("1", "AA", "x")])
    test = csv_file(tmp_path / "test.csv", [("1", "G", "y"), ("2", "T", "x"), ("3", "T", "z")])
    data = read_table_splits(train, test, valid)
    assert data.sequences == ["A", "C", "C", "AA", "G", "T", "T"]
    assert data.splits.tolist() == ["train"] * 3 + ["valid"] + ["test"] * 3
    assert data.ids == list("1234567")
    named = read_table_splits(train, test, id="id")
    assert named.ids == ["train/1", "train/2", "train/3", "test/1", "test/2", "test/3"]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ("xyz", "xy", r"train\.csv\) \['z'\], .*test\.csv\) \[\]"),
        ("xy", "xyz", r"train\.csv\) \[\], .*test\.csv\) \['z'\]"),
    ],
)
def test_labels_that_differ_between_train_and_test(train, test, message, tmp_path):
    files = [
        csv_file(tmp_path / f"{name}.csv", [(str(i), "A", label) for i, label in enumerate(labels)])
        for name, labels in (("train", train), ("test", test))
    ]
    with pytest.raises(DataError, match=message) as caught:
        read_table_splits(*files)
    assert str(files[1]) in str(caught.value)


def fasta(path: Path, **records: str) -> Path:
    path.write_text("".join(f">{name}\n{letters}\n" for name, letters in records.items()))
    return path


def test_fasta_classes(tmp_path):
    neg = fasta(tmp_path / "neg.fa", n1="ACGT", n2="uu")
    pos = [fasta(tmp_path / "pos1.fa", p1="ttt"), fasta(tmp_path / "pos2.fa", p2="GG")]
    data = read_fasta_classes({"pos": pos, "neg": neg})
    assert data.classes == ["neg", "pos"]
    assert dict(zip(data.ids, data.sequences, strict=True)) == {
        "n1": "ACGT",
        "n2": "TT",
        "p1": "TTT",
        "p2": "GG",
    }
    assert [data.classes[i] for i in data.labels] == ["pos", "pos", "neg", "neg"]
    assert sorted(data.files) == sorted(map(str, [neg, *pos]))
    assert read_fasta_classes({"pos": pos, "neg": neg}, positive="neg").positive == "neg"


def test_fasta_ids_that_repeat_between_classes_get_their_class(tmp_path):
    classes = {"b": fasta(tmp_path / "b.fa", s="A", t="C"), "a": fasta(tmp_path / "a.fa", s="G")}
    assert read_fasta_classes(classes).ids == ["b/s", "t", "a/s"]


def test_fasta_ids_that_repeat_inside_a_class_are_numbered(tmp_path):
    twice = [fasta(tmp_path / "b1.fa", s="A"), fasta(tmp_path / "b2.fa", s="C")]
    data = read_fasta_classes({"b": twice, "a": fasta(tmp_path / "a.fa", s="G")})
    assert data.ids == ["s/1", "s/2", "a/s"]


def test_fasta_class_errors(tmp_path):
    good = fasta(tmp_path / "good.fa", a="ACGT")
    bad = fasta(tmp_path / "bad.fa", a="ACGT", b="ACXT")
    with pytest.raises(SequenceError, match=r"bad\.fa, record 'b', position 2"):
        read_fasta_classes({"x": good, "y": bad})
    empty = tmp_path / "empty.fa"
    empty.write_text("")
    with pytest.raises((DataError, SequenceError), match=r"empty\.fa"):
        read_fasta_classes({"x": good, "y": empty})
    with pytest.raises(DataError, match="1 distinct class"):
        read_fasta_classes({"x": good})
