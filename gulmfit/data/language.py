"""The data of a language model: a genome store, its held-out part, and the streams over both."""

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch

from gulmfit.data.stream import TokenStream
from gulmfit.seq.holdout import Holdout
from gulmfit.seq.tokenizer import KmerTokenizer


class LanguageModelDataModule(pl.LightningDataModule):
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
        return self._stream(training=True)

    def val_dataloader(self) -> TokenStream:
        """Return the validation stream of this process."""
        return self._stream(training=False)

    def _stream(self, training: bool) -> TokenStream:
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
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
