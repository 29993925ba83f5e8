"""What comes twice: the same content under two names is refused, and ids that repeat are told apart."""

import gzip
import itertools
import logging
import random
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from gulmfit.data.sources.base import FastaClassesSource
from gulmfit.data.sources.folder import FolderSource
from gulmfit.errors import DataError, GulmfitError
from gulmfit.seq.duplicates import check_distinct, unique_ids
from gulmfit.seq.formats import fasta
from gulmfit.seq.formats.fasta import SeenTexts, read_fasta
from gulmfit.seq.labels.dataset_folder import find_parts
from gulmfit.seq.labels.labelled import read_fasta_classes, read_table, read_table_splits

TABLE = "sequence,label\nACGT,x\nACCT,y\n"


def put(path: Path, text: str) -> Path:
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("way", ["table", "parts", "fasta", "classes", "class parts", "folder"])
def test_the_same_content_twice_is_refused_by_both_names(tmp_path: Path, way: str) -> None:
    fasta = way in ("fasta", "classes", "class parts")
    names = ("a.fa", "b.fa.gz") if fasta else ("train.csv", "train.csv.gz")
    one, two = (put(tmp_path / name, ">r\nACGT\n" if fasta else TABLE) for name in names)
    other = put(tmp_path / ("c.fa" if fasta else "test.csv"), ">s\nGGGG\n" if fasta else TABLE.replace("G", "T"))
    parts = {"classes": {"x": str(one), "y": str(other)}, "test": {"x": str(two), "y": str(other)}}
    read: dict[str, Callable[[], object]] = {
        "table": lambda: read_table(str(tmp_path / "train*")),
        "parts": lambda: read_table_splits(one, two),
        "fasta": lambda: list(read_fasta([one, other, two])),
        "classes": lambda: read_fasta_classes({"x": [one, other], "y": two}),
        "class parts": lambda: FastaClassesSource(**parts).labelled(),
        "folder": lambda: FolderSource(path=str(tmp_path)).labelled(),
    }
    with pytest.raises(DataError) as caught:
        read[way]()
    assert (str(one) in str(caught.value) and str(two) in str(caught.value)) or "named twice" in str(caught.value)


def test_content_that_differs_late_is_no_copy(tmp_path: Path) -> None:
    one = put(tmp_path / "a.fa", ">r\n" + "ACGT" * 50_000 + "\n")
    two = put(tmp_path / "b.fa.gz", ">r\n" + "ACGT" * 50_000 + "A\n")
    empty = [put(tmp_path / name, "") for name in ("c", "d")]
    check_distinct([one, two, *empty, tmp_path / "none"])
    with pytest.raises(DataError, match="same content"):
        check_distinct([one, two, put(tmp_path / "e.gz", ">r\n" + "ACGT" * 50_000 + "A\n")])


@pytest.mark.parametrize("other", ["train_old.csv", "train copy.csv", "train (1).csv", "train-backup.csv"])
def test_a_name_that_says_more_does_not_join_a_part(
    tmp_path: Path, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path / "train.csv", TABLE)
    put(tmp_path / "test.csv", TABLE.replace("G", "T"))
    put(tmp_path / other, TABLE.replace("G", "A"))
    with caplog.at_level(logging.WARNING):
        assert [file.name for file in find_parts(tmp_path)["train"]] == ["train.csv"]
    assert other in caplog.text
    (tmp_path / "train.csv").rename(tmp_path / "train_new.csv")
    with pytest.raises(DataError, match=rf"\btrain\b.*\? .*{re.escape(other)}.*\btrain\.csv"):
        find_parts(tmp_path)


def test_only_ids_that_repeat_change(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert unique_ids(["a", "b", "a", "c", "c"], ["x", "x", "y", "x", "x"]) == ["x/a", "b", "y/a", "c/1", "c/2"]
    assert "4 of 5 record ids" in caplog.text
    assert unique_ids(["a", "a", "a/1"], ["", "", ""]) == ["a/2", "a/3", "a/1"]


def test_ids_are_unique_and_stay_where_they_were() -> None:
    rng = random.Random(0)
    for _ in range(300):
        ids = rng.choices(["a", "b", "x/a", "a/1", "c"], k=rng.randint(1, 8))
        found = unique_ids(ids, rng.choices(["x", "y", ""], k=len(ids)))
        assert len(set(found)) == len(ids)
        assert all(new == old for new, old in zip(found, ids, strict=True) if ids.count(old) == 1)


def test_a_hash_remembers_every_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fasta, "_PENDING", 7)
    rng = random.Random(1)
    for _ in range(50):
        texts = [str(rng.randint(0, 400)) for _ in range(rng.randint(1, 200))]
        store, told = SeenTexts(), set[int]()
        for number, text in enumerate(texts):
            told.update(store.add(text, number))
        told.update(store.settle())
        again = {text for text in texts if texts.count(text) > 1}
        assert {texts[number] for number in told} == again


@pytest.mark.parametrize("far", [2, 60])
def test_an_id_that_repeats_is_found_however_far(tmp_path: Path, far: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fasta, "_PENDING", 8)
    names = [f"r{number}" for number in range(far)] + ["r1"]
    path = put(tmp_path / "a.fa", "".join(f">{name}\nACGT\n" for name in names))
    with pytest.raises(GulmfitError, match=rf"'r1'.*number 2 and {far + 1}"):
        list(read_fasta(path))


def test_a_text_with_the_hash_of_another_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fasta, "_MASK", 3)  # nearly all collide
    path = put(tmp_path / "a.fa", "".join(f">r{number}\nACGT\n" for number in range(20)))
    assert len(list(read_fasta(path))) == 20


def test_ids_take_few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fasta, "_PENDING", 1 << 9)  # what waits takes the same whatever the number of ids
    store, count = SeenTexts(), 20_000
    tracemalloc.start()
    for number in range(count):
        store.add(f"read.{number}", number)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / count <= 25  # 16 while runs are merged, and 8 else


@pytest.mark.parametrize("marks", [(" 1:N:0:ACGT", " 2:N:0:ACGT"), ("/1", "/2")])
def test_interleaved_reads_have_ids_of_their_own(tmp_path: Path, marks: tuple[str, str]) -> None:
    names = [f"r{number}{mark}" for number, mark in itertools.product(range(3), marks)]
    path = put(tmp_path / "a.fq", "".join(f"@{name}\nACGT\n+\nIIII\n" for name in names))
    assert [record.id for record in read_fasta(path)] == ["r0/1", "r0/2", "r1/1", "r1/2", "r2/1", "r2/2"]
    single = put(tmp_path / "b.fq", "".join(f"@r{number} 1:N:0\nACGT\n+\nIIII\n" for number in range(3)))
    assert [record.id for record in read_fasta(single)] == ["r0", "r1", "r2"]


def test_headers_in_latin_1_stay_apart(tmp_path: Path) -> None:
    (tmp_path / "a.fa").write_bytes(">café\nACGT\n>cafè\nACGT\n".encode("latin-1"))
    assert [record.id for record in read_fasta(tmp_path / "a.fa")] == ["café", "cafè"]
