"""Text files from outside: plain or zipped, in UTF-8 or what their byte order mark says; what to say of others."""

import codecs
import gzip
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from gulmfit.errors import DataError
from gulmfit.seq.limits import bounded_lines

GZIP_MAGIC = b"\x1f\x8b"
READ_ERRORS = (OSError, EOFError, zlib.error, UnicodeError)  # what reading a file of `open_text` may raise
LENIENT = "gulmfit.windows-1252"  # error handler: bytes that are not UTF-8 are letters of Windows-1252, or else Latin-1

# The mark of UTF-16 begins that of UTF-32, so the longer ones come first.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BLOCK_BYTES = 1 << 20


def open_text(path: Path, *, newline: str | None = None, errors: str = "strict") -> TextIO:
    """Open a text file, gzip or not by its first bytes; a byte order mark is taken for what it says and left out.

    Args:
        path: The file.
        newline: As for `open`.
        errors: What to do with bytes that are not UTF-8, as for `open`; `LENIENT` reads them.

    Raises:
        DataError: The file looks like UTF-16 without a byte order mark.
        OSError, EOFError, zlib.error: The file cannot be read.
    """
    opens = opener(path)
    with opens(path, "rb") as handle:
        beginning = handle.read(4)
    encoding = next((name for mark, name in _MARKS if beginning.startswith(mark)), "utf-8-sig")
    if encoding == "utf-8-sig" and b"\0" in beginning:
        raise DataError(utf_16(path))
    strict = "strict" if encoding != "utf-8-sig" else errors
    return cast(TextIO, opens(path, "rt", encoding=encoding, errors=strict, newline=newline))


def utf_16(path: Path) -> str:
    """Say what a zero among the first bytes of a file tells: no text has one, but that of an encoding that we cannot
    know."""
    return (
        f"{path}: a zero byte at its start: UTF-16 without a byte order mark? Save it as UTF-8, or convert it: "
        "iconv -f UTF-16LE -t UTF-8"
    )


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Stream the lines of a text file, plain, gzip or bgzip, with their numbers from 1 and without their ends.

    Raises:
        DataError: The file cannot be read, is truncated, is not UTF-8 text, or has a line that is too long.
    """
    number = 0
    try:
        with open_text(path) as handle:
            for number, line in enumerate(bounded_lines(handle, path), start=1):
                yield number, line.rstrip("\n")
    except READ_ERRORS as error:
        raise unreadable(path, f"line {number}", error) from error


def unreadable(path: Path, place: str, error: Exception) -> DataError:
    """Say why a file cannot be read on.

    Args:
        path: The file.
        place: The last place that was read, such as "line 7"; "" for none.
        error: One of `READ_ERRORS`, or of the parser.
    """
    if isinstance(error, UnicodeError):
        return DataError(_not_text(path, error))
    if isinstance(error, OSError) and error.errno:
        reason = f"the file cannot be read ({os.strerror(error.errno)}); does it exist, and may you read it?"
    else:
        reason = f"{error}; damaged or cut short?"
    return DataError(f"{path}: unreadable after {place or 'its start'}: {reason}")


def _not_text(path: Path, error: UnicodeError) -> str:
    """Name the line of the first byte that is not text, and the encoding that it may be in."""
    if not isinstance(error, UnicodeDecodeError) or not error.encoding.startswith("utf-8"):
        return f"{path}: unreadable: UTF-16 or UTF-32 by its first bytes, and else not: {error}; damaged or cut short?"
    line, waiting = 1, b""
    with opener(path)(path, "rb") as handle:
        while block := _next_block(handle):
            waiting += block
            try:
                _, used = codecs.utf_8_decode(waiting, "strict", False)
            except UnicodeDecodeError as found:
                line += _line_ends(waiting[: found.start])
                byte = waiting[found.start : found.start + 1]
                return (
                    f"{path}, line {line}: unreadable: byte 0x{byte.hex()} is not UTF-8 text; in Windows-1252, "
                    f"Excel's CSV, it is {byte.decode('cp1252', 'replace')!r}. Save "
                    "the file as UTF-8 (Excel: 'CSV UTF-8'), or convert it: iconv -f WINDOWS-1252 -t UTF-8"
                )
            line += _line_ends(waiting[:used])
            waiting = waiting[used:]
    return f"{path}, line {line}: unreadable: the file ends within a letter of UTF-8; damaged or cut short?"


def _next_block(handle: BinaryIO) -> bytes:
    """Read on; nothing where a compressed file is damaged, which is then said of the text before."""
    try:
        return handle.read(_BLOCK_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""


def _line_ends(text: bytes) -> int:
    return max(text.count(b"\n"), text.count(b"\r"))


def opener(path: Path) -> Callable[..., BinaryIO]:
    """Return what opens a file, gzip or not by its first bytes: `gzip.open` or `open`."""
    with open(path, "rb") as handle:
        zipped = handle.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return cast(Callable[..., BinaryIO], gzip.open if zipped else open)


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    byte = error.object[error.start : error.start + 1]
    try:
        return byte.decode("cp1252"), error.start + 1
    except UnicodeDecodeError:
        return byte.decode("latin-1"), error.start + 1


codecs.register_error(LENIENT, _as_windows)
