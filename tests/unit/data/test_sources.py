"""Sources put together what stands in several files."""

from pathlib import Path

import pytest

from gulmfit.data.sources.base import FastaClassesSource, TableSource
from gulmfit.data.sources.reads import ReadsSource
from gulmfit.errors import ConfigError, DataError


def fasta(path: Path, *texts: str) -> str:
    path.write_text("".join(f">same id\n{text}\n" for text in texts))
    return str(path)


def test_parts_in_files_of_their_own(tmp_path: Path) -> None:
    train = {"a": fasta(tmp_path / "a.fa", "ACGT", "ACGG"), "b": fasta(tmp_path / "b.fa", "TTTT")}
    test = {"a": fasta(tmp_path / "ta.fa", "ACGT"), "b": fasta(tmp_path / "tb.fa", "TTTA")}
    data = FastaClassesSource(classes=train, test=test, positive="a").labelled()
    assert data.sequences == ["ACGT", "ACGG", "TTTT", "ACGT", "TTTA"]
    assert data.splits is not None
    assert data.splits.tolist() == ["train"] * 3 + ["test"] * 2
    assert data.labels.tolist() == [0, 0, 1, 0, 1]
    assert len(set(data.ids)) == 5
    assert data.positive == "a"


def test_parts_need_the_same_classes_and_a_test(tmp_path: Path) -> None:
    one, two = fasta(tmp_path / "a.fa", "ACGT"), fasta(tmp_path / "b.fa", "TTTT")
    with pytest.raises(DataError, match=r"data\.test .*\['a', 'c'\], data\.classes .*\['a', 'b'\]"):
        FastaClassesSource(classes={"a": one, "b": two}, test={"a": one, "c": two}).labelled()
    with pytest.raises(ConfigError, match=r"data\.valid without data\.test"):
        FastaClassesSource(classes={"a": one, "b": two}, valid={"a": one, "b": two}).labelled()


def test_proteins_are_refused_where_a_source_has_none() -> None:
    TableSource(path="t.csv", alphabet="protein")
    with pytest.raises(ConfigError, match=r"data.alphabet=protein: a ReadsSource reads nucleotides"):
        ReadsSource(path="genes.fa", alphabet="protein")
