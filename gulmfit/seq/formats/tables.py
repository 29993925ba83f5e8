"""Tables row by row: CSV, TSV, JSON lines or Parquet, chosen by file name; the first three may be gzipped."""

import csv
import difflib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gulmfit.errors import DataError
from gulmfit.libraries import library
from gulmfit.seq.cells import cell_text
from gulmfit.seq.limits import bounded_lines, longest_record, parse_json
from gulmfit.seq.text import READ_ERRORS, open_text, unreadable

_PARQUET_ROWS = 1024
_DELIMITERS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars"}


def read_rows(
    path: Path, columns: Mapping[str, str | None], *, sets: Collection[str] = (), own: bool = False
) -> Iterator[tuple[str, dict[str, str]]]:
    """Read a table row by row.

    CSV is quoted. TSV is not, as its writers in biology have it: a quote is a letter there.

    Args:
        path: A table; its name says of what kind (see `is_table`).
        columns: Name of the column that plays each role; a role without a column is left out. The cells of the role
            "sequence" must not be missing values, such as NA.
        sets: Roles whose cells may be lists of names, which are joined by ";".
        own: Whether the package itself wrote this file: its names may well begin and end with quotes.

    Yields:
        Where the row stands ("a.csv, line 7"), and its cell for each role that has a column, stripped.

    Raises:
        DataError: The file is not a table by its name, is damaged, lacks a column, has a broken or no row, or a cell
            that is neither text nor a number; names file, line and column.
    """
    named = {role: column for role, column in columns.items() if column}
    reader = _reader(path)
    if reader is None:
        raise DataError(
            f"{path}: not a table by its name; allowed are .csv, .tsv, .tab, .jsonl (each with .gz or not) and .parquet"
        )
    place = ""
    try:
        for place, cells in reader(path, named.values(), own):
            yield place, row_texts(cells, named, place, sets)
    except (*READ_ERRORS, csv.Error) as error:
        raise unreadable(path, place.removeprefix(f"{path}, "), error) from error
    if not place:
        raise DataError(f"{path}: no record in this table")


def row_texts(
    cells: Mapping[str, Any], columns: Mapping[str, str], place: str, sets: Collection[str] = ()
) -> dict[str, str]:
    """Turn the cells of a row into the text of each role; arguments and exceptions as for `read_rows`."""
    return {
        role: cell_text(cells[column], f"{place}: column {column!r}", needed=role == "sequence", names=role in sets)
        for role, column in columns.items()
    }


def quoting(comma: bool) -> dict[str, Any]:
    """Return what tells `csv.reader` how CSV (`comma`) and TSV are written."""
    # The default limit of 128 KiB is shorter than many a sequence.
    csv.field_size_limit(min(longest_record(), 2**31 - 1))
    quotes = csv.QUOTE_MINIMAL if comma else csv.QUOTE_NONE
    return {"delimiter": "," if comma else "\t", "strict": True, "quoting": quotes}


def is_table(path: Path) -> bool:
    """Tell by its name whether a file is a table: .csv, .tsv, .tab, .jsonl (or one with .gz) or .parquet."""
    return _reader(path) is not None


def not_one_of(name: str, allowed: Sequence[str]) -> str:
    """Say in a message that a name is not one of those allowed, and which of them is near."""
    near = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
    return f"{name!r} is not one of {list(allowed)}" + (f"; did you mean {near[0]!r}?" if near else "")


def _reader(path: Path) -> Callable[[Path, Iterable[str], bool], Iterator[tuple[str, dict[str, Any]]]] | None:
    name = path.name.lower().removesuffix(".gz")
    kinds = {
        ".csv": _csv_rows,
        ".tsv": _csv_rows,
        ".tab": _csv_rows,
        ".jsonl": _json_rows,
        ".parquet": _parquet_rows,
    }
    return kinds.get(Path(name).suffix)


def _csv_rows(path: Path, columns: Iterable[str], own: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    comma = path.name.lower().removesuffix(".gz").endswith(".csv")
    lines: list[str] = []  # those of the row that is read

    def remembered(handle: Iterable[str]) -> Iterator[str]:
        for line in handle:
            lines.append(line)
            yield line

    with open_text(path, newline="") as handle:
        reader = csv.reader(remembered(bounded_lines(handle, path)), **quoting(comma))
        header = next(reader, None)
        if header is None:
            return
        _check_header(f"{path}, line 1", header, columns, comma, own)
        wanted = [(header.index(column), column) for column in columns]
        lines.clear()
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            if len(lines) > 1 and not own:
                _check_swallowed(
                    f"{path}, lines {reader.line_num - len(lines) + 1} to {reader.line_num}", lines, header
                )
            lines.clear()
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(f"{place}: {len(row)} field(s) where the header has {len(header)}: {header}")
            if wanted and all(row[index].strip() == column for index, column in wanted):
                raise DataError(f"{place}: the header stands here again; were two tables joined? Remove this line.")
            if not comma and not own:
                for index, column in wanted:
                    _check_unquoted(row[index], f"{place}: column {column!r}")
            yield place, dict(zip(header, row, strict=True))


def _check_header(place: str, header: list[str], columns: Iterable[str], comma: bool, own: bool) -> None:
    """Check that the columns are there; where all stand in one, say how its fields are parted."""
    mark = "," if comma else "\t"
    text = header[0] if header else ""
    other = next((other for other in _DELIMITERS if other != mark and other in text), "")
    if text.lower().startswith("sep="):
        raise DataError(f"{place}: {text!r} is for Excel alone; remove this line, so that the header is the first")
    if len(header) == 1 and other and not set(columns) <= {text}:
        raise DataError(
            f"{place}: {_DELIMITERS[other]} part the fields: {text[:80]!r}; in a {'.csv' if comma else '.tsv'} "
            f"these are {_DELIMITERS[mark]}. Save it so{', or name it .tsv' if other == chr(9) else ''}."
        )
    if not comma and not own and any(_quoted(name) for name in header):
        raise DataError(f"{place}: quotes around the names of columns; write the TSV without quotes, or save it as CSV")
    _check_columns(place, header, columns)


def _check_swallowed(place: str, lines: Sequence[str], header: list[str]) -> None:
    """Refuse a row of several lines each of which looks like a row: a quote that is not closed holds them together."""
    if len(header) > 1 and all(line.count(",") >= len(header) - 1 for line in lines):
        raise DataError(
            f"{place}: one row by its quotes, though each of its {len(lines)} lines has the fields of a row; a quote "
            'inside a field is written "". Mend the first of these lines.'
        )


def _check_unquoted(cell: str, where: str) -> None:
    if _quoted(cell):
        raise DataError(f"{where} holds {cell[:80]!r} with quotes around it; write the TSV without, or save it as CSV")


def _quoted(cell: str) -> bool:
    cell = cell.strip()
    return len(cell) > 1 and cell[0] == cell[-1] == '"'


def _json_rows(path: Path, columns: Iterable[str], _: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    with open_text(path, newline="") as handle:
        for number, line in enumerate(bounded_lines(handle, path), start=1):
            if not line.strip():
                continue
            place = f"{path}, line {number}"
            try:
                row = parse_json(line, unique=True)
            except ValueError as error:
                raise DataError(f"{place}: not JSON: {error}") from error
            if not isinstance(row, dict):
                raise DataError(f"{place}: found {type(row).__name__}; each line must be one JSON object")
            _check_columns(place, list(row), columns)
            yield place, row


def _parquet_rows(path: Path, columns: Iterable[str], _: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    pyarrow = library("pyarrow.parquet", "parquet", f"{path}: reading Parquet")
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


def _check_columns(where: str, found: Sequence[str], needed: Iterable[str]) -> None:
    counts = Counter(found)
    for column in needed:
        if counts[column] == 0:
            raise DataError(f"{where}: column {not_one_of(column, found)}")
        if counts[column] > 1:
            raise DataError(
                f"{where}: {counts[column]} columns are called {column!r}: {list(found)}; rename all but one"
            )
