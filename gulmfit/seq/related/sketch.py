"""What a model has read, in a few megabytes: a sketch of its corpus that test sequences can be searched in.

A model that is handed on leaves its corpus behind, and with it the leak check. A sketch goes with it. It holds the
*minimizers* of the corpus: of every `window` k-mers in a row the one whose hash is smallest, of both strands alike.
Two sequences that share `window + k - 1` identical bases therefore share a minimizer. Minimizers are kept as
fingerprints of 32 bits: n of them take a k-mer that is not among them for one of them once in 2**32 / n times.

Shapes: L bases, K k-mers, N sequences, n minimizers.

Source: Roberts et al. (2004), "Reducing storage requirements for biological sequence comparison"; the order here is
that of a hash, as in Marçais et al. (2017), "Improving the performance of minimizers".
"""

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import Codes, encode
from gulmfit.seq.related.overlap import NO_KMER, Kmers, Mask, canonical_kmers

K, WINDOW = 20, 81  # together: any 100 identical bases share a minimizer
FORMAT = 1

_PIECE = 1 << 17  # bases of a corpus at a time: their k-mers stay in a processor's cache
_AT_ONCE = 1 << 22  # bases of sequences at a time
_MOST_PACKED = 50  # a sketch unpacks to some three times its size; a file that unpacks to more is not one
_ORDER, _PRINT = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)


@dataclass(frozen=True, eq=False)
class Sketch:
    """The minimizers of a corpus of nucleotides.

    Attributes:
        prints: Sorted fingerprints (n,), uint32.
        k: Bases a k-mer.
        window: k-mers in a row of which one is kept.
    """

    prints: npt.NDArray[np.uint32]
    k: int = K
    window: int = WINDOW

    @property
    def covered(self) -> int:
        """Bases that two sequences must share to share a minimizer for sure."""
        return self.window + self.k - 1

    @property
    def false_positives(self) -> float:
        """How often a k-mer that is not a minimizer of the corpus is taken for one."""
        return len(self.prints) / 2**32

    @classmethod
    def build(cls, codes: Codes, spans: Iterable[tuple[int, int]], *, k: int = K, window: int = WINDOW) -> Self:
        """Sketch the stretches of a corpus that were read.

        Args:
            codes: Base codes (L,), which may be a memory map; they are read a piece at a time.
            spans: Half-open (start, end) of what was read, in positions of `codes`.
            k: Bases a k-mer.
            window: k-mers in a row of which one is kept.
        """
        parts = [np.empty(0, np.uint32)]
        for start, end in spans:
            for first in range(start, max(start + 1, end - k - window + 2), _PIECE):
                piece = np.asarray(codes[first : min(end, first + _PIECE + k + window - 2)])
                hashes = _hashes(piece, k)
                if not len(hashes):
                    continue
                smallest = _sliding_minimum(hashes, min(window, len(hashes)))
                parts.append(_fingerprints(np.unique(smallest[smallest != NO_KMER])))
        return cls(np.unique(np.concatenate(parts)), k, window)

    def save(self, path: Path) -> None:
        """Write the sketch: gaps between fingerprints, their bytes by significance, deflated."""
        gaps = np.diff(self.prints, prepend=np.uint32(0)).astype("<u4")
        planes = gaps.view(np.uint8).reshape(-1, 4).T
        with path.open("wb") as handle:
            np.savez_compressed(
                handle, about=np.array([FORMAT, self.k, self.window]), planes=np.ascontiguousarray(planes)
            )

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a sketch; raise DataError if the file is not one, or damaged."""
        try:
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > _MOST_PACKED * path.stat().st_size:
                raise ValueError(f"it unpacks to {unpacked:,} bytes")
            with np.load(path, allow_pickle=False) as kept:
                version, k, window = (int(value) for value in kept["about"])
                planes = kept["planes"]
            if version != FORMAT or planes.dtype != np.uint8 or planes.ndim != 2 or len(planes) != 4:
                raise ValueError("it is of another format")
            if not (1 <= k <= 31 and window >= 1):
                raise ValueError(f"k={k}, window={window}")
            prints = np.cumsum(np.ascontiguousarray(planes.T).view("<u4").ravel(), dtype=np.uint64)
            if len(prints) and (prints[-1] >> np.uint64(32) or (np.diff(prints) == 0).any()):
                raise ValueError("its fingerprints are not in order")
        except Exception as error:  # a damaged file can raise nearly anything
            raise DataError(f"{path} is not a sketch of a corpus, or damaged: {error}. Get the model again.") from error
        return cls(prints.astype(np.uint32), k, window)

    def stand_in(self, sequences: Sequence[str], share: float = 0.5) -> Mask:
        """Mark the sequences most of which can be found in the corpus.

        A sequence of `covered` bases or more has minimizers of its own; it is found if at least `share` of them are
        among those of the corpus. A shorter one has k-mers that may be minimizers, depending on what surrounds it; it
        is found if one of them is. So a copy shorter than `covered` may be missed, the shorter the more often: of 81
        bases one in 17, of 60 one in 4; and one shorter than k is never found.

        Args:
            sequences: N sequences of IUPAC letters; k-mers with an ambiguous base count for nothing.
            share: Least fraction of minimizers, above 0 and up to 1.

        Returns:
            Whether each sequence stands there (N,).

        Raises:
            DataError: If `share` is out of range.
            SequenceError: If a sequence holds a letter outside the IUPAC alphabet.
        """
        if not 0 < share <= 1:
            raise DataError(f"share={share} is not a fraction of minimizers: allowed is above 0 and up to 1")
        marked = np.zeros(len(sequences), np.bool_)
        for start, end in _groups(sequences):
            marked[start:end] = self._stand_in(sequences[start:end], share)
        return marked

    def _stand_in(self, sequences: Sequence[str], share: float) -> Mask:
        hashes = _hashes(encode("N".join(sequences)), self.k)
        if not len(hashes):
            return np.zeros(len(sequences), np.bool_)
        owners = np.repeat(np.arange(len(sequences)), [len(sequence) + 1 for sequence in sequences])[: len(hashes)]
        # A unit is a run of k-mers without an ambiguous base; the letter between two sequences is one.
        clear = np.concatenate([[False], hashes != NO_KMER, [False]])
        starts, ends = np.flatnonzero(clear[1:] & ~clear[:-1]), np.flatnonzero(clear[:-1] & ~clear[1:])
        long = ends - starts >= self.window
        total = found = np.zeros(len(sequences), np.int64)
        if long.any():
            smallest = _sliding_minimum(hashes, self.window)
            place = _ranges(starts[long], ends[long] - self.window + 1)
            values, whose = smallest[place], owners[place]
            fresh = np.concatenate([[True], (values[1:] != values[:-1]) | (whose[1:] != whose[:-1])])
            values, whose = values[fresh], whose[fresh]
            total = np.bincount(whose, minlength=len(sequences))
            found = np.bincount(whose[self._has(values)], minlength=len(sequences))
        marked: Mask = (total > 0) & (found >= share * total)
        for candidates, whose in self._candidates(hashes, starts[~long], ends[~long], owners):
            hit = whose[self._has(candidates)]
            marked[hit[total[hit] == 0]] = True
        return marked

    def _candidates(
        self, hashes: Kmers, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], owners: npt.NDArray[np.int64]
    ) -> Iterator[tuple[Kmers, npt.NDArray[np.int64]]]:
        """Yield of units shorter than a window the k-mers that may be minimizers, and the sequence each stands in.

        Within a window around the whole unit that can only be one with none smaller before it, or none after it.
        """
        step = max(1, _AT_ONCE // self.window)
        for first in range(0, len(starts), step):
            start, end = starts[first : first + step, None], ends[first : first + step, None]
            place = start + np.arange(int((end - start).max()))
            inside = place < end
            rows = np.where(inside, hashes[np.minimum(place, len(hashes) - 1)], NO_KMER)
            before = np.minimum.accumulate(rows, axis=1)
            after = np.minimum.accumulate(rows[:, ::-1], axis=1)[:, ::-1]
            row, column = np.nonzero(inside & ((rows == before) | (rows == after)))
            yield rows[row, column], owners[start[row, 0]]

    def _has(self, hashes: Kmers) -> Mask:
        if not len(self.prints):
            return np.zeros(len(hashes), np.bool_)
        wanted = _fingerprints(hashes)
        index = np.minimum(np.searchsorted(self.prints, wanted), len(self.prints) - 1)
        marked: Mask = self.prints[index] == wanted
        return marked


def _hashes(codes: Codes, k: int) -> Kmers:
    """Give every k-mer (K,) a number that is the same for both strands and in no order; `NO_KMER` stays as it is."""
    kmers = canonical_kmers(codes, k)
    return np.where(kmers == NO_KMER, NO_KMER, _mixed(kmers, _ORDER))


def _fingerprints(hashes: Kmers) -> npt.NDArray[np.uint32]:
    """Shorten hashes, of which minimizers have small ones, to 32 even bits."""
    return (_mixed(hashes, _PRINT) >> np.uint64(32)).astype(np.uint32)


def _mixed(values: Kmers, constant: np.uint64) -> Kmers:
    """Mix 64 bits so that each depends on all (the finalizer of SplitMix64; products wrap)."""
    mixed = values + constant
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _sliding_minimum(values: Kmers, width: int) -> Kmers:
    """Return the smallest of every `width` values in a row (K - width + 1,), by doubling."""
    reach = 1
    while 2 * reach <= width:
        values = np.minimum(values[:-reach], values[reach:])
        reach *= 2
    rest = width - reach
    return np.minimum(values[:-rest], values[rest:]) if rest else values


def _ranges(starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """List the integers of half-open ranges, none of them empty, one range after the other."""
    counts = ends - starts
    listed: npt.NDArray[np.int64] = np.arange(counts.sum())
    listed += np.repeat(starts - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    return listed


def _groups(sequences: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield half-open ranges of sequences of some million bases each, or of one longer sequence."""
    start, bases = 0, 0
    for index, sequence in enumerate(sequences):
        if bases and bases + len(sequence) > _AT_ONCE:
            yield start, index
            start, bases = index, 0
        bases += len(sequence) + 1
    if start < len(sequences):
        yield start, len(sequences)
