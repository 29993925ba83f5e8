"""Write predictions as tables, TSV, JSON lines or Parquet, row after row: whole or not at all."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from gulmfit.errors import DataError
from gulmfit.files import whole_file
from gulmfit.libraries import library
from gulmfit.seq.names import tsv_line

Cell = str | int | float
Row = Sequence[Cell]
Columns = Sequence[tuple[str, type]]
"""Name and type of each column."""
Write = Callable[[Iterable[Row]], None]

_ROWS_AT_ONCE = 4_096  # of a row group of Parquet: what is held in memory


pyarrow = partial(library, "pyarrow.parquet", "parquet", "writing Parquet")


class Value(float):
    """The type of a column whose numbers may be of any size, such as what a regressor predicts."""


@contextmanager
def tsv_table(path: Path, columns: Columns) -> Iterator[Write]:
    """Lend a function that writes rows to a TSV file with a header; floats have six decimals, a `Value` nine digits.

    Args:
        path: Output file; its folder is made.
        columns: Name and type (str, int, float or `Value`) of each column; each name occurs once.

    Raises:
        DataError: If the file cannot be written, or a cell holds a tab or the end of a line.
    """
    _check_columns(path, columns)
    with whole_file(path) as unfinished, unfinished.open("wb") as handle:
        handle.write(tsv_line([name for name, _ in columns], path))
        forms = [".9g" if kind is Value else ".6f" for _, kind in columns]

        def write(rows: Iterable[Row]) -> None:
            handle.writelines(
                tsv_line(
                    [
                        format(cell, form) if isinstance(cell, float) else str(cell)
                        for cell, form in zip(row, forms, strict=True)
                    ],
                    path,
                )
                for row in rows
            )

        yield write


@contextmanager
def json_lines(path: Path, columns: Columns) -> Iterator[Write]:
    """Lend a function that writes a JSON object a line; arguments and digits as for `tsv_table`.

    Raises:
        DataError: If the file cannot be written.
    """
    _check_columns(path, columns)
    names = [name for name, _ in columns]
    forms = [".9g" if kind is Value else ".6f" for _, kind in columns]
    with whole_file(path) as unfinished, unfinished.open("w", encoding="ascii", newline="\n") as handle:

        def write(rows: Iterable[Row]) -> None:
            for row in rows:
                cells = (
                    float(format(cell, form)) if isinstance(cell, float) else cell
                    for cell, form in zip(row, forms, strict=True)
                )  # fmt: skip
                handle.write(json.dumps(dict(zip(names, cells, strict=True))) + "\n")

        yield write


@contextmanager
def parquet_table(path: Path, columns: Columns) -> Iterator[Write]:
    """Lend a function that writes rows to a Parquet file, floats in full; arguments as for `tsv_table`.

    Raises:
        DataError: If pyarrow is missing or the file cannot be written.
    """
    arrow = pyarrow()
    _check_columns(path, columns)
    kinds = {str: arrow.string(), int: arrow.int64(), float: arrow.float64(), Value: arrow.float64()}
    schema = arrow.schema([(name, kinds[kind]) for name, kind in columns])
    waiting: list[Row] = []
    with whole_file(path) as unfinished, arrow.parquet.ParquetWriter(unfinished, schema) as writer:

        def flush() -> None:
            cells = zip(*waiting, strict=True)
            try:
                table = arrow.table([list(column) for column in cells], schema=schema)
            except (UnicodeEncodeError, arrow.ArrowException) as error:
                raise DataError(f"{path}: a name is not text: {error}. Rename it.") from error
            writer.write_table(table)
            waiting.clear()

        def write(rows: Iterable[Row]) -> None:
            for row in rows:
                waiting.append(row)
                if len(waiting) == _ROWS_AT_ONCE:
                    flush()

        yield write
        if waiting:
            flush()


def write_tsv(path: str | Path, columns: Sequence[str], rows: Iterable[tuple[str, Iterable[str | float]]]) -> int:
    """Write record ids and what was found about them as TSV with a header.

    Args:
        path: Output file; its folder is made.
        columns: Names of all columns, that of the record ids first.
        rows: Record id and its values; numbers are written with six decimals.

    Returns:
        How many records were written.

    Raises:
        DataError: If the file cannot be written; nothing is left of it.
    """
    count = 0
    with tsv_table(Path(path), [(name, float) for name in columns]) as write:
        for name, values in rows:
            write([[name, *(value if isinstance(value, str) else float(value) for value in values)]])
            count += 1
    return count


def _check_columns(path: Path, columns: Columns) -> None:
    names = [name for name, _ in columns]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{path}: two columns would be called {twice[0]!r}. Rename that class or label.")
