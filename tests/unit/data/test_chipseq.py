"""ChIP-seq peaks: parts, groups, and the negatives of each kind."""

import gzip
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gulmfit.data.sources.peaks import ChipSeqSource
from gulmfit.errors import ConfigError, DataError, SequenceError
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.negatives.shuffle import shuffle
from gulmfit.seq.splits.split import ColumnSplit, StratifiedSplit


def write(path: Path, rows: list[tuple[str, str, int]]) -> None:
    text = "FoldID\tEventID\tseq\tBound\n" + "".join(f"A\t{event}\t{seq}\t{bound}\n" for event, seq, bound in rows)
    path.write_bytes(gzip.compress(text.encode()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files as DeepBind's: of 60 ranked peaks the first 20 in turn in _AC and _B, the weaker ones in _AC."""
    folder = tmp_path_factory.mktemp("peaks")
    rng = np.random.default_rng(0)
    peaks = {rank: "".join(rng.choice(list("ACGT"), 60)) for rank in range(1, 61)}
    training = [rank for rank in peaks if rank % 2 or rank > 20]
    write(folder / "one_AC.seq.gz", [(f"seq_{rank:05}_peak", peaks[rank], 1) for rank in training])
    test = [rank for rank in peaks if rank not in training]
    rows = [(f"seq_{rank:05}_peak", peaks[rank], 1) for rank in test]
    rows += [(f"seq_{rank:05}_shuf", shuffle(peaks[rank], 2, rng), 0) for rank in test]
    write(folder / "one_B.seq.gz", rows)
    others = [(f"seq_{rank:05}_peak", "".join(rng.choice(list("ACGT"), 60)), 1) for rank in range(1, 601)]
    write(folder / "two_AC.seq.gz", others)
    (folder / "genome.fa").write_text(">one\n" + "".join(rng.choice(list("ACGT"), 60_000)) + "\n")
    return folder


def source(folder: Path, negatives: str, **others: object) -> ChipSeqSource:
    given: dict[str, object] = {
        "path": str(folder / "one_AC.seq.gz"),
        "test": str(folder / "one_B.seq.gz"),
        "others": str(folder / "*_AC.seq.gz"),
        "genome": str(folder / "genome.fa"),
        "cache_dir": str(folder / "store"),
    }
    return ChipSeqSource(negatives=negatives, **{**given, **others})  # type: ignore[arg-type]


def counts(data: LabelledSequences) -> dict[str, list[int]]:
    assert data.splits is not None
    return {part: np.bincount(data.labels[data.splits == part], minlength=2).tolist() for part in ("train", "test")}


def dinucleotides(text: str) -> Counter[tuple[str, str]]:
    return Counter(pairwise(text))


@pytest.mark.parametrize("how", ["shuffle", "genomic", "matched"])
def test_every_part_has_peaks_and_negatives(folder: Path, how: str) -> None:
    made = source(folder, how)
    data = made.labelled()
    assert (data.classes, data.positive) == (["background", "positive"], "positive")
    assert counts(data) == {"train": [50, 50], "test": [10, 10]}
    assert len(set(data.ids)) == 120
    assert json.loads(json.dumps(made.record)) == made.record
    assert (made.record["given"], made.record["given_left_out"]) == ((10, 0) if how == "shuffle" else (0, 10))
    again = source(folder, how).labelled()
    assert (again.ids, again.sequences) == (data.ids, data.sequences)


@pytest.mark.parametrize("how", ["shuffle", "genomic", "matched"])
def test_a_peak_and_its_negative_are_one_group_of_one_part(folder: Path, how: str) -> None:
    data = source(folder, how).labelled()
    assert data.groups is not None
    assert data.splits is not None
    for group in np.unique(data.groups):
        members = np.flatnonzero(data.groups == group)
        assert sorted(data.labels[members]) == [0, 1]
        assert len(set(data.splits[members])) == 1
        if how == "shuffle":
            first, second = (data.sequences[i] for i in members)
            assert first != second
            assert dinucleotides(first) == dinucleotides(second)
    parts = ColumnSplit(0.2, 0)(data)
    assert all(len(set(parts[data.groups == group])) == 1 for group in data.groups)


def test_the_shuffles_of_a_file_are_kept(folder: Path) -> None:
    data = source(folder, "shuffle").labelled()
    given = {event for event in data.ids if event.endswith("_shuf")}
    assert len(given) == 10
    assert sum(event.endswith("/shuffled-1") for event in data.ids) == 50


def test_peaks_alone_are_split_with_their_shuffles(folder: Path) -> None:
    data = source(folder, "shuffle", test=None, per_positive=2).labelled()
    assert data.splits is None
    assert np.bincount(data.labels).tolist() == [100, 50]
    parts = StratifiedSplit(0.2, 0.2, 0)(data)
    assert data.groups is not None
    assert all(len(set(parts[data.groups == group])) == 1 for group in data.groups)


def test_matched_negatives_are_peaks_of_others_only(folder: Path) -> None:
    made = source(folder, "matched")
    data = made.labelled()
    with gzip.open(folder / "two_AC.seq.gz", "rt") as handle:
        others = {line.split("\t")[2] for line in handle}
    assert {text for text, label in zip(data.sequences, data.labels, strict=True) if not label} <= others
    assert made.record["files"] == [str(folder / "two_AC.seq.gz")]
    with pytest.raises(DataError, match=r"data\.others=.*one_AC\.seq\.gz .*data\.path and data\.test"):
        source(folder, "matched", others=str(folder / "one_AC.seq.gz")).labelled()


def test_only_the_strongest_are_trained_on(folder: Path) -> None:
    data = source(folder, "shuffle", strongest=10).labelled()
    assert counts(data) == {"train": [10, 10], "test": [10, 10]}
    assert data.ids[:3] == ["seq_00001_peak", "seq_00003_peak", "seq_00005_peak"]


def test_given_negatives_must_be_there(folder: Path) -> None:
    with pytest.raises(DataError, match=r"one_AC\.seq\.gz: .*Bound 0\b.*data\.negatives="):
        source(folder, "given").labelled()
    data = source(folder, "given", path=str(folder / "one_B.seq.gz"), test=None).labelled()
    assert np.bincount(data.labels).tolist() == [10, 10]


def test_ids_that_repeat_are_told_apart_by_their_file(folder: Path) -> None:
    data = source(folder, "shuffle", path=[str(folder / f"{name}_AC.seq.gz") for name in ("one", "two")]).labelled()
    assert data.ids[0] == "one_AC/seq_00001_peak"
    assert len(set(data.ids)) == len(data.ids)
    assert data.groups is not None
    assert len(set(data.groups)) == 50 + 600 + 10


def test_a_letter_that_is_none_is_named(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "x.seq.gz", [("seq_00001_peak", "ACGT", 1), ("seq_00003_peak", "ACXT", 1)])
    with pytest.raises(SequenceError, match=r"x.seq.gz, line 3, position 2: 'X'"):
        ChipSeqSource(path=str(tmp_path / "x.seq.gz")).labelled()


def test_mistakes_are_found_before_anything_is_read() -> None:
    for given, message in (
        ({"path": ""}, "data.path is empty"),
        ({"negatives": "shufle"}, "data.negatives: 'shufle' .* 'shuffle'"),
        ({"negatives": "genomic"}, "needs data.genome"),
        ({"negatives": "matched"}, "needs data.others"),
        ({"strongest": 0}, "data.strongest=0"),
    ):
        with pytest.raises(ConfigError, match=message):
            ChipSeqSource(**{"path": "nothing.seq.gz", **given})  # type: ignore[arg-type]
