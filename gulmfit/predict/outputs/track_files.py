"""Write what lies on a genome in genome order, as BED, bedGraph or bigWig: whole or not at all.

Genome order is contigs by name, as `sort -k1,1 -k2,2n` in the C locale has them, and ascending positions.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from gulmfit.errors import DataError
from gulmfit.files import cannot_be_written, whole_file
from gulmfit.libraries import library

DECIMALS = 6

pybigtools = partial(library, "pybigtools", "tracks", "writing bigWig")


class TrackSpan(NamedTuple):
    """Bases of a contig that share one value."""

    contig: str
    start: int
    end: int
    value: float


class Placed(NamedTuple):
    """A record or a window that lies on a genome, and its score; its name and strand are those of BED."""

    contig: str
    start: int
    end: int
    name: str
    strand: str
    value: float


class OnGenome(Protocol):
    """What was found along a genome, in genome order."""

    lengths: Mapping[str, int]
    """Bases of each contig."""
    scaled: bool
    """Whether values have a scale, as probabilities and bits do; others may be of any size."""

    def places(self) -> Iterator[Placed]:
        """Yield every record or window, on each strand."""

    def intervals(self, strand: str) -> Iterator[TrackSpan]:
        """Yield the bases of one strand that have a value, none twice."""

    def calls(self) -> Iterator[str]:
        """Yield a line of BED for each call."""


def bed_line(
    contig: str, start: int, end: int, name: str, strand: str, value: float, *more: object, scaled: bool = True
) -> str:
    """Write one line of BED: six columns, then more ones.

    Args:
        contig: Column 1, and so on.
        start: 0-based.
        end: Exclusive.
        name: White space in it becomes "_".
        strand: "+", "-" or ".".
        value: From it follows column 5, a whole number from 0 to 1000.
        more: Columns 7 and later.
        scaled: Whether the value is a probability; column 5 is 0 where it is not.
    """
    score = round(1000 * value) if scaled else 0
    label = "_".join(name.split()) or "."
    return "\t".join(map(str, (contig, start, end, label, score, strand, *more))) + "\n"


def digits(value: float, scaled: bool = True) -> str:
    """Write what has a scale, a probability or bits, with six decimals, and other values with nine digits."""
    return f"{value:.{DECIMALS}f}" if scaled else f"{value:.9g}"


def write_lines(path: Path, lines: Iterable[str]) -> int:
    """Write lines, each with its end, and return how many there were.

    Raises:
        DataError: If the file cannot be written.
    """
    count = 0
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="\n") as handle:
        for line in lines:
            handle.write(line)
            count += 1
    return count


def bed_lines(found: OnGenome) -> Iterator[str]:
    """Yield a line of BED for each record or window: six columns, and its value."""
    for one in found.places():
        yield bed_line(*one, digits(one.value, found.scaled), scaled=found.scaled)


def write_bedgraph(
    path: Path, lengths: Mapping[str, int], intervals: Iterable[TrackSpan], *, scaled: bool = True
) -> int:
    """Write intervals in genome order as bedGraph; arguments as for `write_bigwig`."""
    return write_lines(path, ("\t".join(map(str, (*one[:3], digits(one.value, scaled)))) + "\n" for one in intervals))


def write_bigwig(path: Path, lengths: Mapping[str, int], intervals: Iterable[TrackSpan], *, scaled: bool = True) -> int:
    """Write intervals as bigWig and return how many there were.

    Args:
        path: Output file; its folder is made.
        lengths: Bases of each contig.
        intervals: In genome order, none over another. Their values are written as bedGraph has them, as closely as 32
            bits allow.
        scaled: As in `OnGenome`.

    Raises:
        DataError: If pybigtools is missing, there is no interval, they are not in order, or the file cannot be written.
    """
    bigtools = pybigtools()
    written = _Counted(intervals, scaled)
    with whole_file(path) as unfinished:
        try:
            bigtools.open(str(unfinished), "w").write(dict(lengths), iter(written))
            # Trouble on the way is told by nothing but what is missing in the end.
            covered = bigtools.open(str(unfinished)).info()["summary"]["basesCovered"] if written.count else 0
        except Exception as error:  # the library has nothing more specific
            reason = f"{error} Do intervals overlap, or leave their contig?"
            raise written.trouble or cannot_be_written(path, reason) from error
        if written.trouble:
            raise written.trouble
        if not written.count:
            raise DataError(f"{path}: there is no value to write, and a bigWig file cannot be empty.")
        if covered != written.bases:
            raise cannot_be_written(path, f"{covered:,} of {written.bases:,} bases are in it")
    return written.count


class _Counted:
    """Intervals on their way into a library that swallows every exception."""

    def __init__(self, intervals: Iterable[TrackSpan], scaled: bool) -> None:
        self._intervals, self._scaled = intervals, scaled
        self.trouble: Exception | None = None
        self.count = self.bases = 0

    def __iter__(self) -> Iterator[tuple[str, int, int, float]]:
        try:
            for contig, start, end, value in self._intervals:
                self.count += 1
                self.bases += end - start
                yield contig, start, end, float(digits(value, self._scaled))
        except Exception as error:
            self.trouble = error
