"""Where the tokens of a stretch of genome come from: computed as they are read, or kept on disk.

A k-mer's place follows from its number, so k-mers are computed from base codes at any position. The place of a sub-word
depends on every base since the chunk began, so sub-words are cut once and their ids memory-mapped: two bytes every four
bases or so, both strands together about as much as the genome's store.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.files import locked, remove_unfinished, whole_file
from gulmfit.seq.alphabet import Codes, reverse_complement
from gulmfit.seq.tokens.tokenizer import KmerTokenizer, Tokenizer

logger = logging.getLogger(__name__)

HASHED_AT_ONCE = 1 << 24


class Segment(NamedTuple):
    """A stretch of one strand, the unit that is never cut apart or glued to another without `sep`."""

    start: int
    end: int
    reverse: bool


class SegmentTokens(Protocol):
    """The tokens of segments, from any one on."""

    phases: int
    """Numbers of bases at a segment's start that may be skipped: 0 up to this."""

    def count(self, segment: Segment, phase: int) -> int:
        """Return how many tokens a segment has after the bases skipped."""
        ...

    def read(self, segment: Segment, phase: int, first: int, out: npt.NDArray[Any]) -> None:
        """Fill `out` with the tokens of a segment from its token `first` on."""
        ...


def segment_tokens(
    codes: Codes, segments: Sequence[Segment], tokenizer: Tokenizer, cache_dir: Path | None
) -> SegmentTokens:
    """Return the tokens of segments, by arithmetic where the tokenizer allows it, else from `cache_dir` or memory."""
    if isinstance(tokenizer, KmerTokenizer):
        return KmerSegments(codes, tokenizer)
    return StoredSegments(codes, segments, tokenizer, cache_dir)


class KmerSegments:
    """k-mers, computed from base codes as they are read."""

    def __init__(self, codes: Codes, tokenizer: KmerTokenizer) -> None:
        self.codes, self.tokenizer = codes, tokenizer
        self.phases = tokenizer.stride

    def count(self, segment: Segment, phase: int) -> int:
        return self.tokenizer.num_tokens(segment.end - segment.start - phase)

    def read(self, segment: Segment, phase: int, first: int, out: npt.NDArray[Any]) -> None:
        low = phase + first * self.tokenizer.stride
        high = low + (len(out) - 1) * self.tokenizer.stride + self.tokenizer.k
        self.tokenizer.encode_into(_strand(self.codes, segment, low, high, self.tokenizer), out)


class StoredSegments:
    """Tokens that were cut beforehand, kept in a file that is keyed by the tokenizer and by what it read.

    Without a `cache_dir` they are kept in memory.

    Raises:
        DataError: If the files cannot be written; nothing half-written is left.
    """

    phases = 1

    def __init__(self, codes: Codes, segments: Sequence[Segment], tokenizer: Tokenizer, cache_dir: Path | None) -> None:
        self.codes, self.tokenizer = codes, tokenizer
        self.dtype = np.min_scalar_type(len(tokenizer) - 1)
        self.places = {segment: number for number, segment in enumerate(segments)}
        if cache_dir is None:
            blocks, counts = [np.empty(0, self.dtype)], []
            for segment in segments:
                cut = list(self._cut(segment))
                blocks += cut
                counts.append(sum(map(len, cut)))
            self.ids: npt.NDArray[Any] = np.concatenate(blocks)
            self.edges = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
            return
        name = self._key(segments)
        ids_path, edges_path = cache_dir / f"{name}.tokens", cache_dir / f"{name}.edges.npy"
        if not self._is_whole(ids_path, edges_path):
            self._keep(segments, ids_path, edges_path)
        self.edges = np.load(edges_path, allow_pickle=False)
        # An empty file cannot be mapped.
        self.ids = np.memmap(ids_path, self.dtype, "r") if self.edges[-1] else np.empty(0, self.dtype)

    def count(self, segment: Segment, phase: int) -> int:
        place = self.places[segment]
        return int(self.edges[place + 1] - self.edges[place])

    def read(self, segment: Segment, phase: int, first: int, out: npt.NDArray[Any]) -> None:
        start = int(self.edges[self.places[segment]]) + first
        out[:] = self.ids[start : start + len(out)]

    def _cut(self, segment: Segment) -> Iterator[npt.NDArray[Any]]:
        """Yield the tokens of a segment, block after block."""
        for low, high in self.tokenizer.blocks(segment.end - segment.start):
            codes = _strand(self.codes, segment, low, high, self.tokenizer)
            yield self.tokenizer.encode(codes).astype(self.dtype)

    def _key(self, segments: Sequence[Segment]) -> str:
        """Name what the tokens depend on: the tokenizer, the segments and their bases."""
        digest = hashlib.blake2b(json.dumps(self.tokenizer.spec()).encode(), digest_size=16)
        digest.update(np.array(segments, dtype=np.int64).tobytes())
        for start, end in dict.fromkeys((segment.start, segment.end) for segment in segments):
            for low in range(start, end, HASHED_AT_ONCE):
                digest.update(np.ascontiguousarray(self.codes[low : min(low + HASHED_AT_ONCE, end)]).data)
        return digest.hexdigest()

    def _is_whole(self, ids_path: Path, edges_path: Path) -> bool:
        try:
            tokens = int(np.load(edges_path, allow_pickle=False)[-1])
            return ids_path.stat().st_size == tokens * self.dtype.itemsize
        except (OSError, ValueError, EOFError):
            return False

    def _keep(self, segments: Sequence[Segment], ids_path: Path, edges_path: Path) -> None:
        """Write the files, unless another process does so first."""
        try:
            ids_path.parent.mkdir(parents=True, exist_ok=True)
            with locked(ids_path.with_suffix(".lock"), wait=True):
                if not self._is_whole(ids_path, edges_path):
                    self._write(segments, ids_path, edges_path)
        except OSError as error:
            raise DataError(
                f"{ids_path}: the tokens cannot be written: {error}. Free space, or set paths.cache_dir."
            ) from error

    def _write(self, segments: Sequence[Segment], ids_path: Path, edges_path: Path) -> None:
        """Cut all segments; the edges come last, so that their presence means that the tokens are whole."""
        bases = sum(segment.end - segment.start for segment in segments)
        logger.info("cutting %s bases into tokens (once; kept in %s)", f"{bases:,}", ids_path.parent)
        remove_unfinished(ids_path)
        edges = [0]
        with whole_file(ids_path, kind=None) as unfinished, unfinished.open("wb") as handle:
            for segment in segments:
                edges.append(edges[-1] + sum(handle.write(ids.data) for ids in self._cut(segment)))
        with whole_file(edges_path, kind=None) as unfinished, unfinished.open("wb") as handle:
            np.save(handle, np.array(edges, dtype=np.int64) // self.dtype.itemsize)


def _strand(codes: Codes, segment: Segment, low: int, high: int, tokenizer: Tokenizer) -> Codes:
    """Return bases `low` to `high` of a segment as its strand reads them."""
    if segment.reverse:
        return reverse_complement(codes[segment.end - high : segment.end - low], tokenizer.alphabet)
    return codes[segment.start + low : segment.start + high]
