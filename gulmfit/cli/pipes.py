"""`input=-` and `output=-`: a command within a pipe."""

import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from gulmfit.errors import ConfigError
from gulmfit.seq.limits import is_pipe

HEAD_BYTES = 1 << 16


@contextmanager
def piped(
    values: dict[str, Any], *, text_output: bool = True, reads: str = "input", suffix: str = ".tsv"
) -> Iterator[dict[str, Any]]:
    """Put files where the input or `output` is a pipe: readers look more than once, and writers write whole files.

    Args:
        values: Arguments of a command.
        text_output: Whether its output can be text.
        reads: Name of the argument that is its input; empty where it has none.
        suffix: Of the text that it then writes.

    Raises:
        ConfigError: Standard input is a terminal, empty, or of no format that can be told; or the output is not text.
    """
    if values["output"] == "-" and not text_output:
        raise ConfigError("output=-: vectors are not text. Name a file, .parquet or .npz.")
    if values["output"] == "-" and values.get("compare"):
        raise ConfigError("compare= writes a page next to the output: name a file, not output=-.")
    given = values.get(reads, "")
    from_pipe = given == "-" or is_pipe(given)
    if from_pipe and reads == "input" and values.get("genome"):
        raise ConfigError(f"input={given}: features of a genome are read from a file. Name one.")
    if not from_pipe and values["output"] != "-":
        yield values
        return
    with tempfile.TemporaryDirectory(prefix="gulmfit-") as folder:
        new = dict(values)
        if from_pipe:
            new[reads] = str(_spooled(given, reads, Path(folder)))
        if values["output"] == "-":
            new["output"] = str(Path(folder) / f"standard-output{suffix}")
        yield new
        if values["output"] == "-":
            with Path(new["output"]).open("rb") as table:
                shutil.copyfileobj(table, sys.stdout.buffer)
            sys.stdout.flush()


def _spooled(source: str, reads: str, folder: Path) -> Path:
    """Write a pipe into a file whose suffix says what it holds."""
    if source == "-" and sys.stdin.isatty():
        raise ConfigError(f"{reads}=- reads standard input, and nothing is piped into this command.")
    with os.fdopen(os.dup(sys.stdin.fileno()), "rb") if source == "-" else open(source, "rb") as handle:
        head = _head(handle)
        path = folder / f"standard-input{suffix_of(head)}"
        with path.open("wb") as file:
            file.write(head)
            shutil.copyfileobj(handle, file)
    return path


def _head(handle: BinaryIO) -> bytes:
    """Read until there is enough to tell a format: a pipe gives little at a time."""
    head = b""
    while len(head) < HEAD_BYTES and (more := handle.read(HEAD_BYTES - len(head))):
        head += more
    return head


def suffix_of(head: bytes) -> str:
    """Tell FASTA, FASTQ, VCF, JSON lines, TSV, CSV and Parquet by their first bytes, which may be compressed by gzip.

    Raises:
        ConfigError: It is none of them.
    """
    if head[:2] == b"\x1f\x8b":
        head = zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
    if head[:4] == b"PAR1":
        return ".parquet"
    text = head.decode("utf-8-sig", errors="replace").lstrip()
    line = text.partition("\n")[0]
    for sign, suffix in ((">", ".fa"), ("@", ".fq"), ("{", ".jsonl"), ("##fileformat=VCF", ".vcf")):
        if text.startswith(sign):
            return suffix
    for sign, suffix in (("\t", ".tsv"), (",", ".csv")):
        if sign in line:
            return suffix
    found = f"it begins with {line[:40]!r}" if line else "it is empty"
    raise ConfigError(f"standard input is not FASTA, FASTQ, VCF, JSON lines, TSV or CSV: {found}.")
