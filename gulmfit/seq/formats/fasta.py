"""Reading FASTA and FASTQ: plain, gzip or bgzip, one file or many; one record, or a piece, in memory at a time."""

import glob
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from gulmfit.errors import SequenceError
from gulmfit.seq.duplicates import check_distinct
from gulmfit.seq.formats.fastq import name_mates, parse_fastq
from gulmfit.seq.limits import longest_record, too_long
from gulmfit.seq.text import GZIP_MAGIC, LENIENT, utf_16

Paths = str | Path | Sequence[str | Path]

_BLOCK_BYTES = 1 << 18  # stays in the processor's cache while it is worked on
_LINE_BYTES = 1 << 18  # what is kept in one piece of a line
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPACES = b" \t\v\f"  # the white space that is not a line end

_PENDING = 1 << 14  # hashes of ids that wait in a set, which takes some 100 bytes for each
_MASK = (1 << 64) - 1

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class FastaRecord:
    """One record of FASTA or FASTQ.

    Attributes:
        id: the first word of the header.
        description: the whole header line without its '>' or '@', the id included.
        sequence: the letters as they stand in the file, white space removed; case and alphabet are untouched.
        path: the file that it was read from.
    """

    id: str
    description: str
    sequence: str
    path: str


class FastaPiece(NamedTuple):
    """Letters of one record that follow each other, as many as there are in a block of its file, and at least one.

    Attributes:
        id: the first word of the header.
        start: position of the first letter in the record; 0 begins a record.
        letters: ASCII letters as they stand in the file, white space removed.
        path: the file that it was read from.
    """

    id: str
    start: int
    letters: bytes
    path: str


def expand_paths(paths: Paths) -> list[Path]:
    """List the files that paths and glob patterns name.

    The order of the given list is kept and the matches of one pattern are sorted, so the result does not
    depend on the file system. A file named twice is listed once; folders that a pattern matches are left out.

    Args:
        paths: one path or pattern, or several; '**' crosses folders and a leading '~' is the home folder.

    Raises:
        SequenceError: if nothing is named, a path does not exist, is a folder, or a pattern matches no file.
        DataError: if two files have the same content, such as `a.csv` and `a.csv.gz`.
    """
    named = [paths] if isinstance(paths, str | Path) else list(paths)
    if not named:
        raise SequenceError("no sequence file was named. Give the path of a FASTA file, or a pattern like '*.fa.gz'.")
    found: dict[Path, Path] = {}
    for name in named:
        for path in _expand_one(str(name)):
            found.setdefault(path.resolve(), path)
    check_distinct(found.values())
    return list(found.values())


def read_fasta(paths: Paths, *, repeated_ids: bool = False) -> Iterator[FastaRecord]:
    """Stream the records of FASTA or FASTQ files in order, holding one record at a time.

    Compression and FASTQ are recognised by the first bytes of a file, not by its name. Line ends may be those of Unix,
    Windows or old Macs. Headers that are not UTF-8 are read as Windows-1252. The two reads of a pair that follow each
    other in one FASTQ file under one id, told apart by "1:" and "2:" behind it, are "id/1" and "id/2". Letters
    are not checked against an alphabet: `gulmfit.seq.alphabet.encode` does that.

    Args:
        paths: whatever `expand_paths` takes.
        repeated_ids: Whether an id may occur more than once in a file.

    Yields:
        The records. An id may occur in several files; one that repeats in a file may be told some records late.

    Raises:
        SequenceError: if a file is missing, empty, unreadable, truncated or neither FASTA nor FASTQ, or a record lacks
            an id or a sequence, repeats an id of its file, holds a byte that is not ASCII text, or is longer than
            `gulmfit.seq.limits` allows.
    """
    most = longest_record()
    for path in expand_paths(paths):
        for record_id, description, pieces in _read_one(path, repeated_ids):
            held = bytearray()
            for letters in pieces:
                held += letters
                if len(held) > most:
                    raise SequenceError(too_long(f"{path}, record {record_id!r}", most))
            yield FastaRecord(record_id, description, held.decode("ascii"), str(path))


def read_fasta_pieces(paths: Paths) -> Iterator[FastaPiece]:
    """Stream the records of FASTA or FASTQ files piece by piece, so that memory does not grow with their length.

    Everything else is as in `read_fasta`, but that a sequence may have any length.
    """
    for path in expand_paths(paths):
        for record_id, _, pieces in _read_one(path):
            start = 0
            for letters in pieces:
                yield FastaPiece(record_id, start, letters, str(path))
                start += len(letters)


def _expand_one(name: str) -> list[Path]:
    path = Path(name).expanduser()
    # Looked up as it stands first: a file's own name may hold '[' or '*'.
    if path.is_dir():
        raise SequenceError(f"{name}: a folder, not a FASTA file. Name its files, as in '{path / '*.fa'}'.")
    if path.exists():
        return [path]
    if not glob.has_magic(name):
        raise SequenceError(f"{name}: no such file (looked for in {Path.cwd()}). Correct the path.")
    matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
    files = [match for match in matches if not match.is_dir()]
    if not files:
        raise SequenceError(f"{name}: no file matches this pattern (looked for in {Path.cwd()}). Correct the pattern.")
    return files


class SeenTexts:
    """A set that tells whether a text may have come before.

    Two texts share a hash in one of 2^64 pairs, so that of 100 million texts one is wrongly suspected in one of 4,000
    cases: whoever is told that a text came before looks whether it did. A text that did is told at once, or some
    `16,384` texts later.
    """

    def __init__(self) -> None:
        self._pending: dict[int, int] = {}
        self._runs: list[Hashes] = []  # sorted, each more than twice as long as the next

    def add(self, text: str, number: int) -> list[int]:
        """Take in a text with its number; return the numbers of texts, this or earlier, that may have come before."""
        key = hash(text) & _MASK
        if self._pending.setdefault(key, number) != number:
            return [number]
        return self.settle() if len(self._pending) >= _PENDING else []

    def settle(self) -> list[int]:
        """Compare the texts that wait with all that came before; returns as `add` does. Call it at the end."""
        if not self._pending:
            return []
        keys = np.fromiter(self._pending, np.uint64, len(self._pending))
        keys.sort()
        found: list[int] = []
        for run in self._runs:
            places = np.searchsorted(run, keys)
            places[places == len(run)] = 0
            found += [self._pending[key] for key in keys[run[places] == keys].tolist()]
        while self._runs and len(self._runs[-1]) <= 2 * len(keys):
            keys = np.concatenate([self._runs.pop(), keys])
            keys.sort()
        self._runs.append(keys)
        self._pending.clear()
        return sorted(found)


def _read_one(path: Path, repeated_ids: bool = False) -> Iterator[tuple[str, str, Iterator[bytes]]]:
    """Yield the id, the description and the pieces of each record."""
    seen = SeenTexts()
    for (number, description), pieces in groupby(_raw_pieces(path), key=itemgetter(0)):
        record_id = description.split(maxsplit=1)[0] if description else ""
        if not record_id:
            raise SequenceError(f"{path}, record number {number}: no id in its header. Give the record a unique id.")
        if not repeated_ids and (again := seen.add(record_id, number)):
            _check_ids(path, again)
        yield record_id, description, _checked((letters for _, letters in pieces), f"{path}, record {record_id!r}")
    if not repeated_ids and (again := seen.settle()):
        _check_ids(path, again)


def _check_ids(path: Path, suspected: Sequence[int]) -> None:
    """Look whether the ids of records of these numbers came before, where their hashes did; raise if so."""
    wanted, first = set(suspected), dict[str, int]()
    headers = ((number, text) for (number, text), _ in groupby(_raw_pieces(path), key=itemgetter(0)))
    # Twice through the file, so that only the ids in question are held.
    ids = {text.split(maxsplit=1)[0] for number, text in headers if number in wanted}
    for (number, text), _ in groupby(_raw_pieces(path), key=itemgetter(0)):
        words = text.split(maxsplit=1)
        if words and words[0] in ids and (earlier := first.setdefault(words[0], number)) != number:
            raise SequenceError(
                f"{path}, record {words[0]!r}: the id occurs twice in the file, as record number {earlier} and "
                f"{number}. Rename or remove one of them."
            )
        if number >= max(wanted):
            return


def _checked(pieces: Iterable[bytes], where: str) -> Iterator[bytes]:
    """Pass on what is not empty; there must be something, and all of it ASCII."""
    length = 0
    for letters in pieces:
        if not letters.isascii():
            position = next(index for index, byte in enumerate(letters) if byte > 127)
            raise SequenceError(
                f"{where}, position {length + position}: byte 0x{letters[position]:02x} is not ASCII text. "
                "Save the file as plain text, or download it again."
            )
        if letters:
            length += len(letters)
            yield letters
    if not length:
        raise SequenceError(f"{where}: no sequence after the header. Remove the record, or restore its sequence.")


def _raw_pieces(path: Path) -> Iterator[tuple[tuple[int, str], bytes]]:
    """Yield every record's number from 1 and header without '>', with its letters, whatever they are.

    A record that reaches over several blocks is yielded once for each.
    """
    number, header = 0, ""
    blocks = _blocks(path)
    first = next(blocks, b"")
    if b"\0" in first[:4]:
        raise SequenceError(utf_16(path))
    if first.startswith(b"@"):
        whole = _whole_lines(path, chain([first], blocks))
        yield from (((read, title), letters) for read, title, letters in name_mates(parse_fastq(path, whole)))
        return
    at_line = True
    for block in chain([first], blocks):
        # A '>' that follows a line feed, or that begins a block which begins at a line, begins a record; no other one
        # does. Most blocks of a genome hold none, which is far quicker to find out than to look for both together.
        rest, *starts = ((b"\n" if at_line else b"") + block).split(b"\n>") if b">" in block else [block]
        at_line = block.endswith(b"\n")
        if number:
            yield (number, header), _letters(rest)
        elif rest.strip():
            beginning = rest.strip()[:20].decode("ascii", "backslashreplace")
            raise SequenceError(
                f"{path}: not FASTA: it begins with {beginning!r} where '>' is expected, or '@' in FASTQ. "
                "Give FASTA or FASTQ text, plain or gzip-compressed."
            )
        for start in starts:
            line, ended, body = start.partition(b"\n")
            if not ended and len(line) >= _LINE_BYTES:
                raise SequenceError(f"{path}, record number {number + 1}: a header of more than {len(line):,} letters.")
            number, header = number + 1, line.decode("utf-8", LENIENT).strip()
            yield (number, header), _letters(body)
    if not number:
        raise SequenceError(f"{path}: an empty file, without any FASTA record. Remove it or download it again.")


def _whole_lines(path: Path, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Put blocks together that were cut within a line."""
    parts: list[bytes] = []
    length, most = 0, longest_record()
    for block in blocks:
        parts.append(block)
        length += len(block)
        if block.endswith(b"\n"):
            yield b"".join(parts)
            parts, length = [], 0
        elif length > most:
            raise SequenceError(too_long(f"{path}: a read", most))
    if parts:
        yield b"".join(parts)


def _letters(lines: bytes) -> bytes:
    # To replace one letter by nothing is several times as fast as to translate, and enough for most files.
    letters = lines.replace(b"\n", b"")
    return letters.translate(None, _SPACES) if any(space in letters for space in _SPACES) else letters


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the decompressed text in blocks, all line ends in it line feeds.

    Blocks are cut at line ends, but within lines that are longer than `_LINE_BYTES`: a chromosome may stand in one.
    """
    try:
        with open(path, "rb") as file:
            compressed = file.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
            handle = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if compressed else file
            mark, returned, rest = _BYTE_ORDER_MARK, b"", b""
            while block := handle.read(_BLOCK_BYTES):
                # A line feed after a carriage return that ended the block before belongs to it.
                block, returned = block.removeprefix(returned), b"\n" if block.endswith(b"\r") else b""
                if b"\r" in block:
                    block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                block = rest + block
                end = block.rfind(b"\n") + 1 or (len(block) if len(block) > _LINE_BYTES else 0)
                rest = block[end:]
                if end:
                    yield block[:end].removeprefix(mark)
                    mark = b""
            if rest:
                yield rest.removeprefix(mark)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SequenceError(
            f"{path}: the gzip file is truncated or damaged ({error}). Download or compress it again."
        ) from error
    except OSError as error:
        raise SequenceError(
            f"{path}: the file cannot be read ({os.strerror(error.errno) if error.errno else error}). "
            "Check that it exists and that you may read it."
        ) from error
