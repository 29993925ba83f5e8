"""What a file from outside may take: one without line ends, or that unpacks to a million times its size, is stopped.

Records and lines are read one at a time, so only the longest of them has to fit in memory. `GULMFIT_LONGEST_RECORD`
raises the limit, in letters.
"""

import json
import os
import stat
from collections.abc import Iterator
from functools import partial
from typing import Any, TextIO

from gulmfit.errors import ConfigError, DataError

VARIABLE = "GULMFIT_LONGEST_RECORD"
LONGEST_RECORD = 1 << 28  # letters; all human chromosomes are shorter


def longest_record() -> int:
    """Return how many letters a line, a cell or a sequence may have that is held in memory as a whole.

    Raises:
        ConfigError: The environment variable is not a whole number above 0.
    """
    given = os.environ.get(VARIABLE, "")
    if not given:
        return LONGEST_RECORD
    if not (is_whole_number(given) and len(given) < 16 and int(given)):
        raise ConfigError(f"{VARIABLE}={given!r}: a number of letters is needed, such as {LONGEST_RECORD}.")
    return int(given)


def too_long(where: str, most: int) -> str:
    """Say in a message that something is longer than may be held in memory, and what to do."""
    return (
        f"{where}: longer than {most:,} letters, which is more than is held in memory at once. Is it what its name "
        f"says? If so, set the environment variable {VARIABLE} to more."
    )


def bounded_lines(handle: TextIO, path: object) -> Iterator[str]:
    """Stream the lines of a text file, with their ends, as the file itself does.

    Raises:
        DataError: A line is longer than `longest_record`; no more of it than that is read.
    """
    most = longest_record()
    # A call with a size is what stops an endless line; to iterate over the file would not.
    for number, line in enumerate(iter(partial(handle.readline, most + 1), ""), start=1):
        if len(line) > most:
            raise DataError(too_long(f"{path}, line {number}", most))
        yield line


def parse_json(text: str | bytes, *, unique: bool = False) -> Any:
    """Read JSON.

    Args:
        text: What to read.
        unique: Refuse a key that an object has twice, of which Python keeps the last.

    Raises:
        ValueError: It is not JSON, nested deeper than Python reads, holds half of a surrogate pair, which no file
            can hold, or has a key twice where that is refused.
    """
    try:
        content = json.loads(text, object_pairs_hook=_unique_keys if unique else None)
        if (b"\\u" if isinstance(text, bytes) else "\\u") in text:  # type: ignore[operator]
            json.dumps(content, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return content


def is_whole_number(text: str) -> bool:
    """Whether a text is a whole number of 0 or more in the digits 0 to 9; `str.isdigit` alone also takes `²`."""
    return text.isascii() and text.isdigit() and len(text) < 19


def is_pipe(path: str) -> bool:
    """Whether a path is something that can be read only once, such as `<(zcat a.gz)` of a shell."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands there twice")
    return found
