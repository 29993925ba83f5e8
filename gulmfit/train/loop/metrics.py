"""Metrics that accumulate on the device and sum over ranks."""

import inspect
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities import dim_zero_cat

from gulmfit.label_tracks import track_slices
from gulmfit.models.losses import Loss
from gulmfit.moved import named
from gulmfit.report.kinds.kind import Kind


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


class CodonScore(Metric):
    """Share of the residues that get their own codon.

    Args:
        num_classes: `C`, which does not matter.
    """

    full_state_update = False
    right: Tensor
    known: Tensor

    def __init__(self, num_classes: int, **options: Any) -> None:
        super().__init__(**options)
        for name in ("right", "known"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, places: Tensor) -> None:
        """Add a batch: probabilities `(B, L or more, K)` and places `(B, L)`, negative where they are left out."""
        known = places >= 0
        self.right += (predicted[:, : places.shape[1]].argmax(-1) == places)[known].sum()
        self.known += known.sum()

    def compute(self) -> dict[str, Tensor]:
        """Return `codon_match`."""
        return {"codon_match": self.right / self.known}


class ValueScore(Metric):
    """R², Pearson's correlation and the root of the mean squared error of values, each the mean over values.

    Args:
        num_values: `C`.
    """

    full_state_update = False
    count: Tensor
    sums: Tensor

    def __init__(self, num_values: int, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("sums", torch.zeros(5, num_values, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, values: Tensor) -> None:
        """Add a batch: predictions and values, both `(B, C)`."""
        x, y = predicted.detach().double(), values.double()
        self.count += len(x)
        self.sums += torch.stack([x.sum(0), y.sum(0), (x * x).sum(0), (y * y).sum(0), (x * y).sum(0)])

    def compute(self) -> dict[str, Tensor]:
        """Return `r2`, `pearson` and `rmse`; 0 for the first two where a value or its prediction does not vary."""
        x, y, xx, yy, xy = self.sums / self.count
        squared = (xx - 2 * xy + yy).clamp_min(0)
        variance, explained = yy - y * y, xx - x * x
        # Differences of sums: what is left of rounding is not variance.
        varies = variance > 1e-12 * yy
        both = varies & (explained > 1e-12 * xx)
        r2 = torch.where(varies, 1 - squared / variance, 0.0)
        pearson = torch.where(both, (xy - x * y) / (variance * explained).clamp_min(0).sqrt(), 0.0)
        return {"r2": r2.mean(), "pearson": pearson.mean(), "rmse": squared.sqrt().mean()}


class PositionScore(Metric):
    """Accuracy, and F1 as the mean over classes, of labelled positions.

    Args:
        num_classes: `C`.
    """

    full_state_update = False
    confusion: Tensor

    def __init__(self, num_classes: int, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("confusion", torch.zeros(num_classes, num_classes, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Add a batch: probabilities `(B, L or more, C)` and labels `(B, L)`, negative where they are left out."""
        known, size = labels >= 0, len(self.confusion)
        chosen = predicted[:, : labels.shape[1]].argmax(-1)
        pairs = (labels.long() * size + chosen)[known]
        self.confusion += pairs.bincount(minlength=size * size).view(size, size)

    def compute(self) -> dict[str, Tensor]:
        """Return `accuracy` and `f1_macro`; a class that neither is there nor predicted counts as 0."""
        right = self.confusion.diagonal()
        found = self.confusion.sum(0) + self.confusion.sum(1)
        return {"accuracy": right.sum() / self.confusion.sum(), "f1_macro": (2 * right / found.clamp_min(1)).mean()}


class TrackScore(Metric):
    """Accuracy of the first track, and F1 as the mean over its classes that are there, on both strands.

    Args:
        num_classes: Of all tracks.
        class_names: As `track:class`.
    """

    full_state_update = False
    confusion: Tensor

    def __init__(self, num_classes: int, class_names: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self.first = next(iter(track_slices(class_names).values()))
        size = self.first.stop
        self.add_state("confusion", torch.zeros(size, size, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Add a batch: probabilities `(B, 2, L or more, C)` and labels `(B, 2, K, L)`, negative if left out."""
        own = labels[:, :, 0]
        known, size = own >= 0, len(self.confusion)
        chosen = predicted[:, :, : labels.shape[-1], self.first].argmax(-1)
        pairs = (own.long() * size + chosen)[known]
        self.confusion += pairs.bincount(minlength=size * size).view(size, size)

    def compute(self) -> dict[str, Tensor]:
        """Return `accuracy` and `f1_macro`."""
        right, there = self.confusion.diagonal(), self.confusion.sum(1) > 0
        f1 = 2 * right / (self.confusion.sum(0) + self.confusion.sum(1)).clamp_min(1)
        return {"accuracy": right.sum() / self.confusion.sum(), "f1_macro": f1[there].mean()}


class CalibratedLoss(Metric):
    """The least loss that one temperature for all logits can reach: how well a model ranks, not how sure it is.

    A classifier is calibrated before it is used, so over-confidence must not decide which weights are kept. With many
    epochs the plain loss rises long before the ranking gets worse.

    Args:
        loss: What is measured.
        scales: Whether logits may be scaled; those of measured values may not.
    """

    full_state_update = False
    logits: list[Tensor]
    labels: list[Tensor]

    def __init__(self, loss: Loss, *, scales: bool, **options: Any) -> None:
        super().__init__(**options)
        self.loss = loss
        # Eight steps for every factor of two: the loss is flat near its least.
        self.temperatures = [2.0 ** (step / 8) for step in range(-16, 41)] if scales else [1.0]
        for name in ("logits", "labels"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: logits `(B, C)` and what they are held against."""
        self.logits.append(logits.detach())
        self.labels.append(labels)

    def compute(self) -> Tensor:
        """Return the loss at the best temperature."""
        logits, labels = dim_zero_cat(self.logits), dim_zero_cat(self.labels)
        found = []
        for temperature in self.temperatures:
            losses, weights = self.loss.each(logits / temperature, labels)
            found.append((losses * weights).sum() / weights.sum())
        return torch.stack(found).min()


def validation_metrics(kind: type[Kind], classes: Sequence[str]) -> MetricCollection:
    """Return what is watched during training; the final scores are in `gulmfit.report`.

    Args:
        kind: What is learned.
        classes: Names of the classes, labels or values (C).
    """
    watched: dict[str, Metric | MetricCollection] = {}
    for name, (metric, options) in kind.watched.items():
        target = named(metric) if isinstance(metric, str) else metric
        names = {"class_names": classes} if "class_names" in inspect.signature(target).parameters else {}
        watched[name] = target(len(classes), **names, **options)
    return MetricCollection(watched)
