"""Write predictions as tables, TSV or Parquet, row after row: whole or not at all."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gulmfit.errors import DataError

Cell = str | int | float
Row = Sequence[Cell]
Write = Callable[[Iterable[Row]], None]

_ROWS_AT_ONCE = 4_096  # of a row group of Parquet: what is held in memory


class Value(float):
    """The type of a column whose numbers may be of any size, such as what a regressor predicts."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Lend a temporary name in the same folder, with the same suffix; what is there in the end takes the path's name.

    On any failure neither is left. A process that was killed leaves the temporary file, which the next one replaces.

    Raises:
        DataError: If the file cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        with unfinished.open("rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        raise cannot_be_written(path, error) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def cannot_be_written(path: Path, error: object) -> DataError:
    """Say that a file cannot be written, and what to do."""
    return DataError(f"{path} cannot be written: {error}. Free space or choose another output=.")


@contextmanager
def tsv_table(path: Path, columns: Mapping[str, type]) -> Iterator[Write]:
    """Lend a function that writes rows to a TSV file with a header; floats have six decimals, a `Value` nine digits.

    Args:
        path: Output file; its folder is made.
        columns: Name and type (str, int, float or `Value`) of each column.

    Raises:
        DataError: If the file cannot be written.
    """
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        forms = [".9g" if kind is Value else ".6f" for kind in columns.values()]

        def write(rows: Iterable[Row]) -> None:
            writer.writerows(
                [format(cell, form) if isinstance(cell, float) else cell for cell, form in zip(row, forms, strict=True)]
                for row in rows
            )

        yield write


@contextmanager
def parquet_table(path: Path, columns: Mapping[str, type]) -> Iterator[Write]:
    """Lend a function that writes rows to a Parquet file, floats in full; arguments as for `tsv_table`.

    Raises:
        DataError: If pyarrow is missing or the file cannot be written.
    """
    arrow = pyarrow()
    kinds = {str: arrow.string(), int: arrow.int64(), float: arrow.float64(), Value: arrow.float64()}
    schema = arrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
    waiting: list[Row] = []
    with whole_file(path) as unfinished, arrow.parquet.ParquetWriter(unfinished, schema) as writer:

        def flush() -> None:
            cells = zip(*waiting, strict=True)
            writer.write_table(arrow.table([list(column) for column in cells], schema=schema))
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
        columns: Names of the columns after `id`: classes, for probabilities.
        rows: Record id and its values; numbers are written with six decimals.

    Returns:
        How many records were written.

    Raises:
        DataError: If the file cannot be written; nothing is left of it.
    """
    count = 0
    with tsv_table(Path(path), dict.fromkeys(["id", *columns], float)) as write:
        for name, values in rows:
            write([[name, *(value if isinstance(value, str) else float(value) for value in values)]])
            count += 1
    return count


def pyarrow() -> Any:
    """Import the library of Parquet files.

    Raises:
        DataError: If it is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError("writing Parquet needs pyarrow: pip install 'gulmfit[parquet]'") from error
    return pyarrow
