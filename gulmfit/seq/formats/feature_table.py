"""NCBI's feature table (.tbl), as Prokka and table2asn write it: 1-based closed intervals, turned into features."""

import re
from collections.abc import Collection, Iterator
from itertools import pairwise
from pathlib import Path

from gulmfit.errors import DataError
from gulmfit.seq.formats.features import CROSSES_ORIGIN, Feature, name_of, whole_number
from gulmfit.seq.text import numbered_lines

_OFFSET = re.compile(r"\[offset=(-?\d{1,18})\]", re.ASCII)


class _Entry:
    """A feature that is being read: its parts (start, end, whether the first base stands right) and qualifiers."""

    def __init__(self, contig: str, kind: str, place: str) -> None:
        self.contig, self.kind, self.place = contig, kind, place
        self.parts: list[tuple[int, int, bool]] = []
        self.partial = False
        self.attributes: dict[str, str] = {}

    def add(self, first: str, last: str, offset: int, place: str) -> None:
        """Take a part; on the reverse strand its first base stands right of its last one."""
        self.partial |= first[:1] in "<>" or last[:1] in "<>"
        start, end = (
            whole_number(text.lstrip("<>"), name, place) + offset for text, name in ((first, "start"), (last, "end"))
        )
        if min(start, end) < 1:
            raise DataError(f"{place}: {first}-{last}; positions count from 1")
        self.parts.append((min(start, end) - 1, max(start, end), start > end))

    def features(self, number: int) -> Iterator[Feature]:
        """Yield each part, in the order in which it is read."""
        # A part of one base has no direction of its own.
        minus = any(right for *_, right in self.parts)
        if any(minus != right for start, end, right in self.parts if end - start > 1):
            raise DataError(f"{self.place}: parts of this {self.kind} lie on both strands; write them as two features")
        own = {**self.attributes, "ID": f"{self.contig}-{self.kind}-{number}"}
        own |= {"partial": "true"} if self.partial else {}
        # Reading order goes up on the forward strand and down on the other; where it turns, the contig is circular.
        if any((after[0] < before[0]) != minus for before, after in pairwise(self.parts)):
            own[CROSSES_ORIGIN] = "true"
        for start, end, _ in self.parts:
            strand = "-" if minus else "+"
            yield Feature(self.contig, start, end, strand, name_of(own), None, self.kind, own, self.place)


def read_feature_table(path: Path, kinds: Collection[str] | None = None) -> Iterator[Feature]:
    """Stream the features of a table, each part of one with several by itself, as of a GenBank file.

    A qualifier that is repeated gives its values with commas between them, one without a value "". A start or end with
    "<" or ">" makes a feature `partial`.

    Args:
        path: File, plain, gzip or bgzip.
        kinds: Keys to keep, such as CDS; all if None.

    Raises:
        DataError: A line is none of a feature table, a coordinate is wrong, or the file is unreadable or holds none.

    Source: https://www.ncbi.nlm.nih.gov/genbank/feature_table/.
    """
    contig, offset, count = "", 0, 0
    entry: _Entry | None = None
    for number, line in numbered_lines(path):
        place, text = f"{path}, line {number}", line.strip()
        cells = [cell.strip() for cell in line.rstrip().split("\t")]
        if not text or text.startswith("#"):
            continue
        if text.startswith(">"):
            words = text[1:].split()
            if len(words) < 2 or words[0].lower() != "feature":
                raise DataError(f"{place}: {text[:80]!r}; a table begins with '>Feature' and the name of its sequence")
            yield from _kept(entry, kinds, count)
            entry, contig, offset = None, words[1], 0
        elif found := _OFFSET.fullmatch(text):
            offset = int(found[1])
        elif not contig:
            raise DataError(f"{place}: {text[:80]!r} stands before the first '>Feature' line: not a feature table?")
        elif cells[0] and len(cells) in (2, 3):
            if len(cells) == 3:
                yield from _kept(entry, kinds, count)
                entry, count = _Entry(contig, cells[2], place), count + 1
            if entry is None:
                raise DataError(f"{place}: {text[:80]!r} goes on with a feature, and none has begun")
            entry.add(cells[0], cells[1], offset, place)
        elif len(cells) in (4, 5) and not any(cells[:3]) and entry is not None:
            key, value = cells[3], cells[4] if len(cells) == 5 else ""
            entry.attributes[key] = f"{entry.attributes[key]},{value}" if key in entry.attributes else value
        else:
            raise DataError(
                f"{place}: {len(cells)} column(s): {text[:80]!r}; expected start, end and key, start and end, or three "
                "empty columns, a qualifier and its value, with tabs between them"
            )
    yield from _kept(entry, kinds, count)
    if not count:
        raise DataError(f"{path}: no feature in this file")


def _kept(entry: _Entry | None, kinds: Collection[str] | None, number: int) -> Iterator[Feature]:
    if entry is not None and (kinds is None or entry.kind in kinds):
        yield from entry.features(number)
