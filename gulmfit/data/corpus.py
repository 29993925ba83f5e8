"""The data of a language model: a genome store, its held-out part, and the streams over both."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gulmfit.data.stream import ResumableDataModule, TokenStream
from gulmfit.seq.genome.holdout import Holdout
from gulmfit.seq.genome.store import Interval
from gulmfit.seq.tokens.tokenizer import Tokenizer

# Enough to know how often tokens occur: a larger corpus is sampled, in pieces of a length that a disk reads well.
COUNTED_BASES = 64_000_000
COUNTED_PIECE = 1 << 16


class LanguageModelDataModule(ResumableDataModule):
    """Streams of tokens for training (both strands, shuffled) and validation (forward strand, every base once).

    Args:
        codes: Base codes of the store.
        holdout: What to learn from and what to validate on.
        tokenizer: Bases to tokens.
        batch_size: Parallel streams of each process.
        bptt: Tokens in a window.
        strands: `both` or `forward`, for training.
        seed: Of the shuffling.
        cache_dir: Where sub-words are kept; None for memory.
    """

    def __init__(
        self,
        codes: npt.NDArray[np.uint8],
        holdout: Holdout,
        tokenizer: Tokenizer,
        *,
        batch_size: int,
        bptt: int,
        strands: str,
        seed: int,
        cache_dir: Path | None = None,
    ) -> None:
        super().__init__()
        self.cache_dir = cache_dir
        self.codes, self.holdout, self.tokenizer = codes, holdout, tokenizer
        self.batch_size, self.bptt, self.strands, self.seed = batch_size, bptt, strands, seed

    def train_dataloader(self) -> TokenStream:
        """Return the training stream of this process."""
        stream = self.stream(training=True)
        self.resume(stream)
        return stream

    def val_dataloader(self) -> TokenStream:
        """Return the validation stream of this process."""
        return self.stream(training=False)

    def stream(self, training: bool, *, alone: bool = False) -> TokenStream:
        """Return a stream of this process's share, or of everything if it is `alone`."""
        rank, world_size, pin_memory = 0, 1, False
        if self.trainer is not None:
            pin_memory = self.trainer.strategy.root_device.type == "cuda"
            if not alone:
                rank, world_size = self.trainer.global_rank, self.trainer.world_size
        return TokenStream(
            self.codes,
            self.holdout.train if training else self.holdout.valid,
            self.tokenizer,
            batch_size=self.batch_size,
            bptt=self.bptt,
            training=training,
            strands=self.strands if training else "forward",
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            pin_memory=pin_memory,
            cache_dir=self.cache_dir,
        )

    def token_counts(self) -> torch.Tensor:
        """Count the tokens of the training part on its strands, `(V,)`.

        They only set the first bias of a model. A corpus of more than 64 Mb is therefore not read whole: of its
        pieces of 64 kb every second, third … is counted, the same ones each time.
        """
        counts = np.zeros(len(self.tokenizer), dtype=np.int64)
        stream = TokenStream(
            self.codes,
            thin_out(self.holdout.train, COUNTED_BASES),
            self.tokenizer,
            batch_size=1,
            bptt=1 << 16,
            training=False,
            strands=self.strands,
            cache_dir=self.cache_dir,
        )
        for batch in stream:
            counts += np.bincount(batch.targets.flatten().numpy(), minlength=len(counts))
        return torch.from_numpy(counts)


def thin_out(intervals: Sequence[Interval], max_bases: int) -> Sequence[Interval]:
    """Keep about `max_bases` bases, in pieces spread evenly over the intervals; or all of them if they are fewer."""
    every = -(-sum(part.end - part.start for part in intervals) // max_bases)
    if every <= 1:
        return intervals
    pieces = [
        Interval(part.contig, start, min(start + COUNTED_PIECE, part.end))
        for part in intervals
        for start in range(part.start, part.end, COUNTED_PIECE)
    ]
    return pieces[::every]
