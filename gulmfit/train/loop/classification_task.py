"""What Lightning trains on labelled sequences: a classifier or labeller, whatever its kind of target.

Shape letters: `B` batch, `C` classes, labels or values.
"""

from typing import Any

from torch import Tensor
from torchmetrics import MeanMetric

from gulmfit.checkpoint import LOSS, Spec
from gulmfit.data.batches import SequenceBatch
from gulmfit.data.sequences import ClassificationDataModule
from gulmfit.models.classifier import LabelModel
from gulmfit.models.labeller import Labeller
from gulmfit.models.losses import CrossEntropy, Loss
from gulmfit.report.kinds.kind import kind_of
from gulmfit.train.loop.metrics import CalibratedLoss, validation_metrics
from gulmfit.train.loop.tasks import Task

# Training sequences from which BatchNorm's statistics are re-estimated before every evaluation.
CALIBRATION_SEQUENCES = 2048


class ClassificationTask(Task):
    """Learn labels: a loss, cross-entropy by default, plus AR and TAR."""

    model: LabelModel

    def __init__(
        self, spec: Spec, optimizer: dict[str, Any], schedule: dict[str, Any], loss: Loss | None = None
    ) -> None:
        super().__init__(spec, optimizer, schedule)
        self.loss = loss or CrossEntropy()
        self.valid_loss = MeanMetric(nan_strategy="disable")  # to look for them would make the CPU wait for the GPU
        kind = kind_of(self.model)
        scales = kind.labels.probabilities
        self.calibrated_loss = CalibratedLoss(self.loss, scales=scales) if kind.calibrated_loss else None
        self.valid_metrics, self.headline = validation_metrics(kind, spec["classes"]), kind.headline

    def kept(self) -> dict[str, Any]:
        """Return also the loss of a labeller, whose weights are inherited where it is tuned."""
        classes = list(self.hparams["spec"]["classes"])
        own = {LOSS: self.loss.described(classes)} if isinstance(self.model, Labeller) else {}
        return super().kept() | own

    def on_train_epoch_start(self) -> None:
        """Choose the order of this epoch."""
        sampler = getattr(self.trainer.train_dataloader, "batch_sampler", None)
        if sampler is not None and hasattr(sampler, "set_epoch"):
            sampler.set_epoch(self.current_epoch)

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> Tensor:
        """Learn one batch."""
        # Under DDP every parameter must take part in every backward pass; alone, a frozen layer needs no graph.
        frozen = self.frozen_groups() if self.trainer.world_size == 1 else 0
        logits, penalty = self.model(batch.tokens, batch.lengths, frozen, **batch.measured)
        loss: Tensor = self.loss(logits.float(), self.model.learned(batch.labels))
        self.fitted_loss = loss.detach()
        self.log("train/loss", self.fitted_loss, prog_bar=True, on_step=True, on_epoch=False, batch_size=len(logits))
        total: Tensor = loss + penalty
        return total

    def calibrate(self) -> None:
        """Re-estimate BatchNorm's statistics over the training set."""
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, ClassificationDataModule):
            self.model.calibrate(
                (batch.tokens.to(self.device), batch.lengths.to(self.device))
                for batch in data.calibration_batches(CALIBRATION_SEQUENCES)
            )

    def on_validation_epoch_start(self) -> None:
        """Make BatchNorm right before anything is judged."""
        self.calibrate()
        self.valid_loss.reset()
        self.valid_metrics.reset()
        if self.calibrated_loss:
            self.calibrated_loss.reset()

    def validation_step(self, batch: SequenceBatch, batch_idx: int) -> None:
        """Score one batch."""
        logits, _ = self.model(batch.tokens, batch.lengths, **batch.measured)
        logits = logits.float()
        learned = self.model.learned(batch.labels)
        self.valid_loss.update(*self.loss.each(logits, learned))
        if self.calibrated_loss:
            self.calibrated_loss.update(logits, learned)
        self.valid_metrics.update(self.model.outputs(logits), self.model.scored(batch.labels))

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the whole validation part."""
        self.validated_at = self.global_step
        self.log("val/loss", self.valid_loss.compute(), prog_bar=True)
        if self.calibrated_loss:
            self.log("val/calibrated_loss", self.calibrated_loss.compute())
        for name, value in self.valid_metrics.compute().items():
            self.log(f"val/{name}", value.float(), prog_bar=name == self.headline)
