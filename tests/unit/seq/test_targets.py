"""Classes, label sets and values: read from tables, refused where they are wrong, dealt in proportion."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from gulmfit.errors import DataError
from gulmfit.seq.labels.labelled import LabelledSequences, read_table, read_table_splits
from gulmfit.seq.labels.targets import target_kind
from gulmfit.seq.splits.split import HomologySplit, StratifiedSplit


def table(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def random_data(targets: str, labels: np.ndarray, classes: list[str], seed: int = 0) -> LabelledSequences:
    rng = np.random.default_rng(seed)
    sequences = ["".join(row) for row in rng.choice(list("ACGT"), size=(len(labels), 40))]
    return LabelledSequences([str(i) for i in range(len(labels))], sequences, labels, classes, targets=targets)


def test_names_and_columns_say_the_same(tmp_path: Path) -> None:
    path = table(
        tmp_path, "sequence,tags,x,y,z\nACGT,x;z,1,0,1\nCCCC,,0,false,0.0\nGGGG,y,0,1,0\nTTTT, z ; y ,0,True,1\n"
    )
    joined = read_table(path, label="tags", targets="label_sets")
    columns = read_table(path, label=["x", "y", "z"], targets="label_sets")
    assert joined.classes == columns.classes == ["x", "y", "z"]
    np.testing.assert_array_equal(joined.labels, [[1, 0, 1], [0, 0, 0], [0, 1, 0], [0, 1, 1]])
    np.testing.assert_array_equal(joined.labels, columns.labels)
    kind = target_kind("label_sets")
    assert [kind.text(row, joined.classes) for row in joined.labels] == ["x;z", "", "y", "y;z"]
    np.testing.assert_array_equal(joined.subset([3, 0]).labels, joined.labels[[3, 0]])


def test_values_keep_their_columns_and_digits(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv.gz"
    with gzip.open(path, "wt") as handle:
        handle.write("sequence\thalf\tactivity\nACGT\t-1e-3\t7\nCCCC\t0.1\t8.25\n")
    data = read_table(path, label=["activity", "half"], targets="values")
    assert data.classes == ["activity", "half"]
    assert data.positive == ""
    np.testing.assert_array_equal(data.labels, [[7, -0.001], [8.25, 0.1]])


def test_what_nobody_knows_is_read_written_and_counted_as_unknown(tmp_path: Path) -> None:
    path = table(tmp_path, "sequence,tags,x,y\nACGT,x;?y,1,?\nCCCC, ? x,?,0\nGGGG,?x;?y,?,?\nTTTT,y,0,1\n")
    joined = read_table(path, label="tags", targets="label_sets")
    columns = read_table(path, label=["x", "y"], targets="label_sets")
    assert joined.classes == columns.classes == ["x", "y"]
    known = [[1, -1], [-1, 0], [-1, -1], [0, 1]]
    np.testing.assert_array_equal(joined.labels, known)
    np.testing.assert_array_equal(columns.labels, known)
    kind = target_kind("label_sets")
    texts = [kind.text(row, ["x", "y"]) for row in columns.labels]
    assert texts == ["x;?y", "?x", "?x;?y", "y"]
    np.testing.assert_array_equal(kind.parse(texts, ["x", "y"], "test.tsv"), known)
    assert kind.counts(columns.labels, ["x", "y"]) == {"x": 1, "y": 1}
    assert kind.held(columns.labels[1:3], 2).tolist() == [False, False]
    for one, other, contrary in ((0, 1, False), (1, 3, True), (0, 3, True), (2, 3, False)):
        assert kind.differ(columns.labels[one], columns.labels[other]) is contrary
    for cell, told in (("x;?x", r"line 2: tags 'x;\?x' "), ("?", "line 2: empty tags")):
        with pytest.raises(DataError, match=told):
            read_table(
                table(tmp_path, f"sequence,tags\nACGT,{cell}\nCC,y\n", "u.csv"), label="tags", targets="label_sets"
            )
    with pytest.raises(DataError, match=r"^d\.csv: no .*\b3 .*'b'"):
        kind.check_training(np.array([[1, 0], [0, -1], [0, -1]]), ["a", "b"], "d.csv")
    with pytest.raises(DataError, match=r"^d\.csv: every .*\b3 .*'b'"):
        kind.check_training(np.array([[1, 1], [0, -1], [0, -1]]), ["a", "b"], "d.csv")


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "inf", "-inf", "high", "1,5"])
def test_what_is_no_number_is_named_with_its_line_and_column(cell: str, tmp_path: Path) -> None:
    path = table(tmp_path, f"sequence\tactivity\nACGT\t1.5\nACCT\t{cell}\n", "t.tsv")
    with pytest.raises(DataError, match=r"t\.tsv, line 3: column 'activity' .*'.*finite"):
        read_table(path, label="activity", targets="values")


@pytest.mark.parametrize("cell", ["", "2", "yes", "nan", "0.5"])
def test_what_is_neither_0_nor_1_is_named_with_its_line_and_column(cell: str, tmp_path: Path) -> None:
    path = table(tmp_path, f"sequence,x,y\nACGT,1,0\nACCT,0,{cell}\n")
    with pytest.raises(DataError, match=r"t\.csv, line 3: column 'y' holds"):
        read_table(path, label=["x", "y"], targets="label_sets")


@pytest.mark.parametrize(
    ("rows", "label", "targets", "message"),
    [
        ("a;a", "label", "label_sets", "line 2: label 'a;a' "),
        ("a;;b", "label", "label_sets", "line 2: empty label"),
        ("a", "label", "label_sets", r"\b1 distinct label\(s\), \['a'\]: head=multi_label"),
        ("a", ["label", "sequence"], "classes", r"\b2 .*\['label', 'sequence'\]; .*head=multi_label"),
        ("1", ["label", "label"], "values", r"column 'label', 'label' .*\['label', 'label'\]: head=regressor"),
        ("1", "absent", "values", r"column 'absent' .*\['sequence', 'label'\]"),
        ("1.5", "label", "classes", "head=regressor"),
        ("1", "label", "numbers", r"targets 'numbers' .*\['classes', 'values', "),
    ],
)
def test_mistakes_are_explained(rows: str, label: str, targets: str, message: str, tmp_path: Path) -> None:
    path = table(tmp_path, f"sequence,label\nACGT,{rows}\n")
    with pytest.raises(DataError, match=message):
        read_table(path, label=label, targets=targets)


def test_a_positive_is_of_classes_alone(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^positive=1: "):
        read_table(table(tmp_path, "sequence,y\nA,1\nC,2\n"), label="y", targets="values", positive="1")


@pytest.mark.parametrize(
    ("targets", "labels", "message"),
    [
        ("label_sets", [[1, 0], [1, 2]], r"labels .*record '1' .*\[1, 2\]: .*\b0, 1 or -1"),
        ("label_sets", [1, 0], r"shape \(2,\) for 2 names"),
        ("values", [[1.0], [np.nan]], r"values .*record '1' .*\[nan\]"),
        ("values", [[1.0, 2.0], [1.0, 2.0]], r"shape \(2, 2\) for 1 names"),
    ],
)
def test_containers_are_checked(targets: str, labels: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        random_data(targets, np.array(labels), ["a", "b"] if targets == "label_sets" else ["a"])


def test_a_label_of_the_test_part_alone_is_refused(tmp_path: Path) -> None:
    train = table(tmp_path, "sequence,label\nACGT,a;b\nCCCC,a\n", "train.csv")
    more = table(tmp_path, "sequence,label\nGGGG,a;c\n", "test.csv")
    less = table(tmp_path, "sequence,label\nGGGG,a\n", "less.csv")
    with pytest.raises(DataError, match=r"train\.csv\) \['b'\], .*test\.csv\) \['c'\]"):
        read_table_splits(train, more, targets="label_sets")
    assert read_table_splits(train, less, targets="label_sets").classes == ["a", "b"]


def test_what_cannot_be_learned_is_refused() -> None:
    sets, values = target_kind("label_sets"), target_kind("values")
    with pytest.raises(DataError, match=r"^d\.csv: no .*\b2 .*'b'"):
        sets.check_training(np.array([[1, 0], [0, 0]]), ["a", "b"], "d.csv")
    with pytest.raises(DataError, match=r"^d\.csv: every .*\b2 .*'a'"):
        sets.check_training(np.array([[1, 0], [1, 1]]), ["a", "b"], "d.csv")
    with pytest.raises(DataError, match="'y' is 3 in all 2 training sequences"):
        values.check_training(np.array([[1.0, 3.0], [2.0, 3.0]]), ["x", "y"], "d.csv")
    sets.check_training(np.array([[1, 0], [0, 1]]), ["a", "b"], "d.csv")
    values.check_training(np.array([[1.0], [2.0]]), ["x"], "d.csv")


def test_strata_of_sets_are_the_sets_while_these_are_frequent() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((600, 3)) < (0.5, 0.5, 0.02)).astype(int)
    strata = target_kind("label_sets").strata(labels)
    sizes = np.bincount(strata)
    assert sizes.min() >= 20  # no stratum is too small to be dealt, and none is empty
    common = labels[:, 2] == 0
    for one in np.unique(strata[common]):
        assert len(np.unique(labels[(strata == one) & common], axis=0)) == 1
    few = (rng.random((600, 2)) < (0.3, 0.06)).astype(int)  # of the pair there are too few, of the second label enough
    assert few.all(axis=1).sum() < 20
    strata = target_kind("label_sets").strata(few)
    assert len(np.unique(strata[few[:, 1] == 1])) == 1
    assert not set(strata[few[:, 1] == 1]) & set(strata[few[:, 1] == 0])
    assert len(target_kind("label_sets").strata(labels[:3])) == 3


def test_strata_of_values_are_quantiles() -> None:
    rng = np.random.default_rng(0)
    values = rng.lognormal(size=(200, 1))
    strata = target_kind("values").strata(values)
    assert np.bincount(strata).tolist() == [20] * 10
    order = np.argsort(values[:, 0])
    assert (np.diff(strata[order]) >= 0).all()
    ties = target_kind("values").strata(np.repeat([[0.0], [1.0]], [150, 50], axis=0))
    assert len(set(ties[:150])) == len(set(ties[150:])) == 1
    two = np.hstack([values, -values])
    assert len(np.unique(target_kind("values").strata(two))) == 10
    assert target_kind("values").strata(values[:5]).tolist() == [0] * 5


@pytest.mark.parametrize("split", [StratifiedSplit(0.1, 0.2, 0), HomologySplit(0.1, 0.2, 0)])
def test_splits_deal_sets_and_quantiles_in_proportion(split: StratifiedSplit | HomologySplit) -> None:
    rng = np.random.default_rng(1)
    sets = random_data("label_sets", (rng.random((500, 2)) < 0.3).astype(int), ["a", "b"])
    values = random_data("values", rng.normal(size=(500, 1)), ["y"])
    for data, statistic in ((sets, lambda part: part.labels.mean(0)), (values, lambda part: part.labels.mean(0))):
        where = split(data)
        assert {part: int((where == part).sum()) for part in ("valid", "test")} == pytest.approx(
            {"valid": 50, "test": 100}, abs=5
        )
        for part in ("train", "valid", "test"):
            tolerance = 0.03 if data is sets else 0.1  # at random it would be 0.06 and 0.14 for 50 sequences
            assert statistic(data.subset(where == part)) == pytest.approx(statistic(data), abs=tolerance)
        folds = split.folds(data, 5)
        assert np.bincount(folds).tolist() == [100] * 5


def test_groups_stay_whole_whatever_the_target() -> None:
    rng = np.random.default_rng(2)
    data = random_data("values", rng.normal(size=(60, 1)), ["y"])
    data.sequences = [data.sequences[i // 3] for i in range(60)]
    where = HomologySplit(0.2, 0.2, 0)(data)
    assert all(len(set(where[i : i + 3])) == 1 for i in range(0, 60, 3))


def test_counts_sum_up_what_there_is() -> None:
    assert target_kind("classes").counts(np.array([0, 2, 2]), ["a", "b", "c"]) == {"a": 1, "b": 0, "c": 2}
    assert target_kind("label_sets").counts(np.array([[1, 0], [1, 1]]), ["a", "b"]) == {"a": 2, "b": 1}
    assert target_kind("values").counts(np.array([[1.0], [3.0]]), ["y"]) == {"y": {"mean": 2.0, "sd": 1.0}}
