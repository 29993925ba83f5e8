"""A stored split comes back as it was, and fits no other data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.splits.split import HomologySplit
from gulmfit.seq.splits.split_file import UNUSED, FileSplit, write_split


def sequences(count: int = 60, seed: int = 0) -> LabelledSequences:
    rng = np.random.default_rng(seed)
    return LabelledSequences(
        [f"r{i}" for i in range(count)],
        ["".join(rng.choice(list("ACGT"), 50)) for _ in range(count)],
        np.arange(count) % 2,
        ["a", "b"],
        files=["set.csv"],
    )


@pytest.fixture
def stored(tmp_path):
    data, split = sequences(), HomologySplit(0.2, 0.2, 0)
    path = tmp_path / "run" / "split.tsv"
    write_split(path, data, split(data), split.groups(data), split.folds(data, 5))
    return data, split, path


def test_a_split_comes_back(stored):
    data, split, path = stored
    again = FileSplit(str(path))
    for subset in (np.arange(60), np.random.default_rng(1).permutation(60)):
        shuffled = data.subset(subset)
        assert again(shuffled).tolist() == split(data)[subset].tolist()
        assert again.folds(shuffled, 5).tolist() == split.folds(data, 5)[subset].tolist()
    assert again.groups(data).tolist() == split.groups(data).tolist()
    assert [item.name for item in path.parent.iterdir()] == ["split.tsv"]


def test_rows_and_columns_may_be_in_any_order(stored):
    data, split, path = stored
    header, *rows = [line.split("\t") for line in path.read_text().splitlines()]
    assert header == ["id", "part", "group", "fold", "digest"]
    turned = [header, *reversed(rows)]
    path.write_text("".join("\t".join([*reversed(row), "x"]) + "\n" for row in turned))
    assert FileSplit(str(path))(data).tolist() == split(data).tolist()


@given(st.lists(st.text("ab \"',;|é", min_size=1).map(str.strip), unique=True, min_size=6, max_size=6))
def test_any_record_id_survives(tmp_path_factory, ids):
    data = sequences(6)
    data.ids = ids
    parts = np.array(["train", "train", "valid", "valid", "test", "test"])
    path = tmp_path_factory.mktemp("ids") / "split.tsv"
    write_split(path, data, parts, np.arange(6))
    assert FileSplit(str(path))(data).tolist() == parts.tolist()


def test_folds_that_are_not_stored_are_dealt_from_the_stored_groups(stored):
    data, split, path = stored
    groups = np.arange(60) // 2
    write_split(path, data, split(data), groups)
    again = FileSplit(str(path), seed=1)
    numbers = again.folds(data, 4)
    assert (numbers[::2] == numbers[1::2]).all()
    assert np.bincount(numbers).tolist() == [16, 16, 14, 14] or np.ptp(np.bincount(numbers)) <= 2
    assert again.folds(data, 4, repeat=1).tolist() != numbers.tolist()


def test_another_number_of_folds_is_refused(stored):
    data, _, path = stored
    with pytest.raises(DataError, match=r"split\.tsv: .*\[0, 1, 2, 3, 4\] .*\b4 .*\b0 to 3\b"):
        FileSplit(str(path)).folds(data, 4)
    assert set(FileSplit(str(path)).folds(data, 4, repeat=1).tolist()) == {0, 1, 2, 3}


def test_a_split_of_other_data_is_refused(stored):
    data, _, path = stored
    split = FileSplit(str(path))
    with pytest.raises(DataError, match=r"set\.csv \(58 records, 60 .*: .*\b2 .*\('r58', 'r59'\)"):
        split(data.subset(np.arange(58)))
    with pytest.raises(DataError, match=r"set\.csv \(67 records, 60 .*: .*\b7 .*\('r60', .*'r64', \.\.\.\)"):
        split.groups(sequences(67))
    with pytest.raises(
        DataError, match=r"set\.csv \(60 records, 60 .*: .*\b60 .*\('r0', 'r1', 'r2', 'r3', 'r4', \.\.\.\)"
    ):
        split.folds(sequences(seed=1), 5)


def test_damaged_files(stored, tmp_path):
    data, _, path = stored
    split, text = FileSplit(str(path)), path.read_text()
    path.write_text(text.replace("\tvalid\t", "\tvallid\t", 1))
    with pytest.raises(DataError, match=r"split\.tsv, line \d+: part 'vallid' .*\]; .*'valid'"):
        split(data)
    path.write_text(text + text.splitlines()[-1] + "\n")
    with pytest.raises(DataError, match=r"split\.tsv, line 62: id 'r59'"):
        split(data)
    path.write_text("\n".join(text.splitlines()[1:]))
    with pytest.raises(DataError, match=r"split\.tsv, line 1: column 'id' .*\['r0', 'train', "):
        split(data)
    for missing in (None, str(tmp_path / "none.tsv")):
        with pytest.raises(ConfigError, match=r"split\.path=.*: no such .*split=file"):
            FileSplit(missing)(data)


def test_what_cannot_be_stored(tmp_path):
    data = sequences(4)
    parts = np.array(["train", "train", "test", "test"])
    with pytest.raises(DataError, match=r"split\.tsv: \[4, 3, 4\] .*\b4 sequences"):
        write_split(tmp_path / "split.tsv", data, parts, np.arange(3))
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"split\.tsv .*written: .*output="):
        write_split(tmp_path / "file" / "split.tsv", data, parts, np.arange(4))
    data.ids = ["a", "b", "a", "b"]
    with pytest.raises(DataError, match=r"set\.csv: 2 record id\(s\) .*\('a', 'b'\)"):
        write_split(tmp_path / "split.tsv", data, parts, np.arange(4))
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_a_stored_part_without_a_class_is_refused(tmp_path):
    data = sequences(6)
    write_split(tmp_path / "split.tsv", data, ["train", "train", "test", "train", "train", "train"], np.arange(6))
    with pytest.raises(DataError, match=r"test part .*set\.csv .*class 'b' .*\b3 of 'b'"):
        FileSplit(str(tmp_path / "split.tsv"))(data)


def test_some_sequences_may_be_unused(tmp_path):
    data = sequences(8)
    parts = np.array(["train", "train", "valid", "valid", "test", "test", UNUSED, UNUSED])
    parts[7] = "train"
    write_split(tmp_path / "split.tsv", data, parts, np.arange(8))
    assert FileSplit(str(tmp_path / "split.tsv"))(data).tolist() == parts.tolist()
