"""A genome as parallel streams of tokens, read in windows for truncated back-propagation through time.

Shape letters: `B` streams (batch), `T` tokens in a window.

    segments   sep ▸ contig 1, forward ▸ sep ▸ contig 2, reverse ▸ …      one circular line of tokens
    streams    |―― stream 0 ――|―― stream 1 ――|―― … ――|                     cut into B pieces of equal length
    windows    ‖bptt‖bptt‖bptt‖…                                           read side by side, window after window

The hidden state after window i is the state before window i + 1 of the same stream, so a network sees each stream as
one long text. Tokens are computed from base codes as they are read, or are memory-mapped (`gulmfit.data.segments`):
memory does not grow with the genome.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypedDict

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from torch import Tensor

from gulmfit.data.segments import Segment, SegmentTokens, segment_tokens
from gulmfit.errors import DataError
from gulmfit.seq.alphabet import Codes
from gulmfit.seq.genome.store import Interval
from gulmfit.seq.tokens.tokenizer import Tokenizer

# Tokens of all streams together that are read ahead: many for each call of numpy, and 8 MiB of uint16 at most.
TOKENS_AHEAD = 1 << 22


class Position(TypedDict):
    """An epoch, and how many of its batches have been read."""

    epoch: int
    step: int


class Reader(Protocol):
    """Something that yields batches and can tell and take a position."""

    def position(self) -> Position:
        """Return the current position."""
        ...

    def seek(self, position: Position) -> None:
        """Read on from a position at the next iteration."""
        ...


class ResumableDataModule(pl.LightningDataModule):
    """A data module that saves the position of its training reader with every checkpoint, so that a run reads on.

    Lightning saves the position of a loader too, but forgets to restore it where the number of steps was asked for
    before training, as every one-cycle schedule does.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reader: Reader | None = None
        self._saved: Position | None = None

    def resume(self, reader: Reader) -> None:
        """Take a new training reader, and put it where the checkpoint left off, if there is one."""
        self._reader = reader
        if self._saved is not None:
            reader.seek(self._saved)
            self._saved = None

    def state_dict(self) -> dict[str, Position]:
        """Return the position of the training reader."""
        if self._reader is None:
            return {}
        position = self._reader.position()
        # Where trainer.limit_train_batches ends an epoch, the reader has not noticed.
        if self.trainer is not None and position["step"] >= self.trainer.num_training_batches:
            position = {"epoch": position["epoch"] + 1, "step": 0}
        return {"train": position}

    def load_state_dict(self, state_dict: dict[str, Position]) -> None:
        """Remember a position for the next training reader."""
        self._saved = state_dict.get("train")


class StreamBatch(NamedTuple):
    """One window of every stream."""

    tokens: Tensor
    """`(B, T)` int64."""
    targets: Tensor
    """The next token at every position, `(B, T)` int64; a special token is not scored."""


class TokenLine:
    """All segments of one epoch as a single line of tokens, each segment led by `sep`; circular.

    Args:
        tokens: Tokens of the segments.
        segments: In the order of the line.
        sep_id: The token that leads a segment.
        phases: For every segment, how many bases to skip before its first token.
        rotation: Position of the line that is read as position 0.
    """

    def __init__(
        self,
        tokens: SegmentTokens,
        segments: Sequence[Segment],
        sep_id: int,
        phases: Sequence[int],
        rotation: int = 0,
    ) -> None:
        self.tokens, self.segments, self.sep_id, self.phases = tokens, segments, sep_id, phases
        counts = [1 + tokens.count(part, phase) for part, phase in zip(segments, phases, strict=True)]
        self.edges = np.concatenate([[0], np.cumsum(counts)])
        self.rotation = rotation % int(self.edges[-1])

    def __len__(self) -> int:
        return int(self.edges[-1])

    def read(self, start: int, out: npt.NDArray[Any]) -> None:
        """Fill `out` with the tokens from position `start` on, wrapping at the end."""
        filled, position = 0, (start + self.rotation) % len(self)
        index = int(np.searchsorted(self.edges, position, side="right")) - 1
        while filled < len(out):
            within = position - int(self.edges[index])
            if within == 0:
                out[filled] = self.sep_id
                filled, position, within = filled + 1, position + 1, 1
            take = min(len(out) - filled, int(self.edges[index + 1]) - position)
            if take:
                self.tokens.read(self.segments[index], self.phases[index], within - 1, out[filled : filled + take])
            filled, position, index = filled + take, position + take, index + 1
            if index == len(self.segments):
                position, index = 0, 0


class TokenStream:
    """Windows of `B` parallel streams over a corpus: an iterable with a length and a position that can be saved.

    In training every epoch shuffles the segments, starts every segment at a random phase of the stride (sub-words have
    none), and cuts the line at a random place, all from `seed` and the number of the epoch. In validation the line is
    read as it is, every token once, the last windows filled up with `pad`, which is not scored.

    Args:
        codes: Base codes of the store.
        intervals: Stretches to read.
        tokenizer: Bases to tokens.
        batch_size: Streams `B` of this process.
        bptt: Tokens in a window.
        training: Shuffle (above).
        strands: `both` or `forward`; where there is no other strand both are that one.
        seed: Of the shuffling.
        rank: Number of this process; it reads streams `rank * B` to `(rank + 1) * B`.
        world_size: Number of processes; all have the same number of windows.
        pin_memory: Put windows where a CUDA device copies them from while it computes.
        cache_dir: Where sub-words are kept; None for memory. k-mers need no room.

    Raises:
        DataError: If the corpus has fewer tokens than streams.
    """

    def __init__(
        self,
        codes: Codes,
        intervals: Sequence[Interval],
        tokenizer: Tokenizer,
        *,
        batch_size: int,
        bptt: int,
        training: bool,
        strands: str = "both",
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        pin_memory: bool = False,
        cache_dir: Path | None = None,
    ) -> None:
        reverses = (False, True) if tokenizer.alphabet.strands(strands) == "both" else (False,)
        segments = [Segment(part.start, part.end, reverse) for part in intervals for reverse in reverses]
        codes = np.asarray(codes)  # still on disk, but numpy takes longer to slice a memory map that is named so
        self.tokens = segment_tokens(codes, segments, tokenizer, cache_dir)
        # A phase costs a token at most, so that what is left after the largest is there in every epoch.
        worst = self.tokens.phases - 1 if training else 0
        self.segments = [segment for segment in segments if self.tokens.count(segment, worst) > 0]
        num_tokens = sum(1 + self.tokens.count(segment, worst) for segment in self.segments)
        self.tokenizer, self.training, self.seed = tokenizer, training, seed
        self.bptt, self.rank, self.pin_memory = bptt, rank, pin_memory
        self.batch_size = batch_size if training else min(batch_size, max(1, (num_tokens - 1) // world_size))
        streams = self.batch_size * world_size
        predicted = num_tokens - 1
        self.stream_length = predicted // streams if training else -(-predicted // streams)
        if self.stream_length < 1:
            raise DataError(
                f"the corpus gives {max(0, predicted)} tokens to predict, fewer than {streams} parallel streams. "
                "Lower batch_size, or give more sequence."
            )
        self.num_tokens = predicted
        self.epoch = -1
        self.window = 0
        self._resumed = False

    def __len__(self) -> int:
        """Return the number of windows of an epoch."""
        return -(-self.stream_length // self.bptt)

    def __iter__(self) -> Iterator[StreamBatch]:
        if self._resumed:
            self._resumed = False
        else:
            self.epoch, self.window = self.epoch + 1, 0
        line = self._line(self.epoch)
        windows_ahead = max(1, TOKENS_AHEAD // (self.batch_size * self.bptt))
        while self.window < len(self):
            start = self.window * self.bptt
            ahead = self._read(line, start, min(start + windows_ahead * self.bptt, self.stream_length))
            for first in range(0, ahead.shape[1] - 1, self.bptt):
                self.window += 1
                yield self._batch(ahead[:, first : first + self.bptt + 1])

    def _line(self, epoch: int) -> TokenLine:
        if not self.training:
            return TokenLine(self.tokens, self.segments, self.tokenizer.sep_id, [0] * len(self.segments))
        random = np.random.default_rng([self.seed, epoch])
        segments = [self.segments[index] for index in random.permutation(len(self.segments))]
        phases = random.integers(self.tokens.phases, size=len(segments)).tolist()
        line = TokenLine(self.tokens, segments, self.tokenizer.sep_id, phases)
        line.rotation = int(random.integers(len(line)))
        return line

    def _read(self, line: TokenLine, start: int, stop: int) -> npt.NDArray[Any]:
        """Return positions `start` to `stop`, and one more to predict, of this process's streams."""
        smallest = np.min_scalar_type(len(self.tokenizer) - 1)
        rows = np.full((self.batch_size, stop - start + 1), self.tokenizer.pad_id, dtype=smallest)
        for number, row in enumerate(rows, start=self.rank * self.batch_size):
            first = number * self.stream_length + start
            line.read(first, row if self.training else row[: max(0, len(line) - first)])
        return rows

    def _batch(self, rows: npt.NDArray[Any]) -> StreamBatch:
        """Make a window of positions `(B, T + 1)`, the last of them only to predict."""
        parts = [torch.from_numpy(part.astype(np.int64)) for part in (rows[:, :-1], rows[:, 1:])]
        return StreamBatch(*(part.pin_memory() for part in parts) if self.pin_memory else parts)

    def position(self) -> Position:
        """Return the position: the same on every rank."""
        return {"epoch": self.epoch, "step": self.window}

    def seek(self, position: Position) -> None:
        """Continue from a saved position at the next iteration."""
        self.epoch, self.window = position["epoch"], position["step"]
        self._resumed = self.window < len(self)
