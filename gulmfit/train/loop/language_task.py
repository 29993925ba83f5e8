"""What Lightning trains on streams: a language model.

Shape letters: `B` batch, `T` tokens, `N` positions of a window.
"""

import math
from typing import Any

import torch
from torch import Tensor

from gulmfit.checkpoint import Spec
from gulmfit.data.stream import StreamBatch
from gulmfit.models.encoder import State, detach
from gulmfit.models.language_model import LanguageModel, LanguageModelOutput
from gulmfit.train.loop.metrics import StreamScore
from gulmfit.train.loop.tasks import Task
from gulmfit.train.survive.ranks import gather, own


class LanguageModelTask(Task):
    """Learn a stream: cross-entropy plus AR and TAR, the hidden state carried from window to window."""

    model: LanguageModel

    def __init__(self, spec: Spec, optimizer: dict[str, Any], schedule: dict[str, Any]) -> None:
        super().__init__(spec, optimizer, schedule)
        # Never a buffer: DDP would overwrite every rank's state with rank 0's.
        self.state: State | None = None
        self.valid_state: State | None = None
        self.valid_score = StreamScore()
        self._sizes = torch.from_numpy(self.tokenizer.sizes())

    def bases(self, output: LanguageModelOutput) -> Tensor:
        """Return how many bases each target adds to the token before it, `(N,)`; 0 where it is not scored."""
        return self.bases_between(output.contexts, output.targets, output.scored)

    def bases_between(self, contexts: Tensor, targets: Tensor, scored: Tensor) -> Tensor:
        """Return how many bases each target adds to its context, `(N,)`; 0 where it is not scored."""
        self._sizes = self._sizes.to(targets.device)
        shared = (contexts >= self.tokenizer.num_special) * self.tokenizer.overlap
        return (self._sizes[targets] - shared).masked_fill(~scored, 0)

    def on_train_start(self) -> None:
        """Bring the hidden state to where the model is: from a checkpoint it comes to the CPU."""
        super().on_train_start()
        self.state = self.transfer_batch_to_device(self.state, self.device, 0)

    def on_train_epoch_start(self) -> None:
        """Start every epoch without memory, unless it is one that is being continued."""
        if self.trainer.fit_loop.epoch_loop.batch_progress.current.ready == 0:
            self.state = None

    def training_step(self, batch: StreamBatch, batch_idx: int) -> Tensor:
        """Learn one window."""
        output = self.model(batch.tokens, batch.targets, self.state)
        self.state = detach(output.state)
        loss = output.loss
        self.fitted_loss = loss.detach()
        bits = output.losses.detach().double().sum() / self.bases(output).sum().clamp_min(1) / math.log(2.0)
        self.log("train/loss", loss.detach(), on_step=True, on_epoch=False)
        self.log("train/bits_per_base", bits.float(), prog_bar=True, on_step=True, on_epoch=False)
        total: Tensor = loss + output.penalty
        return total

    def on_validation_epoch_start(self) -> None:
        """Begin the held-out stream without memory; the training state waits."""
        self.valid_state = None
        self.valid_score.reset()

    def validation_step(self, batch: StreamBatch, batch_idx: int) -> None:
        """Score one window of the held-out stream."""
        output = self.model(batch.tokens, batch.targets, self.valid_state)
        self.valid_state = output.state
        self.valid_score.update(output.losses, output.correct, self.bases(output))

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the whole held-out stream."""
        self.validated_at = self.global_step
        for name, value in self.valid_score.compute().items():
            self.log(f"val/{name}", value.float(), prog_bar=name == "bits_per_base")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save every process's hidden state: without it the first window after resuming would differ."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["state"] = gather(self.state)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the hidden state up again."""
        super().on_load_checkpoint(checkpoint)
        self.state = own(checkpoint["state"])
