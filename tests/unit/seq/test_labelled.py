"""Tables and FASTA classes become the labelled sequences that stand in them, and errors say where."""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from gulmfit.errors import DataError, SequenceError
from gulmfit.seq.labelled import (
    LabelledSequences,
    read_fasta_classes,
    read_sequences,
    read_table,
    read_table_splits,
)

ROWS = [("a", "ACGT", "yes"), ("b", "uugg", "no"), ("c", "NNRY", "yes")]


def csv_file(path: Path, rows, header="id,sequence,label") -> Path:
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
    return path


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
        ({"labels": np.array([0, 2])}, "label 2 of record 'b' is out of range"),
        ({"labels": np.array([-1, 0])}, "label -1 of record 'a'"),
        ({"positive": "P"}, "positive class 'P' is not one of"),
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
        ("1.0", "'1.0' is not a class"),
        ("-0.5", "is not a class"),
        ("1e-3", "is not a class"),
        ("nan", "is not a class"),
        ("NaN", "is not a class"),
        ("-inf", "is not a class"),
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
    with pytest.raises(DataError, match=r"'a' occurs twice: .*line 2 and .*line 4"):
        read_table(path, id="id")
    assert read_table(path).ids == ["1", "2", "3"]
    path = csv_file(tmp_path / "u.csv", [("", "A", "x"), ("b", "C", "y")])
    with pytest.raises(DataError, match="line 2: empty id"):
        read_table(path, id="id")


def test_unknown_split_and_class(tmp_path):
    path = csv_file(tmp_path / "t.csv", [("A", "x", "train"), ("C", "y", "holdout")], "sequence,label,split")
    with pytest.raises(DataError, match="line 3: split 'holdout' is not one of"):
        read_table(path, split="split")
    with pytest.raises(DataError, match=r"line 3: label 'y' is not one of .*"):
        read_table(path, classes=["x", "z"])
    with pytest.raises(DataError, match="no example of declared class 'z'"):
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


@pytest.mark.parametrize(("train", "test"), [("xyz", "xy"), ("xy", "xyz")])
def test_labels_that_differ_between_train_and_test(train, test, tmp_path):
    files = [
        csv_file(tmp_path / f"{name}.csv", [(str(i), "A", label) for i, label in enumerate(labels)])
        for name, labels in (("train", train), ("test", test))
    ]
    with pytest.raises(DataError, match="labels that differ between train and test") as caught:
        read_table_splits(*files)
    assert "['z']" in str(caught.value)
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


def test_fasta_ids_that_repeat_between_classes_all_get_their_class(tmp_path):
    classes = {"b": fasta(tmp_path / "b.fa", s="A", t="C"), "a": fasta(tmp_path / "a.fa", s="G")}
    assert read_fasta_classes(classes).ids == ["b/s", "b/t", "a/s"]


def test_fasta_ids_that_repeat_inside_a_class_are_numbered(tmp_path):
    twice = [fasta(tmp_path / "b1.fa", s="A"), fasta(tmp_path / "b2.fa", s="C")]
    data = read_fasta_classes({"b": twice, "a": fasta(tmp_path / "a.fa", s="G")})
    assert data.ids == ["b/1", "b/2", "a/3"]


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
