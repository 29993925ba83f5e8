"""A data set in a folder becomes labelled sequences, the same from every format."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gulmfit.data.sources.folder import FolderSource
from gulmfit.errors import ConfigError, DataError, SequenceError

PARTS = {
    "train": [("ACGTACGT", "0"), ("GGGGCCCC", "1"), ("ACACACAC", "0")],
    "dev": [("TTTTACGT", "1"), ("CACACACA", "0")],
    "test": [("GTGTGTGT", "0"), ("acgtNacg", "1")],
}


def write(folder: Path, suffix: str, parts: dict[str, list[tuple[str, str]]] = PARTS) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in parts.items():
        path = folder / f"{part}{suffix}"
        if suffix == ".parquet":
            columns = {"seq": [text for text, _ in rows], "label": [int(label) for _, label in rows]}
            pq.write_table(pa.table(columns), path)
        elif suffix == ".jsonl":
            path.write_text("".join(json.dumps({"seq": text, "label": label}) + "\n" for text, label in rows))
        else:
            mark = "," if suffix == ".csv" else "\t"
            path.write_text(f"seq{mark}label\n" + "".join(f"{text}{mark}{label}\n" for text, label in rows))
    return str(folder)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_reads_the_same(tmp_path: Path, suffix: str) -> None:
    data = FolderSource(path=write(tmp_path / "set", suffix)).labelled()
    assert data.sequences == [text.upper() for rows in PARTS.values() for text, _ in rows]
    assert data.labels.tolist() == [int(label) for rows in PARTS.values() for _, label in rows]
    assert data.splits is not None
    assert data.splits.tolist() == ["train"] * 3 + ["valid"] * 2 + ["test"] * 2
    assert data.ids == ["train/1", "train/2", "train/3", "valid/1", "valid/2", "test/1", "test/2"]
    assert (data.classes, data.positive) == (["0", "1"], "1")
    assert len(data.files) == 3


def test_shards_are_numbered_on(tmp_path: Path) -> None:
    shards = {"train-00000-of-00002": PARTS["train"], "train-00001-of-00002": PARTS["dev"], "test": PARTS["test"]}
    data = FolderSource(path=write(tmp_path / "set" / "data", ".parquet", shards)[: -len("/data")]).labelled()
    assert data.ids == ["train/1", "train/2", "train/3", "train/4", "train/5", "test/1", "test/2"]


def test_numbers_of_classes_become_their_names(tmp_path: Path) -> None:
    """Names keep the order of their numbers: "promoter" is class 0 although it comes later in the alphabet."""
    folder = write(tmp_path / "set", ".csv")
    info = {"features": {"label": {"names": ["promoter", "background", "unused"], "_type": "ClassLabel"}}}
    (tmp_path / "set" / "dataset_info.json").write_text(json.dumps(info))
    data = FolderSource(path=folder, positive="promoter").labelled()
    assert (data.classes, data.positive) == (["promoter", "background"], "promoter")
    assert data.labels.tolist() == [0, 1, 0, 1, 0, 0, 1]
    write(tmp_path / "set", ".csv", {"test": [("ACGT", "promoter"), ("ACCT", "3")]})
    with pytest.raises(DataError, match=r"test\.csv, line 3: label '3' .*\['promoter', 'background', 'unused'\]"):
        FolderSource(path=folder).labelled()


def test_one_part_has_no_split(tmp_path: Path) -> None:
    data = FolderSource(path=write(tmp_path / "set", ".csv", {"sequences": PARTS["train"]})).labelled()
    assert data.splits is None
    assert data.ids == ["1", "2", "3"]


def test_mistakes_name_their_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.path is empty"):
        FolderSource()
    hidden = write(tmp_path / "hidden", ".csv", {**PARTS, "test": [("ACGT", "-1")]})
    with pytest.raises(DataError, match=r"test.csv, line 2: label -1 means"):
        FolderSource(path=hidden).labelled()
    broken = write(tmp_path / "broken", ".tsv", {**PARTS, "dev": [("AC-T", "1")]})
    with pytest.raises(SequenceError, match=r"dev.tsv, line 2, position 2: '-'"):
        FolderSource(path=broken).labelled()
    with pytest.raises(DataError, match=r"train\.tsv: data\.label: column 'lable' .*\['seq', 'label'\]"):
        FolderSource(path=broken, label="lable").labelled()
    whole = write(tmp_path / "whole", ".tsv", PARTS)
    assert len(set(FolderSource(path=whole, id="label").labelled().ids)) == sum(map(len, PARTS.values()))
