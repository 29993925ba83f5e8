"""Reading FASTA: the same records from every packaging, and a message for everything that can be wrong."""

import gzip
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import SequenceError
from gulmfit.seq.formats import fasta
from gulmfit.seq.formats.fasta import FastaRecord, expand_paths, read_fasta, read_fasta_pieces

TEXT = ">one first > of two\nACGT\nacgu\n\n>two\nNNNN\nRYAC\n"
RECORDS = [("one", "one first > of two", "ACGTacgu"), ("two", "two", "NNNNRYAC")]


def bgzip(data: bytes, block: int = 7) -> bytes:
    """Compress as bgzip does: many gzip members, the last one empty."""
    members = [gzip.compress(data[start : start + block], mtime=0) for start in range(0, len(data), block)]
    return b"".join([*members, gzip.compress(b"", mtime=0)])


def content(records: list[FastaRecord]) -> list[tuple[str, str, str]]:
    return [(record.id, record.description, record.sequence) for record in records]


PACKAGINGS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda text: text.encode(),
    "gzip": lambda text: gzip.compress(text.encode(), mtime=0),
    "bgzip": lambda text: bgzip(text.encode()),
    "windows": lambda text: text.replace("\n", "\r\n").encode(),
    "old mac": lambda text: text.replace("\n", "\r").encode(),
    "byte order mark": lambda text: text.encode("utf-8-sig"),
    "no last line end": lambda text: text.rstrip().encode(),
    "blank lines first": lambda text: b"\n \n" + text.encode(),
    "white space in lines": lambda text: text.replace("GT", "G \tT ").encode(),
}


@pytest.mark.parametrize("packaging", PACKAGINGS)
def test_every_packaging_gives_the_same_records(tmp_path: Path, packaging: str) -> None:
    path = tmp_path / "misleading.txt"
    path.write_bytes(PACKAGINGS[packaging](TEXT))
    records = list(read_fasta(path))
    assert content(records) == RECORDS
    assert {record.path for record in records} == {str(path)}


@given(
    lines=st.lists(st.text(alphabet="ACGTN> \r\n", max_size=12), min_size=1, max_size=12),
    block=st.integers(min_value=1, max_value=20),
)
def test_agrees_with_biopython_wherever_blocks_end(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], block: int
) -> None:
    text = "".join(f">r{number}\nA{line}\n" for number, line in enumerate(lines))
    parsed = SimpleFastaParser(StringIO(text, newline=None))  # type: ignore[no-untyped-call]
    expected = [(title.strip(), "".join(sequence.split())) for title, sequence in parsed]
    ids = [title.partition(" ")[0] for title, _ in expected]
    faulty = len(set(ids)) < len(ids) or "" in ids or not all(sequence for _, sequence in expected)
    path = tmp_path_factory.mktemp("blocks") / "a.fa"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fasta, "_BLOCK_BYTES", block)
        if faulty:
            with pytest.raises(SequenceError):
                list(read_fasta(path))
        else:
            found = [(record.description, record.sequence) for record in read_fasta(path)]
            assert found == expected


def test_streams_one_record_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    path.write_bytes(b">good\n" + b"A" * (3 << 20) + b"\n>next\nC\n>\nA\n")
    records = read_fasta(path)
    assert len(next(records).sequence) == 3 << 20
    assert next(records).sequence == "C"
    with pytest.raises(SequenceError):
        next(records)


@pytest.mark.parametrize("block", [1, 10, 30, 1 << 18])
def test_pieces_are_the_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    path = tmp_path / "a.fa"
    path.write_text(TEXT)
    monkeypatch.setattr(fasta, "_BLOCK_BYTES", block)
    joined: dict[str, bytes] = {}
    for piece in read_fasta_pieces(path):
        assert piece.letters
        assert piece.path == str(path)
        assert piece.start == len(joined.setdefault(piece.id, b""))
        joined[piece.id] += piece.letters
    assert list(joined.items()) == [(record_id, sequence.encode()) for record_id, _, sequence in RECORDS]


def test_positions_count_from_the_start_of_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.fa"
    path.write_bytes(b">x\nACGT\nAC\xffGT\n")
    monkeypatch.setattr(fasta, "_BLOCK_BYTES", 1)
    for reader in (read_fasta, read_fasta_pieces):
        with pytest.raises(SequenceError, match="record 'x', position 6: byte 0xff"):
            list(reader(path))


# ---- paths ----


def test_patterns_are_sorted_lists_keep_their_order_and_repeats_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b.fa", "a.fa", "c.fa.gz", "odd[1].fa"):
        (tmp_path / name).touch()
    (tmp_path / "folder.fa").mkdir()
    monkeypatch.chdir(tmp_path)
    assert expand_paths("*.fa") == [Path("a.fa"), Path("b.fa"), Path("odd[1].fa")]
    assert expand_paths(["c.fa.gz", Path("a*"), tmp_path / "c.fa.gz"]) == [Path("c.fa.gz"), Path("a.fa")]
    assert expand_paths("odd[1].fa") == [Path("odd[1].fa")]


def test_the_same_id_may_stand_in_two_files(tmp_path: Path) -> None:
    for name, letter in (("a.fa", "A"), ("b.fa", "C")):
        (tmp_path / name).write_text(f">x\n{letter}\n")
    records = list(read_fasta(str(tmp_path / "*.fa")))
    assert [(record.id, Path(record.path).name) for record in records] == [("x", "a.fa"), ("x", "b.fa")]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], r"no sequence .*'\*\.fa\.gz'"),
        ("gone.fa", r"gone\.fa: .*\bpath\b"),
        ("gone*.fa", r"gone\*\.fa: .*pattern"),
        ("folder", r"folder: a folder, .*'folder/\*.fa'"),
        ("fold*", r"fold\*: .*pattern"),
    ],
)
def test_paths_that_name_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paths: str | list[str], message: str
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SequenceError, match=message):
        list(read_fasta(paths))


# ---- damaged files ----

GZIPPED = gzip.compress((">x\n" + "ACGTTGCA" * 500).encode(), mtime=0)

DAMAGED = {
    "empty": (b"", "empty file"),
    "blank": (b" \n\n", "empty file"),
    "empty inside gzip": (gzip.compress(b"", mtime=0), "empty file"),
    "gzip cut short": (GZIPPED[:-12], "gzip .*truncated .* again"),
    "gzip header only": (GZIPPED[:5], "gzip .*truncated"),
    "gzip with flipped bytes": (
        GZIPPED[:12] + bytes(255 - b for b in GZIPPED[12:20]) + GZIPPED[20:],
        "damaged",
    ),
    "gzip with a wrong checksum": (GZIPPED[:-8] + b"\0\0\0\0" + GZIPPED[-4:], "damaged"),
    "gzip with junk behind": (GZIPPED + b"junk", "damaged"),
    "FASTQ behind an empty line": (b"\n@read\nACGT\n+\nIIII\n", "FASTA: .*'@read.*'>'"),
    "binary": (bytes(range(128, 256)) * 9, r"FASTA: .*'\\\\x80"),
    "sequence without header": (b"ACGT\n>x\nACGT\n", "FASTA: .*'ACGT'"),
    "no id": (b">a\nA\n>\nACGT\n", r"record number 2: no id\b"),
    "blank id": (b"> \t\nACGT\n", r"record number 1: no id\b"),
    "no sequence": (b">a\nA\n>b\n\n>c\nA\n", "record 'b': no sequence"),
    "no sequence at the end": (b">a\nA\n>b", "record 'b': no sequence"),
    "same id twice": (b">a\nA\n>b\nA\n>a other\nC\n", r"record 'a': .*\bid\b.* 1 and 3\b"),
    "not text": (b">a\nAC\nGT\xff\n", "record 'a', position 4: .*0xff"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_named_with_its_trouble(tmp_path: Path, name: str) -> None:
    data, message = DAMAGED[name]
    path = tmp_path / "genome.fa"
    path.write_bytes(data)
    with pytest.raises(SequenceError, match=r"genome\.fa.*" + message):
        list(read_fasta(path))


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "genome.fa"
    path.write_text(TEXT)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(fasta, "open", refuse, raising=False)
    with pytest.raises(SequenceError, match=r"genome\.fa: .*\(Permission denied\)"):
        list(read_fasta(path))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("letter", [">", "@"])
@pytest.mark.parametrize("name", ["é", "日本", "a"])
def test_wide_letters_without_a_mark_are_refused(tmp_path: Path, encoding: str, letter: str, name: str) -> None:
    """Their zero bytes are ASCII: read on, the file would be one record or none, under another name."""
    path = tmp_path / "a.fa"
    path.write_bytes(f"{letter}{name}1 x\nACGT\n{letter}b\nGG\n".encode(encoding))
    with pytest.raises(SequenceError, match=r"a\.fa: .*UTF-16"):
        list(read_fasta(path))
