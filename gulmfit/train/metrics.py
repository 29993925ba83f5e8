"""Metrics that accumulate on the device and sum over ranks."""

import math
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC, MulticlassMatthewsCorrCoef


class StreamScore(Metric):
    """Loss, accuracy and exact bits per base of a language model over a whole stream.

    Bits per base are the total nats over ln 2 over the bases predicted: a token predicts as many bases as it does not
    share with the token before it, all `k` after a separator. Unlike loss or perplexity per token, they compare across
    `k` and stride; 2 is knowing nothing.
    """

    full_state_update = False
    nats: Tensor
    tokens: Tensor
    correct: Tensor
    bases: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name in ("nats", "tokens", "correct", "bases"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, losses: Tensor, correct: Tensor, bases: Tensor) -> None:
        """Add positions: nats `(N,)`, hits `(N,)`, bases that each target adds `(N,)`; all 0 where not scored."""
        self.nats += losses.detach().double().sum()
        self.tokens += (bases > 0).sum()
        self.correct += correct.sum()
        self.bases += bases.sum()

    def compute(self) -> dict[str, Tensor]:
        """Return `loss` (nats a token), `accuracy` and `bits_per_base`."""
        return {
            "loss": self.nats / self.tokens,
            "accuracy": self.correct / self.tokens,
            "bits_per_base": self.nats / self.bases / math.log(2.0),
        }


def classification_metrics(num_classes: int) -> MetricCollection:
    """Return the metrics that are watched during training; the final ones are in `gulmfit.report.scores`."""
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(num_classes, average="micro"),
            "mcc": MulticlassMatthewsCorrCoef(num_classes),
            "auroc": MulticlassAUROC(num_classes),
        }
    )
