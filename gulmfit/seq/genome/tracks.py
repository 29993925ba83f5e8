"""Values at every base of a genome: bigWig, bedGraph, and the coverage of a BAM file.

Shape: L bases. Coordinates are 0-based half-open, on the forward strand.
"""

from abc import ABC, abstractmethod
from array import array
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError, DataError
from gulmfit.libraries import library
from gulmfit.seq.formats.features import whole_number
from gulmfit.seq.formats.tables import not_one_of
from gulmfit.seq.formats.track_checks import believing, check_bam_indexes, check_bigwig
from gulmfit.seq.genome.contigs import contigs_by_name, missing_contigs
from gulmfit.seq.genome.gatherer import Contig
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.text import numbered_lines

Values = npt.NDArray[np.float32]


class Track(ABC):
    """One value for each base of each contig.

    Attributes:
        path: The file.
        contigs: Length of each contig, in bases. A bedGraph file tells none: where its last value ends stands for it.
    """

    # Whether the file tells every contig of its genome and its length, or only where it has values.
    tells_genome: ClassVar[bool] = True

    def __init__(self, path: Path, contigs: dict[str, int]) -> None:
        self.path, self.contigs = path, contigs

    @staticmethod
    def open(path: str | Path, *, strand: str | None = None) -> "Track":
        """Open a track; its name says of what kind it is.

        Args:
            path: .bw or .bigWig; .bedGraph or .bdg, also with .gz or .bgz; or .bam with its index.
            strand: Of a BAM file: "+" or "-" for the coverage by fragments of that strand alone (see `BamTrack`).

        Raises:
            ConfigError: A strand is asked of a file that knows none, or is neither "+" nor "-".
            DataError: The file is missing, damaged or of another kind, or a library to read it is missing.
        """
        path = Path(path).expanduser()
        name = path.name.lower().removesuffix(".gz").removesuffix(".bgz")
        kind = _KINDS.get(Path(name).suffix)
        if kind is None or (kind is not BedGraphTrack and name != path.name.lower()):
            raise DataError(
                f"{path}: not a track by its name; allowed are .bw, .bigWig, .bam, .bedGraph and .bdg, the last two "
                "also with .gz or .bgz"
            )
        if not path.is_file():
            raise DataError(f"{path}: no such file (looked for in {Path.cwd()}). Correct the path.")
        if strand is not None and kind is not BamTrack:
            raise ConfigError(f"{path}: strand={strand!r} is for BAM files; a {kind.__name__} has one value a base")
        return BamTrack(path, strand) if kind is BamTrack else kind(path)

    def values(self, contig: str, start: int, end: int) -> Values:
        """Return the values of bases [start, end) of a contig, float32 (end - start,).

        A base of which a bigWig or bedGraph file says nothing is NaN; one that no read of a BAM file covers is 0.

        Raises:
            DataError: The track lacks the contig, or [start, end) does not lie in it.
        """
        length = self.contigs.get(contig)
        if length is None:
            raise DataError(f"{self.path}: contig {not_one_of(contig, list(self.contigs))}")
        if not 0 <= start <= end or (self.tells_genome and end > length):
            raise DataError(f"{self.path}: {start}-{end} does not lie in contig {contig!r} of {length:,} bases")
        return self._read(contig, start, end)

    def check_lengths(self, known: Mapping[str, Contig]) -> None:
        """Check the lengths of the contigs that a track shares with a genome.

        Raises:
            DataError: One has another length.
        """
        for name, length in self.contigs.items():
            wanted = known[name].length if name in known else length
            if length > wanted or (self.tells_genome and length < wanted):
                raise DataError(
                    f"{self.path}: contig {name!r} has {length:,} bases, in the genome {wanted:,}: the track belongs "
                    "to another genome or version; give that one"
                )

    def check_against(self, store: GenomeStore) -> None:
        """Check that a track belongs to a genome.

        bigWig and BAM files tell all contigs of their genome; of a bedGraph file only what it holds is checked.

        Raises:
            DataError: The genome lacks contigs of the track, a contig has another length, or the track lacks one.
        """
        known = contigs_by_name(store)
        self.check_lengths(known)
        if missing := [name for name in self.contigs if name not in known]:
            raise DataError(f"{self.path}: {missing_contigs(missing, known)}. Is this the genome of the track?")
        lacking = [name for name in known if name not in self.contigs]
        if lacking and self.tells_genome:
            raise DataError(
                f"{self.path}: {len(lacking)} contig(s) of the genome are not in the track: "
                f"{', '.join(map(repr, lacking[:5]))}; give the genome that the track was made for"
            )

    @abstractmethod
    def _read(self, contig: str, start: int, end: int) -> Values: ...


class BigWigTrack(Track):
    """A bigWig file. NaN where it says nothing.

    Raises:
        DataError: It is damaged, no bigWig file, or pybigtools is not installed.
    """

    def __init__(self, path: Path) -> None:
        pybigtools = library("pybigtools", "tracks", f"{path}: reading bigWig")
        self._damaged: tuple[type[Exception], ...] = (OSError, ValueError, RuntimeError, pybigtools.BBIReadError)
        with believing(f"{path}: not a readable bigWig file", *self._damaged):
            check_bigwig(path)
            self._reader = pybigtools.open(str(path))
            super().__init__(path, dict(self._reader.chroms()))

    def _read(self, contig: str, start: int, end: int) -> Values:
        if start == end:
            return np.zeros(0, np.float32)
        with believing(f"{self.path}: unreadable at {contig}:{start}-{end}", *self._damaged):
            found = self._reader.values(contig, start, end, fillna=None)
        return np.asarray(found, np.float32)


class BedGraphTrack(Track):
    """A bedGraph file, read into memory: some 20 bytes a line. NaN where it says nothing.

    Columns are contig, start, end and value, parted by white space, in any order of lines.

    Raises:
        DataError: A line is broken, two of them overlap, or the file is unreadable or holds none.

    Source: https://genome.ucsc.edu/goldenPath/help/bedgraph.html.
    """

    tells_genome = False

    def __init__(self, path: Path) -> None:
        columns: defaultdict[str, tuple[array[int], array[int], array[float], array[int]]]
        columns = defaultdict(lambda: (array("q"), array("q"), array("f"), array("q")))
        for number, line in numbered_lines(path):
            cells = line.split()
            if not cells or cells[0] in ("track", "browser") or line.startswith("#"):
                continue
            start, end, value = _step(cells, f"{path}, line {number}")
            starts, ends, values, numbers = columns[cells[0]]
            starts.append(start)
            ends.append(end)
            values.append(value)
            numbers.append(number)
        if not columns:
            raise DataError(f"{path}: no value in this bedGraph file")
        self._steps = {contig: _sorted_steps(*found, contig, path) for contig, found in columns.items()}
        super().__init__(path, {contig: int(ends[-1]) for contig, (_, ends, _) in self._steps.items()})

    def _read(self, contig: str, start: int, end: int) -> Values:
        starts, ends, values = self._steps[contig]
        chosen = slice(np.searchsorted(ends, start, side="right"), np.searchsorted(starts, end, side="left"))
        first, last = np.maximum(starts[chosen], start), np.minimum(ends[chosen], end)
        lengths = last - first
        # Base after base of all steps: the first base of its step, and how far it lies behind that.
        behind = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        found = np.full(end - start, np.nan, np.float32)
        found[np.repeat(first - start, lengths) + behind] = np.repeat(values[chosen], lengths)
        return found


def _step(cells: list[str], place: str) -> tuple[int, int, float]:
    """Read start, end and value of a line."""
    if len(cells) != 4:
        raise DataError(f"{place}: {len(cells)} column(s); a bedGraph line has 4: contig, start, end, value")
    start, end = whole_number(cells[1], "start", place), whole_number(cells[2], "end", place)
    if not 0 <= start < end:
        raise DataError(f"{place}: start {start}, end {end}; bedGraph counts from 0 and needs 0 <= start < end")
    try:
        return start, end, float(cells[3])
    except ValueError as error:
        raise DataError(f"{place}: value {cells[3]!r} is not a number") from error


def _sorted_steps(
    starts: "array[int]", ends: "array[int]", values: "array[float]", lines: "array[int]", contig: str, path: Path
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Values]:
    first, last, numbers = (np.array(column, np.int64) for column in (starts, ends, lines))
    order = np.argsort(first, kind="stable")
    first, last, numbers = first[order], last[order], numbers[order]
    overlaps = np.flatnonzero(first[1:] < last[:-1])
    if overlaps.size:
        index = int(overlaps[0])
        raise DataError(
            f"{path}, line {numbers[index + 1]}: {contig}:{first[index + 1]}-{last[index + 1]} overlaps "
            f"{first[index]}-{last[index]} of line {numbers[index]}; a base has one value"
        )
    return first, last, np.array(values, np.float32)[order]


class BamTrack(Track):
    """Coverage of a sorted and indexed BAM file: how many reads are aligned to a base.

    Deletions and introns of a read (D and N of its CIGAR string) count for nothing, both mates of a pair count where
    they overlap, and unmapped, secondary, duplicate and failed reads are skipped, as by `samtools depth`.

    Args:
        path: The file; its index lies beside it.
        strand: "+" or "-": only fragments of that strand, which is that of their first read. Libraries made by the dUTP
            method read the other strand of a transcript. None: all reads.

    Raises:
        ConfigError: `strand` is unknown.
        DataError: The file is damaged, not sorted or has no index, or pysam is not installed.
    """

    def __init__(self, path: Path, strand: str | None = None) -> None:
        if strand not in (None, "+", "-"):
            raise ConfigError(f"strand={strand!r} is not one of '+', '-' and null")
        pysam = library("pysam", "tracks", f"{path}: reading BAM")
        self._strand = strand
        spoken = pysam.set_verbosity(0)  # htslib would tell on the standard error that there is no index
        try:
            with believing(f"{path}: not a readable BAM file", Exception):  # pysam asserts, too
                check_bam_indexes(path)
                self._file: Any = pysam.AlignmentFile(str(path), "rb")
                indexed = self._file.has_index()
                by_place = self._file.header.to_dict().get("HD", {}).get("SO") == "coordinate"
                contigs = dict(zip(self._file.references, self._file.lengths, strict=True))
        finally:
            pysam.set_verbosity(spoken)
        if not indexed:
            first = "" if by_place else f"samtools sort -o sorted.bam {path}, and then "
            target = path if by_place else "sorted.bam"
            found = "no index (.bai or .csi) beside it" if by_place else "not sorted by position, and without index"
            raise DataError(f"{path}: {found}. Make it: {first}samtools index {target}")
        super().__init__(path, contigs)

    def _read(self, contig: str, start: int, end: int) -> Values:
        steps = np.zeros(end - start + 1, np.int64)
        try:
            for read in self._file.fetch(contig, start, end) if end > start else ():
                if self._counts(read):
                    for first, last in read.get_blocks():
                        steps[min(max(first, start), end) - start] += 1
                        steps[min(max(last, start), end) - start] -= 1
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path}: unreadable at {contig}:{start}-{end}: {error}; damaged?") from error
        return np.cumsum(steps)[:-1].astype(np.float32)

    def by_strand(self, contig: str, start: int, end: int) -> Values:
        """Count the reads that are aligned to bases [start, end), and those that leave them out as an intron.

        Returns:
            Reads of "+" and "-", and introns (N of the CIGAR string) of "+" and "-", float32 (4, end - start).

        Raises:
            DataError: As of `values`.
        """
        length = self.contigs.get(contig)
        if length is None or not 0 <= start <= end <= length:
            return self.values(contig, start, end)  # which says what is wrong
        steps = np.zeros((4, end - start + 1), np.int64)
        with believing(f"{self.path}: unreadable at {contig}:{start}-{end}", OSError, ValueError):
            for read in self._file.fetch(contig, start, end) if end > start else ():
                if not self._counts(read):
                    continue
                row, at = int(_is_backward(read)), read.reference_start
                for operation, size in read.cigartuples or ():
                    if operation in _ALIGNED or operation == _INTRON:
                        own = steps[row + 2 * (operation == _INTRON)]
                        own[min(max(at, start), end) - start] += 1
                        own[min(max(at + size, start), end) - start] -= 1
                    at += size if operation in (*_ALIGNED, _DELETION, _INTRON) else 0
        return np.cumsum(steps, axis=1)[:, :-1].astype(np.float32)

    def _counts(self, read: Any) -> bool:
        if read.is_unmapped or read.is_secondary or read.is_qcfail or read.is_duplicate:
            return False
        return self._strand is None or self._strand == ("-" if _is_backward(read) else "+")


def _is_backward(read: Any) -> bool:
    """Whether the fragment of a read is of the strand "-": its first read is."""
    return bool(read.is_reverse != (read.is_paired and read.is_read2))


_ALIGNED, _DELETION, _INTRON = (0, 7, 8), 2, 3  # operations of a CIGAR string


_KINDS: dict[str, type[BigWigTrack] | type[BedGraphTrack] | type[BamTrack]] = {
    ".bw": BigWigTrack,
    ".bigwig": BigWigTrack,
    ".bedgraph": BedGraphTrack,
    ".bdg": BedGraphTrack,
    ".bam": BamTrack,
}
