"""Tables row by row: CSV, TSV, JSON lines or Parquet, chosen by file name; the first three may be gzipped."""

import csv
import difflib
import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO, cast

from gulmfit.errors import DataError
from gulmfit.seq.fasta import GZIP_MAGIC
from gulmfit.seq.limits import bounded_lines, longest_record, parse_json

_PARQUET_ROWS = 1024


def read_rows(path: Path, columns: Mapping[str, str | None]) -> Iterator[tuple[str, dict[str, str]]]:
    """Read a table row by row.

    Args:
        path: A table; its name says of what kind (see `is_table`).
        columns: Name of the column that plays each role; a role without a column is left out.

    Yields:
        Where the row stands ("a.csv, line 7"), and its cell for each role that has a column, stripped.

    Raises:
        DataError: The file is no table by its name, is damaged, lacks a column, or has a broken or no row.
    """
    named = {role: column for role, column in columns.items() if column}
    reader = _reader(path)
    if reader is None:
        raise DataError(
            f"{path}: not a table by its name; allowed are .csv, .tsv, .tab, .jsonl (each with .gz or not) and .parquet"
        )
    place = ""
    try:
        for place, cells in reader(path, named.values()):
            yield place, {role: _text(cells[column]) for role, column in named.items()}
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: unreadable after {place or 'its start'}: {error}; damaged or cut short?") from error
    if not place:
        raise DataError(f"{path}: no record in this table")


def is_table(path: Path) -> bool:
    """Tell by its name whether a file is a table: .csv, .tsv, .tab, .jsonl (or one with .gz) or .parquet."""
    return _reader(path) is not None


def not_one_of(name: str, allowed: Sequence[str]) -> str:
    """Say in a message that a name is not one of those allowed, and which of them is near."""
    near = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
    return f"{name!r} is not one of {list(allowed)}" + (f"; did you mean {near[0]!r}?" if near else "")


def _reader(path: Path) -> Callable[[Path, Iterable[str]], Iterator[tuple[str, dict[str, Any]]]] | None:
    name = path.name.lower().removesuffix(".gz")
    kinds = {
        ".csv": _csv_rows,
        ".tsv": _csv_rows,
        ".tab": _csv_rows,
        ".jsonl": _json_rows,
        ".parquet": _parquet_rows,
    }
    return kinds.get(Path(name).suffix)


def _csv_rows(path: Path, columns: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(min(longest_record(), 2**31 - 1))  # the default of 128 KiB is shorter than many a sequence
    comma = path.name.lower().removesuffix(".gz").endswith(".csv")
    with _open_text(path) as handle:
        lines = bounded_lines(handle, path)
        if comma:
            reader = csv.reader(lines, strict=True)
        else:  # a quote in TSV is a letter
            reader = csv.reader(lines, delimiter="\t", strict=True, quoting=csv.QUOTE_NONE)
        header = next(reader, None)
        if header is not None:
            _check_columns(f"{path}, line 1", header, columns)
            for row in filter(None, reader):
                place = f"{path}, line {reader.line_num}"
                if len(row) != len(header):
                    raise DataError(f"{place}: {len(row)} field(s) where the header has {len(header)}: {header}")
                yield place, dict(zip(header, row, strict=True))


def _json_rows(path: Path, columns: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    with _open_text(path) as handle:
        for number, line in enumerate(bounded_lines(handle, path), start=1):
            if not line.strip():
                continue
            place = f"{path}, line {number}"
            try:
                row = parse_json(line)
            except ValueError as error:
                raise DataError(f"{place}: not JSON: {error}") from error
            if not isinstance(row, dict):
                raise DataError(f"{place}: found {type(row).__name__}; each line must be one JSON object")
            _check_columns(place, list(row), columns)
            yield place, row


def _parquet_rows(path: Path, columns: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f"{path}: reading Parquet needs pyarrow: pip install gulmfit[parquet]") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            _check_columns(str(path), table.schema_arrow.names, columns)
            number = 0
            # Few rows at a time: a file that repeats one long cell is small, and what it says is not.
            for batch in table.iter_batches(batch_size=_PARQUET_ROWS, columns=list(columns)):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", row
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error


def _open_text(path: Path) -> TextIO:
    with open(path, "rb") as handle:
        zipped = handle.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    # utf-8-sig drops the byte order mark that spreadsheet programs write.
    opener = gzip.open if zipped else open
    return cast(TextIO, opener(path, "rt", encoding="utf-8-sig", newline=""))


def _check_columns(where: str, found: Sequence[str], needed: Iterable[str]) -> None:
    counts = Counter(found)
    for column in needed:
        if counts[column] == 0:
            raise DataError(f"{where}: column {not_one_of(column, found)}")
        if counts[column] > 1:
            raise DataError(
                f"{where}: {counts[column]} columns are called {column!r}: {list(found)}; rename all but one"
            )


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
