"""The data of a language model: a genome store, its held-out part, and the streams over both."""

import numpy as np
import numpy.typing as npt
import torch

from gulmfit.data.position import ResumableDataModule
from gulmfit.data.stream import TokenStream
from gulmfit.seq.holdout import Holdout
from gulmfit.seq.tokenizer import KmerTokenizer


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
    """

    def __init__(
        self,
        codes: npt.NDArray[np.uint8],
        holdout: Holdout,
        tokenizer: KmerTokenizer,
        *,
        batch_size: int,
        bptt: int,
        strands: str,
        seed: int,
    ) -> None:
        super().__init__()
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
        rank, world_size = 0, 1
        if self.trainer is not None and not alone:
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
        )

    def token_counts(self) -> torch.Tensor:
        """Count every token of the training part on its strands, `(V,)`."""
        counts = np.zeros(len(self.tokenizer), dtype=np.int64)
        stream = TokenStream(
            self.codes,
            self.holdout.train,
            self.tokenizer,
            batch_size=1,
            bptt=1 << 20,
            training=False,
            strands=self.strands,
        )
        for batch in stream:
            counts += np.bincount(batch.targets.flatten().numpy(), minlength=len(counts))
        return torch.from_numpy(counts)
