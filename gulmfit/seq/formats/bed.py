"""BED, the table of intervals: 3 to 12 columns and the peak files that follow it."""

from collections.abc import Iterator
from pathlib import Path

from gulmfit.errors import DataError
from gulmfit.seq.formats.features import STRANDS, Feature, score_of, whole_number
from gulmfit.seq.text import numbered_lines

_HEADERS = ("track", "browser")
_FIXED = 6  # contig, start, end, name, score, strand
_BED12 = ("thickStart", "thickEnd", "itemRgb", "blockCount", "blockSizes", "blockStarts")


def read_bed(path: Path) -> Iterator[Feature]:
    """Stream the records of a BED file.

    Columns are parted by tabs, or by any white space in a line without tabs. Empty lines, comments and `track` and
    `browser` lines are skipped. Columns after the sixth are kept as attributes: under their names in BED12, whose
    blocks are checked, else as "column7" and so on, as in the peak files of ENCODE. A record may be empty
    (start = end): a place between two bases.

    Args:
        path: BED file, plain, gzip or bgzip.

    Raises:
        DataError: A line has fewer than 3 columns or not as many as the first one, a coordinate, score, strand or block
            is wrong, or the file is unreadable or holds no record.

    Source: https://samtools.github.io/hts-specs/BEDv1.pdf.
    """
    width = 0
    for number, line in numbered_lines(path):
        words = line.split(maxsplit=1)
        if not words or line.startswith("#") or words[0] in _HEADERS:
            continue
        place = f"{path}, line {number}"
        cells = [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()
        width = width or len(cells)
        if len(cells) < 3 or len(cells) != width:
            wanted = f"{width}, as in the first record" if width >= 3 else "3 or more: contig, start, end"
            raise DataError(f"{place}: {len(cells)} column(s): {line[:80]!r}; expected {wanted}")
        yield _feature(cells, place)
    if not width:
        raise DataError(f"{path}: no BED record in this file")


def _feature(cells: list[str], place: str) -> Feature:
    contig = cells[0]
    start, end = whole_number(cells[1], "start", place), whole_number(cells[2], "end", place)
    if not contig:
        raise DataError(f"{place}: the name of the contig is empty")
    if start < 0 or end < start:
        raise DataError(f"{place}: start {start}, end {end}; BED counts from 0 and needs 0 <= start <= end")
    name, score, strand = [*cells[3:_FIXED], *("", ".", ".")[len(cells[3:_FIXED]) :]]
    if strand not in STRANDS:
        raise DataError(f"{place}: strand {strand!r} is not one of {', '.join(STRANDS)}")
    extra = cells[_FIXED:]
    keys = _BED12 if len(extra) == len(_BED12) else [f"column{number}" for number in range(7, 7 + len(extra))]
    attributes = dict(zip(keys, extra, strict=True))
    if "blockCount" in attributes:
        _check_blocks(attributes, end - start, place)
    return Feature(
        contig, start, end, strand, "" if name == "." else name, score_of(score, place), "", attributes, place
    )


def _check_blocks(attributes: dict[str, str], length: int, place: str) -> None:
    """Check the blocks of a BED12 record: as many as announced, in order, the first and last at its ends."""
    count = whole_number(attributes["blockCount"], "blockCount", place)
    sizes, starts = (
        [whole_number(text, name, place) for text in attributes[name].removesuffix(",").split(",")]
        for name in ("blockSizes", "blockStarts")
    )
    ends = [start + size for start, size in zip(starts, sizes, strict=False)]
    if not count == len(sizes) == len(starts):
        raise DataError(f"{place}: blockCount {count} with {len(sizes)} blockSizes and {len(starts)} blockStarts")
    if starts[0] != 0 or ends[-1] != length or any(a > b for a, b in zip(ends, starts[1:], strict=False)):
        raise DataError(
            f"{place}: blocks from {starts} of sizes {sizes} do not fill a record of {length} bases: the first must "
            "begin it, the last must end it, and none may overlap the next"
        )
