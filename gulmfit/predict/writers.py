"""Write predictions to files: whole or not at all."""

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError


def write_tsv(path: str | Path, classes: Sequence[str], rows: Iterable[tuple[str, npt.NDArray[np.float64]]]) -> int:
    """Write record ids and class probabilities as TSV, one column a class, with a header.

    The file appears under its name once it is complete; on any failure nothing is left.

    Args:
        path: Output file; its folder is made.
        classes: Names of the probability columns.
        rows: Record id and probabilities `(C,)`.

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
            writer.writerow(["id", *classes])
            for name, probabilities in rows:
                writer.writerow([name, *(f"{value:.6f}" for value in probabilities)])
                count += 1
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}. Free space or choose another output=.") from error
    finally:
        partial.unlink(missing_ok=True)
    return count
