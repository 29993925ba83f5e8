"""Lineages: the names of a sequence's taxa from the highest rank down, and the tables that give them.

A class that is a lineage has a path for a name, its taxa joined by ";": `Bacteria;Firmicutes;Bacilli`.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gulmfit.errors import DataError
from gulmfit.seq.formats.tables import is_table, read_rows
from gulmfit.seq.text import numbered_lines

SEPARATOR = ";"

# What Greengenes, SILVA, GTDB and UNITE write before a taxon: "g__Escherichia".
RANK_LETTERS = {
    "d": "domain", "k": "kingdom", "p": "phylum", "c": "class", "o": "order", "f": "family", "g": "genus",
    "s": "species",
}  # fmt: skip
_PREFIX = re.compile(r"([a-z])__")
_NO_TAXON = {"", "unassigned", "unclassified", "na", "n/a", "nan", "none", "null"}  # in small letters

_log = logging.getLogger(__name__)

Lineage = tuple[str, ...]


def split_lineage(text: str) -> Lineage:
    """Split a lineage at ";", else at tabs, else at white space; nothing is left of empty taxa at its end."""
    separator = next((mark for mark in (SEPARATOR, "\t") if mark in text), None)
    taxa = [taxon.strip() for taxon in text.split(separator)]
    while taxa and is_empty(taxa[-1]):
        taxa.pop()
    return tuple(taxa)


def is_empty(taxon: str) -> bool:
    """Tell whether a taxon has no name: "", "g__", or a word for nothing, as in "Unassigned"."""
    return _PREFIX.sub("", taxon, count=1).strip().lower() in _NO_TAXON


def prefix_ranks(lineages: Sequence[Lineage]) -> list[str]:
    """Name the ranks that prefixes tell, from the top: "k__" is kingdom; an unknown letter stays one.

    Returns:
        One name for each depth, or an empty list where a taxon has no prefix or prefixes differ at one depth.
    """
    names: dict[int, set[str]] = {}
    for lineage in lineages:
        for depth, taxon in enumerate(lineage):
            found = _PREFIX.match(taxon)
            names.setdefault(depth, set()).add(RANK_LETTERS.get(found[1], found[1]) if found else "")
    ranks = [next(iter(names[depth])) for depth in sorted(names) if len(names[depth]) == 1]
    return ranks if len(ranks) == len(names) and all(ranks) and len(set(ranks)) == len(ranks) else []


def read_lineages(
    path: Path, *, id: str = "id", lineage: str | None = None, ranks: Sequence[str] = ()
) -> dict[str, Lineage]:
    """Read the lineage of each sequence.

    A table (.csv, .tsv, .jsonl, .parquet) has a column of ids, and either one column of whole lineages or a column for
    each rank. Any other file is text without a header: an id, perhaps with ">" before it, and behind it the lineage, as
    Greengenes and RDP write it.

    Args:
        path: The file; text may be gzipped.
        id: Of a table: column of the ids.
        lineage: Of a table: column of the lineages.
        ranks: Of a table without `lineage`: columns of the ranks, from the top.

    Returns:
        Lineages by id. Ids without one are left out, and counted in a warning.

    Raises:
        DataError: The file is unreadable or has no lineage, a column is missing, a line has no id, an id has two
            lineages, or a table is given without a name of columns.
    """
    if is_table(path) and not (lineage or ranks):
        raise DataError(
            f"{path}: a table needs data.lineage=COLUMN (of whole lineages) or data.ranks=[COLUMN, ...] (one for each "
            "rank, from the top)"
        )
    rows = _table(path, id, lineage, ranks) if is_table(path) else _lines(path)
    found: dict[str, Lineage] = {}
    without: list[str] = []
    for place, name, taxa in rows:
        if not name:
            raise DataError(f"{place}: an id and its lineage are needed; found no id and {len(taxa)} taxa")
        if not taxa:
            without.append(f"{place}, id {name!r}")
            continue
        if found.setdefault(name, taxa) != taxa:
            raise DataError(f"{place}: {name!r} had the lineage {SEPARATOR.join(found[name])!r} before; keep one")
    if not found:
        raise DataError(f"{path}: no lineage in this file")
    if without:
        _log.warning("%s: %d id(s) have no lineage and are left out, the first: %s", path, len(without), without[0])
    return found


def _table(path: Path, id: str, lineage: str | None, ranks: Sequence[str]) -> Iterator[tuple[str, str, Lineage]]:
    columns = {"id": id, **({"lineage": lineage} if lineage else {rank: rank for rank in ranks})}
    for place, row in read_rows(path, columns):
        text = row["lineage"] if lineage else SEPARATOR.join(row[rank] for rank in ranks)
        yield place, row["id"], split_lineage(text)


def _lines(path: Path) -> Iterator[tuple[str, str, Lineage]]:
    for number, line in numbered_lines(path):
        if line.strip():
            name, *rest = line.strip().removeprefix(">").split(maxsplit=1) or [""]
            yield f"{path}, line {number}", name, split_lineage("".join(rest))
