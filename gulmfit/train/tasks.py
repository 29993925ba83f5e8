"""What Lightning trains: a language model on streams, a classifier on batches.

Shape letters: `B` batch, `T` tokens, `N` scored positions, `C` classes.

Both take plain dictionaries only, so that a checkpoint rebuilds its task without arguments and loads with
`weights_only=True`.
"""

import importlib
import math
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer
from torchmetrics import MeanMetric

from gulmfit.checkpoint import Spec, build_model
from gulmfit.data.batches import SequenceBatch
from gulmfit.data.labelled import ClassificationDataModule
from gulmfit.data.stream import StreamBatch
from gulmfit.models.awd_rnn import State, detach
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.language_model import LanguageModel, LanguageModelOutput
from gulmfit.train.metrics import StreamScore, classification_metrics
from gulmfit.train.schedule import OneCycle, OneCyclePhases

# Training sequences from which BatchNorm's statistics are re-estimated before every evaluation.
CALIBRATION_SEQUENCES = 2048


class Task(pl.LightningModule):
    """A model with its optimizer and schedule; gradual unfreezing happens here.

    All layer groups are in the optimizer from step 0, whatever is frozen: groups that are added later break resuming,
    and parameters that are frozen when DDP wraps them never get their gradients reduced. A frozen group has no
    gradient, so the optimizer, weight decay included, passes it over.

    Args:
        spec: How to build the model (`gulmfit.checkpoint`).
        optimizer: `_target_` of a torch optimizer and its arguments, without parameters and rate.
        schedule: Arguments of `OneCycle`.
    """

    model: LanguageModel | SequenceClassifier

    def __init__(self, spec: Spec, optimizer: dict[str, Any], schedule: dict[str, Any]) -> None:
        super().__init__()
        self.save_hyperparameters({"spec": spec, "optimizer": optimizer, "schedule": schedule})
        model, self.tokenizer = build_model(spec)
        self.model = cast("LanguageModel | SequenceClassifier", model)
        self.schedule = OneCycle.from_config(schedule)
        self._phase = -1
        self.validated_at = -1

    def configure_optimizers(self) -> Any:
        """Build the optimizer over all layer groups and its schedule over all steps."""
        module, _, name = self.hparams["optimizer"]["_target_"].rpartition(".")
        arguments = {key: value for key, value in self.hparams["optimizer"].items() if key != "_target_"}
        groups = [{"params": group, "lr": self.schedule.phases[0].lr} for group in self.model.layer_groups()]
        optimizer = getattr(importlib.import_module(module), name)(groups, **arguments)
        scheduler = OneCyclePhases(optimizer, self.schedule, self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step", "name": "lr"}}

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole training."""
        return max(1, int(self.trainer.estimated_stepping_batches))

    def frozen_groups(self) -> int:
        """Return how many of the lowest layer groups are frozen at this step."""
        index, _ = self.schedule.phase_at(self.global_step, self.total_steps)
        groups = self.schedule.phases[index].groups
        return max(0, len(self.model.layer_groups()) - groups) if groups else 0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Forget the optimizer's moments where a phase begins, as a fresh optimizer would."""
        index, _ = self.schedule.phase_at(self.global_step, self.total_steps)
        edges = self.schedule.edges(self.total_steps)
        if index != self._phase:
            if self._phase >= 0 and self.global_step == edges[index]:
                self.trainer.optimizers[0].state.clear()
            self._phase = index

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Take the gradients of frozen groups away."""
        for group in self.model.layer_groups()[: self.frozen_groups()]:
            for parameter in group:
                parameter.grad = None


class LanguageModelTask(Task):
    """Learn a stream: cross-entropy plus AR and TAR, the hidden state carried from window to window."""

    model: LanguageModel

    def __init__(self, spec: Spec, optimizer: dict[str, Any], schedule: dict[str, Any]) -> None:
        super().__init__(spec, optimizer, schedule)
        # Never a buffer: DDP would overwrite every rank's state with rank 0's.
        self.state: State | None = None
        self.valid_state: State | None = None
        self.valid_score = StreamScore()

    def bases(self, output: LanguageModelOutput) -> Tensor:
        """Return how many bases each target adds to the token before it, `(N,)`; 0 where it is not scored."""
        fresh = output.contexts < self.tokenizer.num_special
        return torch.where(fresh, self.tokenizer.k, self.tokenizer.new_bases).masked_fill(~output.scored, 0)

    def on_train_epoch_start(self) -> None:
        """Start every epoch without memory, unless it is one that is being continued."""
        if self.trainer.fit_loop.epoch_loop.batch_progress.current.ready == 0:
            self.state = None

    def training_step(self, batch: StreamBatch, batch_idx: int) -> Tensor:
        """Learn one window."""
        output = self.model(batch.tokens, batch.targets, self.state)
        self.state = detach(output.state)
        loss = output.loss
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
        """Save the hidden state: without it the first window after resuming would differ."""
        checkpoint["state"] = self.state

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the hidden state up again."""
        self.state = checkpoint["state"]


class ClassificationTask(Task):
    """Learn to classify: cross-entropy plus AR and TAR."""

    model: SequenceClassifier

    def __init__(self, spec: Spec, optimizer: dict[str, Any], schedule: dict[str, Any]) -> None:
        super().__init__(spec, optimizer, schedule)
        self.valid_loss = MeanMetric(nan_strategy="disable")  # to look for them would make the CPU wait for the GPU
        self.valid_metrics = classification_metrics(len(spec["classes"]))

    def on_train_epoch_start(self) -> None:
        """Choose the order of this epoch."""
        sampler = getattr(self.trainer.train_dataloader, "batch_sampler", None)
        if sampler is not None and hasattr(sampler, "set_epoch"):
            sampler.set_epoch(self.current_epoch)

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> Tensor:
        """Learn one batch."""
        # Under DDP every parameter must take part in every backward pass; alone, a frozen layer needs no graph.
        frozen = self.frozen_groups() if self.trainer.world_size == 1 else 0
        logits, penalty = self.model(batch.tokens, batch.lengths, frozen)
        loss: Tensor = F.cross_entropy(logits.float(), batch.labels)
        self.log("train/loss", loss.detach(), prog_bar=True, on_step=True, on_epoch=False, batch_size=len(logits))
        total: Tensor = loss + penalty
        return total

    @torch.no_grad()
    def calibrate(self) -> None:
        """Re-estimate BatchNorm's statistics over the training set."""
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, ClassificationDataModule):
            return
        was_training = self.model.training
        self.model.eval()
        pooled = [
            self.model.pool(batch.tokens.to(self.device), batch.lengths.to(self.device))[0]
            for batch in data.calibration_batches(CALIBRATION_SEQUENCES)
        ]
        self.model.head.calibrate(torch.cat(pooled))
        self.model.train(was_training)

    def on_validation_epoch_start(self) -> None:
        """Make BatchNorm right before anything is judged."""
        self.calibrate()
        self.valid_loss.reset()
        self.valid_metrics.reset()

    def validation_step(self, batch: SequenceBatch, batch_idx: int) -> None:
        """Score one batch."""
        logits, _ = self.model(batch.tokens, batch.lengths)
        logits = logits.float()
        self.valid_loss.update(F.cross_entropy(logits, batch.labels, reduction="none"))
        self.valid_metrics.update(logits.softmax(-1), batch.labels)

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the whole validation part."""
        self.validated_at = self.global_step
        self.log("val/loss", self.valid_loss.compute(), prog_bar=True)
        for name, value in self.valid_metrics.compute().items():
            self.log(f"val/{name}", value.float(), prog_bar=name == "accuracy")
