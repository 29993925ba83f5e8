"""Folders of tables: which file is which part, which column is meant, what classes are called."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gulmfit.errors import DataError
from gulmfit.seq.labels.dataset_folder import choose_column, class_names, columns_of_file, find_parts, read_table_rows

CARD = """---
license: mit
dataset_info:
  features:
  - name: sequence
    dtype: string
  - name: other
    dtype:
      class_label:
        names:
          '0': wrong
          '1': wrong too
  - name: label
    dtype:
      class_label:
        names:
          '0': background
          '1': "promoter"
  splits:
  - name: train
    num_bytes: 1
---
# A card
- name: label
  names:
    '0': not in the head
"""


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("sequence,label\nACGT,1\n")


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["train.csv", "validation.csv", "test.csv"], {"train": 1, "valid": 1, "test": 1}),
        (["train.csv.gz", "dev.csv.gz", "test.csv.gz"], {"train": 1, "valid": 1, "test": 1}),
        (["Train.tsv", "VAL.tsv", "notes.txt"], {"train": 1, "valid": 1}),
        (["train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "test-0.parquet"], {"train": 2, "test": 1}),
        (["data/train.jsonl", "data/test.jsonl", "README.md"], {"train": 1, "test": 1}),
        (["train/a.csv", "train/b.csv", "test/c.csv"], {"train": 2, "test": 1}),
        (["data/train/a.csv", "data/valid/c.csv", "data/test/c.csv"], {"train": 1, "valid": 1, "test": 1}),
        (["all.csv"], {"": 1}),
        (["train.csv", "extra.csv"], {"train": 1}),
        (["trainer.csv"], {"": 1}),
    ],
)
def test_parts_are_told_by_names(tmp_path: Path, names: list[str], parts: dict[str, int]) -> None:
    touch(tmp_path, *names)
    found = find_parts(tmp_path)
    assert {part: len(files) for part, files in found.items()} == parts
    assert list(found) == list(parts)
    assert all(files == sorted(files) for files in found.values())


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: .*\bfolder\b"):
        find_parts(tmp_path / "nowhere")
    touch(tmp_path, "one/train.csv", "two/train.csv")  # two data sets beside each other are not one
    with pytest.raises(DataError, match=r"no table; .* Found: one, two"):
        find_parts(tmp_path)
    touch(tmp_path, "train.csv", "train.tsv")
    with pytest.raises(DataError, match=r": train .*formats, train\.csv, train\.tsv"):
        find_parts(tmp_path)


def save_to_disk(folder: Path, table: pa.Table, shards: int = 1) -> None:
    """Write what `datasets.Dataset.save_to_disk` does."""
    folder.mkdir(parents=True)
    names = [f"data-{number:05}-of-{shards:05}.arrow" for number in range(shards)]
    for number, name in enumerate(names):
        with pa.OSFile(str(folder / name), "wb") as handle, pa.ipc.new_stream(handle, table.schema) as writer:
            writer.write_table(table.slice(number * 2, 2))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))


def test_arrow_folders_are_read_by_their_state(tmp_path: Path) -> None:
    table = pa.table({"sequence": ["AAAA", "CCCC", "GGGG"], "label": [0, 1, None]})
    save_to_disk(tmp_path / "train", table, shards=2)
    save_to_disk(tmp_path / "test", table)
    (tmp_path / "train" / "cache-1234.arrow").write_bytes(b"not to be read")
    parts = find_parts(tmp_path)
    assert [file.name for file in parts["train"]] == ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    rows = [
        row for file in parts["train"] for row in read_table_rows(file, {"s": "sequence", "l": "label", "id": None})
    ]
    assert [cells for _, cells in rows] == [{"s": "AAAA", "l": "0"}, {"s": "CCCC", "l": "1"}, {"s": "GGGG", "l": ""}]
    assert rows[2][0] == f"{parts['train'][1]}, row 1"
    assert find_parts(tmp_path / "test") == {"": [tmp_path / "test" / "data-00000-of-00001.arrow"]}
    parts["train"][1].unlink()
    with pytest.raises(DataError, match=r"state\.json: .*missing: data-00001-of-00002\.arrow"):
        find_parts(tmp_path)
    (tmp_path / "train" / "state.json").write_text("{}")
    with pytest.raises(DataError, match=r"state.json: not what save_to_disk writes"):
        find_parts(tmp_path)


def test_arrow_files_are_read_like_arrow_streams(tmp_path: Path) -> None:
    table = pa.table({"sequence": ["AAAA", "CCCC"]})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as handle, pa.ipc.new_file(handle, table.schema) as writer:
        writer.write_table(table)
    rows = list(read_table_rows(tmp_path / "a.arrow", {"s": "sequence"}))
    assert [cells["s"] for _, cells in rows] == ["AAAA", "CCCC"]
    with pytest.raises(DataError, match=r"a\.arrow: column 'seqence' .*\]; .*'sequence'"):
        list(read_table_rows(tmp_path / "a.arrow", {"s": "seqence"}))
    (tmp_path / "b.arrow").write_bytes(b"no arrow")
    with pytest.raises(DataError, match=r"b\.arrow: .*readable \.arrow"):
        columns_of_file(tmp_path / "b.arrow")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_columns_of_every_kind_of_table(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"Sequence": ["ACGT"], "y": [1]}), path)
    elif suffix == ".jsonl":
        path.write_text('\n{"Sequence": "ACGT", "y": 1}\n')
    else:
        path.write_text("Sequence,y\nACGT,1\n".replace(",", "," if suffix == ".csv" else "\t"))
    assert columns_of_file(path) == ["Sequence", "y"]
    path.write_text("")
    with pytest.raises(DataError, match=f"a\\{suffix}"):
        columns_of_file(path)


def test_columns_are_found_by_usual_names_or_asked_for() -> None:
    usual = ("sequence", "seq")
    assert choose_column(["id", "SEQ"], None, usual, "a.csv", "data.sequence") == "SEQ"
    assert choose_column(["id", "dna"], "dna", usual, "a.csv", "data.sequence") == "dna"
    for found, given, message in (
        (["id", "dna"], None, r"a\.csv: .*\['sequence', 'seq'\]; .*\['id', 'dna'\].*data\.sequence="),
        (["seq", "sequence"], None, r"a\.csv: .*\['seq', 'sequence'\]; .*\['seq', 'sequence'\].*data\.sequence="),
        (["seq"], "sek", r"a\.csv: data\.sequence: column 'sek' .*\['seq'\]; .*'seq'"),
    ):
        with pytest.raises(DataError, match=message):
            choose_column(found, given, usual, "a.csv", "data.sequence")


def test_class_names_come_from_the_card_the_info_or_the_table(tmp_path: Path) -> None:
    touch(tmp_path, "train.csv")
    files = [tmp_path / "train.csv"]
    assert class_names(tmp_path, files, "label") is None
    (tmp_path / "README.md").write_text(CARD)
    assert class_names(tmp_path, files, "label") == ["background", "promoter"]
    assert class_names(tmp_path, files, "sequence") is None
    label = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}, "sequence": {"dtype": "string"}}
    for info in ({"features": label}, {"default": {"features": label}}):
        (tmp_path / "dataset_info.json").write_text(json.dumps(info))
        assert class_names(tmp_path, files, "label") == ["no", "yes"]
    (tmp_path / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match=r"dataset_info.json: not JSON"):
        class_names(tmp_path, files, "label")
    (tmp_path / "dataset_info.json").unlink()
    label["label"] = {"names": ["of the table", "too"], "_type": "ClassLabel"}
    table = pa.table({"label": [0]}).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": label}})})
    pq.write_table(table, tmp_path / "train.parquet")
    assert class_names(tmp_path, [tmp_path / "train.parquet"], "label") == ["of the table", "too"]
