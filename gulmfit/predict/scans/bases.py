"""Probabilities for every base of a genome, on both strands, from windows that overlap.

A base has the mean of what all windows say of it in which it stands far enough from an edge; the ends of a contig do
not count as edges. Batches of windows are the same in every run, and only bases that later windows may reach are held.
All positions are those of the genome store.

Shape letters: `N` windows, `L` bases, `C` classes of all tracks; an axis of 2 is the strand.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError
from gulmfit.predict.scans.grid import Integers, Windows
from gulmfit.seq.alphabet import Codes
from gulmfit.seq.genome.coverage import Coverage
from gulmfit.seq.genome.gatherer import Contig
from gulmfit.seq.genome.store import GenomeStore

Singles = npt.NDArray[np.float32]

GAP_BP = 30
"""A run of so many ambiguous bases or more gets what stands for the unknown, whatever the network makes of it."""
RUN_BP = 1 << 23
"""Contigs are read together until they have so many bases."""

_EDGE_SHARE = 4  # the overlap divided by it is what counts as the edge of a window
_PIECE_BP = 1 << 18  # bases that are handed on together


class BaseReader(Protocol):
    """What gives each base of a window probabilities on both strands."""

    @property
    def min_bases(self) -> int:
        """Bases of the shortest window."""

    @property
    def offsets(self) -> int:
        """How many times a window is read."""

    @property
    def unknown(self) -> Singles:
        """What stands for the probabilities of a base that cannot be read, `(C,)`."""

    def read(self, windows: Sequence[Codes], coverage: Sequence[Singles] = ()) -> Singles:
        """Return the probabilities of windows (L,), the same whatever stands beside a window, `(N, 2, L, C)`.

        Args:
            windows: Base codes.
            coverage: Measured values (A, L) of each, if there are any.
        """


class Reach(NamedTuple):
    """Windows, and the bases for which each of them counts, `(N,)` each and ascending."""

    starts: Integers
    ends: Integers
    lows: Integers
    highs: Integers


class BaseScan(NamedTuple):
    """How a genome is read base by base."""

    reader: BaseReader
    store: GenomeStore
    window_bp: int
    overlap_bp: int
    """Bases that a window shares with the next one."""
    batch_size: int
    """Windows that are read at once."""
    coverage: Coverage | None = None
    """Measured values that are read with the bases."""

    def check(self) -> None:
        """Refuse numbers that are out of range.

        Raises:
            ConfigError: A window is too short for the tokenizer or the overlap, or a number is not positive.
        """
        if self.batch_size < 1:
            raise ConfigError(f"batch_size={self.batch_size}: 1 or more is needed.")
        if self.window_bp < self.reader.min_bases:
            raise ConfigError(f"window_bp={self.window_bp}: the model reads {self.reader.min_bases} bases or more.")
        if not 0 <= self.overlap_bp < self.window_bp:
            raise ConfigError(
                f"overlap_bp={self.overlap_bp}: a window of {self.window_bp} bases shares 0 to {self.window_bp - 1} of "
                "them with the next one."
            )

    def runs(self) -> list[list[Contig]]:
        """Put contigs that follow each other together until they have `RUN_BP` bases."""
        found: list[list[Contig]] = []
        for contig in self.store.contigs:
            if not found or contig.start - found[-1][0].start >= RUN_BP:
                found.append([])
            found[-1].append(contig)
        return found

    def windows(self, contigs: Sequence[Contig]) -> Reach:
        """Lay windows on contigs; those that are too short to be read have none."""
        lengths = [contig.length for contig in contigs]
        grid = Windows(lengths, self.window_bp, self.window_bp - self.overlap_bp, self.reader.min_bases)
        edge = self.overlap_bp // _EDGE_SHARE
        rows: list[list[Integers]] = [[np.empty(0, np.int64)] * 4]
        for one in grid.stretches(0, len(grid)):
            contig = contigs[one.contig]
            lows = np.where(one.starts == 0, 0, one.starts + edge)
            highs = np.where(one.ends == contig.length, one.ends, one.ends - edge)
            rows.append([contig.start + part for part in (one.starts, one.ends, lows, highs)])
        return Reach(*(np.concatenate(column) for column in zip(*rows, strict=True)))

    def probabilities(self, contigs: Sequence[Contig], begin: int) -> Iterator[Singles]:
        """Yield the probabilities of the bases of a run from number `begin` on, in pieces `(L, 2, C)`.

        They are the same, to the last bit, wherever it begins.
        """
        reach, end = self.windows(contigs), contigs[-1].start + contigs[-1].length
        at = begin
        sums = np.zeros((0, 2, len(self.reader.unknown)), np.float32)
        counts = np.zeros(0, np.float32)
        first = int(np.searchsorted(reach.highs, begin, side="right"))
        first -= first % self.batch_size
        for number in range(first, max(len(reach.starts), first + 1), self.batch_size):
            batch = slice(number, number + self.batch_size)
            windows = list(zip(*(column[batch].tolist() for column in reach), strict=True))
            codes = [read_codes(self.store, one[0], one[1]) for one in windows]
            found = self.reader.read(codes, self._measured(contigs, windows)) if windows else ()
            grown = max([one[3] for one in windows], default=at) - at - len(sums)
            if grown > 0:
                sums = np.concatenate([sums, np.zeros((grown, *sums.shape[1:]), np.float32)])
                counts = np.append(counts, np.zeros(grown, np.float32))
            for (start, _, low, high), values in zip(windows, found, strict=True):
                low = max(low, at)
                if low < high:
                    sums[low - at : high - at] += values[:, low - start : high - start].swapaxes(0, 1)
                    counts[low - at : high - at] += 1
            # What no later window counts for is complete.
            done = int(reach.lows[batch.stop]) if batch.stop < len(reach.lows) else end
            while at < done:
                size = min(done - at, _PIECE_BP)
                yield self._means(sums[:size], counts[:size], at, size)
                sums, counts, at = sums[size:], counts[size:], at + size

    def _measured(self, contigs: Sequence[Contig], windows: Sequence[Sequence[int]]) -> list[Singles]:
        """Return the values (A, L) of each of the windows of a run; nothing where nothing is measured."""
        if self.coverage is None:
            return []
        firsts = [contig.start for contig in contigs]
        own = [contigs[bisect_right(firsts, start) - 1] for start, *_ in windows]
        return [
            self.coverage.values(contig.name, start - contig.start, end - contig.start)
            for contig, (start, end, *_) in zip(own, windows, strict=True)
        ]

    def _means(self, sums: Singles, counts: Singles, at: int, size: int) -> Singles:
        """Divide the sums of the `size` bases from `at` on, and fill in those that no window reads."""
        means = np.tile(self.reader.unknown, (size, 2, 1))
        seen = np.flatnonzero(counts)
        means[seen] = sums[seen] / counts[seen, None, None]
        gaps = self.store.runs[self.store.runs[:, 1] - self.store.runs[:, 0] >= GAP_BP]
        for start, end in gaps[(gaps[:, 1] > at) & (gaps[:, 0] < at + size)].tolist():
            means[max(0, start - at) : max(0, end - at)] = self.reader.unknown
        return means


def read_codes(store: GenomeStore, start: int, end: int) -> Codes:
    """Read the bases `[start, end)` of a store, not through its map, whose pages would count as memory in use."""
    codes = store.codes
    if isinstance(codes, np.memmap) and codes.filename:
        return np.fromfile(codes.filename, dtype=np.uint8, count=end - start, offset=start)
    return codes[start:end]
