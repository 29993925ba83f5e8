"""FASTQ wherever FASTA is read: the same records from every packaging, and a message for everything that is wrong."""

import gzip
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import SequenceError
from gulmfit.seq.formats import fasta
from gulmfit.seq.formats.fasta import read_fasta
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.labelled import read_fasta_classes, read_sequences
from tests.unit.seq.test_fasta import bgzip

# Qualities may begin with any of the letters that mean something elsewhere in the file.
TEXT = "@one first of two\nACGT\n+\n@+>!\n@two\nNNr\n+two again\n+~I\n"
RECORDS = [("one", "one first of two", "ACGT"), ("two", "two", "NNr")]


@pytest.mark.parametrize("block", [1, 9, 1 << 18])
@pytest.mark.parametrize(
    "packed",
    [
        TEXT.encode(),
        gzip.compress(TEXT.encode(), mtime=0),
        bgzip(TEXT.encode()),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.rstrip().encode(),
        TEXT.encode() + b"\n\n",
    ],
)
def test_every_packaging_gives_the_same_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bytes, block: int
) -> None:
    monkeypatch.setattr(fasta, "_BLOCK_BYTES", block)
    path = tmp_path / "reads.fastq"
    path.write_bytes(packed)
    assert [(record.id, record.description, record.sequence) for record in read_fasta(path)] == RECORDS


@given(
    st.lists(st.text("ACGTN", min_size=1, max_size=12), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
    st.integers(1, 30),
)
def test_reads_come_back_whatever_their_qualities(
    tmp_path_factory: pytest.TempPathFactory, reads: list[str], random: Random, block: int
) -> None:
    qualities = ["".join(chr(random.randint(33, 126)) for _ in read) for read in reads]
    text = "".join(f"@r{n}\n{read}\n+\n{line}\n" for n, (read, line) in enumerate(zip(reads, qualities, strict=True)))
    path = tmp_path_factory.mktemp("reads") / "a.fq"
    path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fasta, "_BLOCK_BYTES", block)
        assert [record.sequence for record in read_fasta(path)] == reads


def test_it_is_taken_wherever_fasta_is(tmp_path: Path) -> None:
    path, other = tmp_path / "a.fq", tmp_path / "b.fq.gz"
    path.write_text(TEXT)
    other.write_bytes(gzip.compress(TEXT.replace("two", "three").encode(), mtime=0))
    assert list(read_sequences(path)) == [("one", "ACGT"), ("two", "NNR")]
    assert read_fasta_classes({"a": path, "b": other}).sequences == ["ACGT", "NNR"] * 2
    store = GenomeStore.build(path, tmp_path / "store")
    assert [(contig.name, contig.length) for contig in store.contigs] == [("one", 4), ("two", 3)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@a\nACGT\n+\nIII\n", "record number 1: .*: 4 letters and 3 qualities"),
        ("@a\nAC\n+\nII\n@b\nACGT\nACGT\n+\nIIII\nIIII\n", "record number 2: .*'ACGT' where '\\+' .*several lines"),
        ("@a\nAC\n+\nI\x1f\n", r"record number 1: .*quality b'\\x1f' at position 1: not '!' to '~'"),
        ("@a\nAC\n+\n", "record number 1: .*FASTQ .*: .* ends"),
        ("@a\nAC\n", "record number 1: .*FASTQ .*: .* ends"),
        ("@a\nAC\n+\nII\nb\nAC\n+\nII\n", "record number 2: .*'b' where '@' is expected"),
        ("@a\nAC\n+\nII\n\n@b\nAC\n+\nII\n", "record number 2: .*empty line .*'@b'"),
        ("@a\n\n+\n\n", "record 'a': no sequence"),
        ("@\nAC\n+\nII\n", "record number 1: no id"),
        ("@a\nAC\n+\nII\n@a\nAC\n+\nII\n", r"record 'a': .*\bid\b.* 1 and 2\b"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.fq").write_text(text)
    with pytest.raises(SequenceError, match=message):
        list(read_fasta(tmp_path / "a.fq"))


def test_reads_come_one_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "a.fq").write_text("@a\nAC\n+\nII\n@b\nGT\n+\nII\n@c\nAC\n")
    reads = read_fasta(tmp_path / "a.fq")
    assert next(reads).sequence == "AC"
    with pytest.raises(SequenceError):
        next(reads)
