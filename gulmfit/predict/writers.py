"""Write predictions to files: whole or not at all."""

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from gulmfit.errors import DataError


def write_tsv(path: str | Path, columns: Sequence[str], rows: Iterable[tuple[str, Iterable[str | float]]]) -> int:
    """Write record ids and what was found about them as TSV with a header.

    The file appears under its name once it is complete; on any failure nothing is left.

    Args:
        path: Output file; its folder is made.
        columns: Names of the columns after `id`: classes, for probabilities.
        rows: Record id and its values; numbers are written with six decimals.

    Returns:
        How many records were written.

    Raises:
        DataError: If the file cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
            writer.writerow(["id", *columns])
            for name, values in rows:
                writer.writerow([name, *(value if isinstance(value, str) else f"{value:.6f}" for value in values)])
                count += 1
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}. Free space or choose another output=.") from error
    finally:
        partial.unlink(missing_ok=True)
    return count
