"""Databases of known motifs: files in MEME's or JASPAR's format, JASPAR's SQLite database, and JASPAR by name."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from gulmfit.errors import DataError
from gulmfit.libraries import library
from gulmfit.seq.formats.motif_files import Motif, read_motifs

JASPAR = "jaspar"
GROUP = "vertebrates"
_SQLITE = b"SQLite format 3\x00"

# The latest version of each profile of a group.
_QUERY = """
    select m.id, m.base_id || '.' || max(m.version), m.name, d.col, d.row, d.val
    from MATRIX m join MATRIX_ANNOTATION a on a.id = m.id and a.tag = 'tax_group' and a.val = ?
    join MATRIX_DATA d on d.id = m.id where m.collection = 'CORE'
    and not exists (select 1 from MATRIX n
                    where n.collection = 'CORE' and n.base_id = m.base_id and n.version > m.version)
    group by m.id, d.col, d.row order by m.base_id, cast(d.col as integer), d.row
"""


def read_database(name: str) -> list[Motif]:
    """Read the motifs of a database.

    Args:
        name: A file in MEME's or JASPAR's format; JASPAR's SQLite database; or `jaspar`, the newest release in
            pyjaspar. After a colon, a group other than vertebrates: `jaspar:plants`.

    Raises:
        DataError: It cannot be read, pyjaspar is missing, or JASPAR has no such group.
    """
    known, _, group = name.partition(":")
    if known == JASPAR:
        package = library("pyjaspar", "jaspar", f"database={name}")
        path = max((Path(package.__file__).parent / "data").glob("JASPAR*.sqlite"))
        return _read_sqlite(path, group or GROUP)
    path = Path(name)
    try:
        with path.open("rb") as file:
            sqlite = file.read(len(_SQLITE)) == _SQLITE
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    return _read_sqlite(path, GROUP) if sqlite else read_motifs(path)


def _read_sqlite(path: Path, group: str) -> list[Motif]:
    """Read the CORE profiles of a group, the newest version of each."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            cells = database.execute(_QUERY, [group]).fetchall()
            groups = database.execute("select distinct val from MATRIX_ANNOTATION where tag = 'tax_group'").fetchall()
    except sqlite3.Error as error:
        raise DataError(f"{path}: not a database of JASPAR: {error}.") from error
    if not cells:
        raise DataError(f"{path}: JASPAR has no group {group!r}. It has {', '.join(sorted(one for (one,) in groups))}.")
    counts: dict[tuple[str, str], list[float]] = {}
    for _, matrix, other, _, _, value in cells:
        counts.setdefault((matrix, other), []).append(value)
    motifs = []
    for (matrix, other), values in counts.items():
        columns = np.array(values, float).reshape(-1, 4)  # rows come as A, C, G, T
        motifs.append(Motif(matrix, columns / columns.sum(1, keepdims=True), round(columns.sum(1).max()), other))
    return motifs
