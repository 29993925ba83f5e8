"""Give the bits per base of a back-off Markov model: the baseline that a genome language model has to beat.

The probability of base x after the context w of k bases interpolates all orders up to k:

    p_k(x | w) = (n(wx) + c_k * p_{k-1}(x | w without its first base)) / (n(w) + c_k),    p_{-1}(x) = 1 / A

where A is the number of letters, 4 of nucleotides and 20 of amino acids ("bases" are residues there), and n counts the
training bases, on both strands, where there are two, unless told otherwise. The order and the weights c_k are chosen
on a part of the training bases that is held out of the counts; then everything is counted again. Words of
k + 1 bases are integers in base A, so a table of counts is one ``np.bincount``.

Source: MacKay & Peto (1995), "A hierarchical Dirichlet language model"; here each c_k is chosen on held-out bases.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import DNA, Alphabet, Codes

_log = logging.getLogger(__name__)

MAX_ORDER = 11  # 4**12 words: 134 MB of counts
MAX_WORDS = 4 ** (MAX_ORDER + 1)
CHUNK_BASES = 1 << 22
SPARSE = 4  # fewer words than a fourth of a table are counted where they lie, without going through all of it
HELD_OUT_BLOCK = 10_000
HELD_OUT_EVERY = 10
HELD_OUT_MAX = 1 << 22
BACKOFF_WEIGHTS = tuple(float(2**power) for power in range(15))
ORDER_TOLERANCE = 1e-4  # bits per base; a higher order must earn more than this

Span = tuple[int, int]


@dataclass(frozen=True)
class MarkovModel:
    """Hold the interpolated probabilities of every order up to the chosen one.

    Attributes:
        tables: log2 p_k(x | w) for k = 0 … order; table k has shape (A**k, A), its row is the context w read as a
            number in base A (codes of the alphabet, first base most significant).
        backoff_weights: c_k for k = 0 … order, in pseudo-counts.
        held_out_bits: bits per base on the held-out part of the training bases, for k = 0 … max_order.
    """

    tables: tuple[npt.NDArray[np.float64], ...]
    backoff_weights: tuple[float, ...]
    held_out_bits: tuple[float, ...]

    @property
    def order(self) -> int:
        """Return the number of bases in the longest context."""
        return len(self.tables) - 1

    @property
    def letters(self) -> int:
        """Return the number of letters, A."""
        return int(self.tables[0].shape[1])

    @classmethod
    def fit(
        cls,
        codes: Codes,
        intervals: Sequence[Span],
        *,
        max_order: int | None = None,
        strands: str = "both",
        alphabet: Alphabet = DNA,
    ) -> Self:
        """Choose the order and the back-off weights on training bases only, then count all of them.

        Args:
            codes: base codes (L,), in memory or memory-mapped; read in chunks.
            intervals: half-open (start, end) of the training part, in positions of ``codes``.
            max_order: highest order tried, 0 to 11 (of amino acids 4); the highest that is allowed by default.
            strands: "both" counts every word and its reverse complement, where there is one, "forward" the words as
                they stand.
            alphabet: what the codes mean.

        Raises:
            ConfigError: ``max_order`` or ``strands`` is not one of the above.
            DataError: an interval lies outside ``codes``, or there are too few unambiguous bases to hold some out.
        """
        letters = len(alphabet)
        highest = max(order for order in range(MAX_ORDER + 1) if letters ** (order + 1) <= MAX_WORDS)
        max_order = highest if max_order is None else max_order
        if not 0 <= max_order <= highest:
            raise ConfigError(f"max_order={max_order}: the Markov model takes orders 0 to {highest}")
        if strands not in ("both", "forward"):
            raise ConfigError(f"strands={strands!r}: use 'both' or 'forward'")
        both = alphabet.strands(strands) == "both"
        kept, held_out = _hold_out(_checked(codes, intervals))
        weights, bits = _choose_weights(codes, kept, held_out, max_order, both, letters)
        best = min(bits)
        order = next(k for k, value in enumerate(bits) if value <= best + ORDER_TOLERANCE)
        _log.info("Markov model: order %d, %.4f bits per base held out", order, bits[order])
        tables = _interpolate(_count(codes, intervals, order, both, letters), weights)
        return cls(tables=tables, backoff_weights=weights[: order + 1], held_out_bits=bits)

    def bits_per_base(self, codes: Codes, intervals: Sequence[Span]) -> float:
        """Return the mean of -log2 p over the unambiguous bases of the forward strand.

        A base with fewer than ``order`` unambiguous bases between it and the start of its interval, or the last
        ambiguous base before it, is predicted by the highest order that these allow.

        Args:
            codes: base codes (L,).
            intervals: half-open (start, end) of the part to score, in positions of ``codes``.

        Raises:
            DataError: an interval lies outside ``codes``, or no interval holds an unambiguous base.
        """
        total, scored = 0.0, 0
        for chunk in _chunks(codes, _checked(codes, intervals), self.order, CHUNK_BASES, self.letters):
            scored += len(chunk.targets)
            for k, positions, words in _words(chunk, self.order, self.letters):
                # A target is scored once, at the highest order that its context reaches.
                if k < self.order:
                    words = words[chunk.context[positions] == k]
                total -= float(self.tables[k].ravel()[words].sum())
        if scored == 0:
            raise DataError(
                f"no unambiguous base in the {len(intervals)} interval(s) to score: "
                "give intervals that hold known letters"
            )
        return total / scored


@dataclass(frozen=True)
class _Chunk:
    """Some intervals, joined with an ambiguous base before each, so that no context crosses a join."""

    bases: Codes  # (L,)
    context: npt.NDArray[np.int32]  # (L,) unambiguous bases directly before each
    targets: npt.NDArray[np.int64]  # positions to count or score: unambiguous, and not seen in an earlier chunk


def _checked(codes: Codes, intervals: Sequence[Span]) -> list[Span]:
    for start, end in intervals:
        if not 0 <= start <= end <= len(codes):
            raise DataError(
                f"interval ({start}, {end}) does not fit a sequence of {len(codes)} bases: "
                "give 0-based half-open positions with 0 <= start <= end <= length"
            )
    return [(int(start), int(end)) for start, end in intervals]


def _chunks(codes: Codes, intervals: Sequence[Span], order: int, size: int, letters: int) -> Iterator[_Chunk]:
    """Yield the intervals in chunks of about ``size`` bases; a cut interval repeats ``order`` bases as context."""
    parts: list[Codes] = []
    fresh: list[npt.NDArray[np.bool_]] = []
    filled = 0
    separator = np.full(1, letters, dtype=np.uint8)  # the code of an ambiguous letter
    for start, end in intervals:
        position = start
        while position < end:
            stop = min(end, position + size - filled)
            first = max(start, position - order)
            parts += [separator, np.asarray(codes[first:stop], dtype=np.uint8)]
            fresh.append(np.arange(first - 1, stop) >= position)
            filled += stop - position
            position = stop
            if filled >= size:
                yield _join(parts, fresh, letters)
                parts, fresh, filled = [], [], 0
    if parts:
        yield _join(parts, fresh, letters)


def _join(parts: list[Codes], fresh: list[npt.NDArray[np.bool_]], letters: int) -> _Chunk:
    bases = np.concatenate(parts)
    clear = bases < letters
    index = np.arange(len(bases), dtype=np.int32)
    # The chunk starts with a separator, so every position has an ambiguous one at or before it.
    last_ambiguous = np.maximum.accumulate(np.where(clear, np.int32(0), index))
    context = np.maximum(index - last_ambiguous - 1, 0).astype(np.int32)
    return _Chunk(bases, context, np.flatnonzero(clear & np.concatenate(fresh)))


def _words(
    chunk: _Chunk, max_order: int, letters: int
) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield for k = 0 … max_order the targets with k clear bases before them and their words of k + 1 bases."""
    positions = chunk.targets
    words = chunk.bases[positions].astype(np.int64)
    for k in range(max_order + 1):
        if k > 0:
            reach = chunk.context[positions] >= k
            if not reach.all():
                positions, words = positions[reach], words[reach]
            words = words + chunk.bases[positions - k].astype(np.int64) * letters**k
        yield k, positions, words


def _count(
    codes: Codes, intervals: Sequence[Span], max_order: int, both: bool, letters: int
) -> list[npt.NDArray[np.int64]]:
    """Count the words of k + 1 bases for k = 0 … max_order; table k has shape (A**k, A)."""
    counts = [np.zeros(letters ** (k + 1), dtype=np.int64) for k in range(max_order + 1)]
    for chunk in _chunks(codes, intervals, max_order, CHUNK_BASES, letters):
        for k, _, words in _words(chunk, max_order, letters):
            if len(words) < len(counts[k]) // SPARSE:
                np.add.at(counts[k], words, 1)
            else:
                counts[k] += np.bincount(words, minlength=len(counts[k]))
    if both:
        for k, table in enumerate(counts):
            _add_reverse_complements(table, k + 1)
    return [table.reshape(-1, letters) for table in counts]


def _add_reverse_complements(table: npt.NDArray[np.int64], length: int) -> None:
    """Add to the counts (4**length,) of words those that their reverse complements have."""
    seen = np.flatnonzero(table)
    if len(seen) < len(table) // SPARSE:
        turned, rest = np.zeros_like(seen), seen
        for _ in range(length):
            rest, base = np.divmod(rest, 4)
            turned = turned * 4 + 3 - base
        found = table[seen]
        table[turned] += found  # no two words have the same reverse complement
    else:  # transposing all axes reverses a word; reversing the flat table complements every base (3 - b)
        table += table.reshape((4,) * length).transpose().reshape(-1)[::-1]


def _interpolate(counts: list[npt.NDArray[np.int64]], weights: Sequence[float]) -> tuple[npt.NDArray[np.float64], ...]:
    """Return log2 p_k (A**k, A) of every order."""
    tables, letters = [], counts[0].shape[1]
    lower = np.full((1, letters), 1 / letters)
    for k, (table, weight) in enumerate(zip(counts, weights, strict=False)):
        # The context without its first base is the row number modulo A**(k-1): rows repeat in A blocks.
        blocks = table.reshape(letters if k > 0 else 1, -1, letters)
        found = blocks + weight * lower
        found /= blocks.sum(axis=2, keepdims=True) + weight
        lower = found.reshape(-1, letters)
        tables.append(np.log2(lower))
    return tuple(tables)


def _hold_out(intervals: list[Span]) -> tuple[list[Span], list[Span]]:
    """Cut the intervals at blocks of 10 kb and hold out every tenth block (fewer where that is more than 4 Mb)."""
    total = sum(end - start for start, end in intervals)
    every = max(HELD_OUT_EVERY, -(-total // HELD_OUT_MAX))
    block = max(1, min(HELD_OUT_BLOCK, total // (2 * every)))
    kept: list[Span] = []
    held_out: list[Span] = []
    passed = 0  # training bases before this interval
    for start, end in intervals:
        position = start
        while position < end:
            number, offset = divmod(passed + position - start, block)
            stop = min(end, position + block - offset)
            part = held_out if number % every == every - 1 else kept
            if part and part[-1][1] == position and position > start:
                part[-1] = (part[-1][0], stop)
            else:
                part.append((position, stop))
            position = stop
        passed += end - start
    return kept, held_out


def _choose_weights(
    codes: Codes, kept: list[Span], held_out: list[Span], max_order: int, both: bool, letters: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Choose c_k order by order, each with the lower ones fixed; return them and the held-out bits per base."""
    size = 1 + sum(end - start for start, end in held_out)
    chunk = next(_chunks(codes, held_out, max_order, size, letters), None)
    counts = _count(codes, kept, max_order, both, letters)
    if chunk is None or len(chunk.targets) == 0 or counts[0].sum() == 0:
        raise DataError(
            f"too few unambiguous bases to fit a Markov model: {len(kept) + len(held_out)} block(s) of training "
            "sequence leave nothing to count or nothing to hold out; give a longer training part"
        )
    probability = np.full(len(chunk.bases), 1 / letters)
    weights, bits = [], []
    for k, positions, words in _words(chunk, max_order, letters):
        seen = counts[k].ravel()[words]
        context_seen = counts[k][words // letters].sum(axis=1)
        lower = probability[positions]
        candidates = ((weight, (seen + weight * lower) / (context_seen + weight)) for weight in BACKOFF_WEIGHTS)
        weight, probability[positions] = max(candidates, key=lambda pair: float(np.log2(pair[1]).sum()))
        weights.append(weight)
        bits.append(-float(np.log2(probability[chunk.targets]).mean()))
    return tuple(weights), tuple(bits)


def markov_samples(model: MarkovModel, num_sequences: int, length_bp: int, *, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Draw base codes `(N, L)` of `N` sequences of `L` bases, each base given up to `model.order` bases before it.

    The first bases follow its lower orders.
    """
    letters = model.letters
    edges = [np.cumsum(np.exp2(table), axis=1) for table in model.tables]
    points = np.random.default_rng(seed).random((length_bp, num_sequences))
    codes = np.empty((num_sequences, length_bp), dtype=np.uint8)
    context = np.zeros(num_sequences, dtype=np.int64)
    for at, point in enumerate(points):
        order = min(at, model.order)
        # The last edge is 1 but for rounding.
        codes[:, at] = np.minimum((edges[order][context % letters**order] <= point[:, None]).sum(1), letters - 1)
        context = (context * letters + codes[:, at]) % letters**model.order
    return codes
