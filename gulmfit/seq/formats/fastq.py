"""Reading FASTQ: records of four lines, and the two reads of a pair told apart."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from gulmfit.errors import SequenceError
from gulmfit.seq.text import LENIENT

_QUALITIES = bytes(range(ord("!"), ord("~") + 1))
_MATE = re.compile(r"(\S+)\s+([12]):[YN]:\d+.*", re.DOTALL)  # "id 1:N:0:ACGT", as Illumina's software writes since 1.8

Read = tuple[int, str, bytes]
"""Number of a record from 1, its header without "@", its letters."""


def parse_fastq(path: Path, blocks: Iterator[bytes]) -> Iterator[Read]:
    """Read FASTQ records from the text of a file.

    Args:
        path: The file, for messages.
        blocks: Its text in blocks cut at line ends, all of them line feeds; carriage returns are not among them.

    Yields:
        Number of the record from 1, its header without "@", its letters.

    Raises:
        SequenceError: A record is not of four lines, its qualities are not as many as its letters or hold a character
            outside "!" to "~", or the file ends within a record.

    Source: https://doi.org/10.1093/nar/gkp1137; reads over several lines, which it allows and no sequencer writes, are
    refused.
    """
    lines = (line.rstrip() for block in blocks for line in block.removesuffix(b"\n").split(b"\n"))
    for number, header in enumerate(lines, start=1):
        if not header:
            if rest := next(filter(None, lines), b""):
                raise SequenceError(_broken(path, number, f"an empty line before {_shown(rest)}"))
            return
        if not header.startswith(b"@"):
            raise SequenceError(_broken(path, number, f"{_shown(header)} where '@' is expected"))
        letters, plus, quality = (next(lines, None) for _ in range(3))
        if letters is None or plus is None or quality is None:
            raise SequenceError(_broken(path, number, "the file ends within it"))
        if not plus.startswith(b"+"):
            raise SequenceError(
                _broken(path, number, f"{_shown(plus)} where '+' is expected; reads over several lines are refused")
            )
        if len(quality) != len(letters):
            raise SequenceError(_broken(path, number, f"{len(letters)} letters and {len(quality)} qualities"))
        if wrong := quality.translate(None, _QUALITIES):
            position = quality.index(wrong[:1])
            raise SequenceError(_broken(path, number, f"quality {wrong[:1]!r} at position {position}: not '!' to '~'"))
        yield number, header[1:].decode("utf-8", LENIENT).strip(), letters


def name_mates(reads: Iterable[Read]) -> Iterator[Read]:
    """Tell the reads of a pair that follow each other under one id apart: "id 1:N:0" becomes "id/1 1:N:0"."""
    waiting: tuple[Read, str, str] | None = None  # a read that may be the first of a pair, its id and number
    for read in reads:
        found = _MATE.fullmatch(read[1])
        pair = waiting is not None and found is not None and waiting[1] == found[1] and waiting[2] != found[2]
        if waiting is not None:
            yield _as_mate(*waiting) if pair else waiting[0]
            waiting = None
        if found is None:
            yield read
        elif pair:
            yield _as_mate(read, found[1], found[2])
        else:
            waiting = read, found[1], found[2]
    if waiting is not None:
        yield waiting[0]


def _as_mate(read: Read, name: str, mate: str) -> Read:
    number, title, letters = read
    return number, f"{name}/{mate}{title[len(name) :]}", letters


def _broken(path: Path, number: int, found: str) -> str:
    return f"{path}, record number {number}: not FASTQ of four lines a read: {found}. Correct or download it again."


def _shown(line: bytes) -> str:
    return repr(line[:30].decode("ascii", "backslashreplace"))
