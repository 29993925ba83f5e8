"""Read stretches of bases side by side, each from its first token to its last with the state carried along.

Shape letters: `B` lanes, `T` tokens of a window, `E` encoder outputs, `L` bases.

    lane 0   sep ▸ stretch 0 ……………………………………… ┆ sep ▸ stretch 3 ……
    lane 1   sep ▸ stretch 1 …………… ┆ sep ▸ stretch 2 ……………………
             ‖  window  ‖  window  ‖  window  ‖

A lane whose stretch has ended takes the next one, with an empty memory. Memory grows neither with the length of a
stretch nor with their number, and what a stretch gives does not depend on its neighbours.
"""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gulmfit.models.encoder import Encoder, State, encode_window, is_causal, join_fresh, keep_rows
from gulmfit.seq.alphabet import Codes, reverse_complement
from gulmfit.seq.tokens.tokenizer import Tokenizer

Integers = npt.NDArray[np.int64]

# Tokens of all lanes together in one window.
TOKENS_AT_ONCE = 1 << 13
# A window is not cut shorter than this at the end of a lane's stretch: padding then costs less than another call.
SHORTEST_WINDOW = 64


class Window(NamedTuple):
    """Some tokens of a stretch that follow each other."""

    contexts: Integers
    """The token before each, `(T,)`; `sep` before the first of a stretch."""
    tokens: Integers
    """`(T,)`."""
    spans: Integers
    """Bases `[start, end)` of each, `(T, 2)`, 0-based on the forward strand of the stretch."""
    new: Integers
    """Those of its bases that no token before it holds, `(T, 2)`; all of them after `sep` and `unk`."""


class Reading:
    """One strand of a stretch of bases, read from its first token to its last.

    Args:
        codes: Base codes of the forward strand, `(L,)`, in memory or memory-mapped.
        tokenizer: Bases to tokens.
        reverse: Read the reverse complement.

    Raises:
        SequenceError: If there is no reverse complement.
    """

    def __init__(self, codes: Codes, tokenizer: Tokenizer, *, reverse: bool = False) -> None:
        if reverse:
            tokenizer.alphabet.check_strands()
        self.codes, self.tokenizer, self.reverse = codes, tokenizer, reverse
        self._blocks = tokenizer.blocks(len(codes))
        self._tokens, self._spans = np.empty(0, np.int64), np.empty((0, 2), np.int64)
        self._last_token, self._last_end = tokenizer.sep_id, 0

    def ready(self, count: int) -> int:
        """Return how many tokens the next `take` can give, up to `count`; 0 at the end."""
        while len(self._tokens) < count and (block := next(self._blocks, None)):
            start, end = block
            if self.reverse:
                length = len(self.codes)
                codes = reverse_complement(self.codes[length - end : length - start], self.tokenizer.alphabet)
            else:
                codes = self.codes[start:end]
            self._tokens = np.concatenate([self._tokens, self.tokenizer.encode(codes)])
            self._spans = np.concatenate([self._spans, self.tokenizer.spans(codes) + start])
        return min(count, len(self._tokens))

    def take(self, count: int) -> Window:
        """Return the next `count` tokens, or those that are left."""
        count = self.ready(count)
        tokens, spans = self._tokens[:count], self._spans[:count]
        self._tokens, self._spans = self._tokens[count:], self._spans[count:]
        contexts = np.concatenate([[self._last_token], tokens])[:count]
        ends = np.concatenate([[self._last_end], spans[:, 1]])[:count]
        known = contexts >= self.tokenizer.num_special
        new = np.stack([np.where(known, np.maximum(spans[:, 0], ends), spans[:, 0]), spans[:, 1]], axis=1)
        if count:
            self._last_token, self._last_end = int(tokens[-1]), int(spans[-1, 1])
        if self.reverse:
            spans, new = (len(self.codes) - part[:, ::-1] for part in (spans, new))
        return Window(contexts, tokens, spans, new)


class Step(NamedTuple):
    """One window of all lanes, encoded."""

    fed: Tensor
    """What was read, `(B, T)`."""
    tokens: Tensor
    """Tokens of the stretches, `(B, T)`; `pad` after the end of one."""
    hidden: Tensor
    """Encoder outputs after what was read, `(B, T, E)`."""
    windows: list[tuple[int, Window]]
    """For each lane the number of its stretch and what was taken from it."""


def read_side_by_side(
    encoder: Encoder,
    readings: Iterable[Reading],
    *,
    ahead: bool,
    batch_size: int,
    device: torch.device,
    pad_id: int,
) -> Iterator[Step]:
    """Encode every token of many stretches.

    Args:
        encoder: In evaluation mode; one that is not causal reads whole stretches.
        readings: Stretches, numbered in this order; one without a token gives nothing. Of similar length one after the
            other they need the fewest windows.
        ahead: Feed what stands before each token, `sep` first, to predict it; else the token itself.
        batch_size: Lanes.
        device: Where the encoder is.
        pad_id: Token that fills up a window.
    """
    waiting = ((number, reading) for number, reading in enumerate(readings) if reading.ready(1))
    lanes: list[tuple[int, Reading]] = []
    state: State = None
    whole = not is_causal(encoder)
    while True:
        fresh = list(islice(waiting, batch_size - len(lanes)))
        if fresh:
            lanes += fresh
            state = join_fresh(state, len(fresh))
        if not lanes:
            return
        most = sys.maxsize if whole else max(1, TOKENS_AT_ONCE // len(lanes))
        ready = [reading.ready(most) for _, reading in lanes]
        count = max(ready) if whole else min(max(min(ready), SHORTEST_WINDOW), max(ready))
        windows = [(number, reading.take(count)) for number, reading in lanes]
        tokens = torch.from_numpy(_padded([part.tokens for _, part in windows], count, pad_id)).to(device)
        fed = tokens
        if ahead:
            fed = torch.from_numpy(_padded([part.contexts for _, part in windows], count, pad_id)).to(device)
        hidden, state = encode_window(encoder, fed, state)
        yield Step(fed, tokens, hidden, windows)
        going_on = [row for row, (_, reading) in enumerate(lanes) if reading.ready(1)]
        if len(going_on) < len(lanes):
            lanes = [lanes[row] for row in going_on]
            state = keep_rows(state, going_on)


def _padded(rows: list[Integers], count: int, pad_id: int) -> npt.NDArray[Any]:
    padded = np.full((len(rows), count), pad_id, dtype=np.int64)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return padded


def groups_of_records(records: Iterable[tuple[str, str]], bases: int) -> Iterator[list[tuple[str, str]]]:
    """Yield records, each id and sequence, in groups of about so many bases, to be sorted by length."""
    group: list[tuple[str, str]] = []
    held = 0
    for name, sequence in records:
        group.append((name, sequence))
        held += len(sequence)
        if held >= bases:
            yield group
            group, held = [], 0
    if group:
        yield group
