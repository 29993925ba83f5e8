"""What a classifier's logits are held against, one loss for each kind of target, with weights where classes are rare.

Shape letters: `B` batch, `N` training sequences, `C` classes, labels or values.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gulmfit.errors import ConfigError

ClassWeights = str | Mapping[str, float] | None


class Loss(nn.Module, ABC):
    """Base of all losses.

    Attributes:
        kind: The kind of target that it is for, as of a head.
    """

    kind: ClassVar[str | type]

    @abstractmethod
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch from logits `(B, C)` in fp32 and its labels: a mean, as training takes it."""

    @abstractmethod
    def each(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses and weights of sequences, both `(B,)`: the weighted mean is the loss of all of them."""

    def fit(self, labels: Tensor, classes: Sequence[str]) -> Self:
        """Work out weights from the labels of the training part; return the loss.

        Raises:
            ConfigError: If weights are given for other classes than these.
        """
        return self

    def described(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return what makes the same loss again, as plain values; weights that were worked out are numbers there."""
        given = {name: getattr(self, name) for name in signature(type(self)).parameters if hasattr(self, name)}
        weights = getattr(self, "weights", None)
        own = {} if weights is None else {"class_weights": dict(zip(classes, weights.tolist(), strict=True))}
        return {"_target_": f"{type(self).__module__}.{type(self).__qualname__}", **given, **own}


class CrossEntropy(Loss):
    """Cross-entropy of one class a sequence.

    Args:
        class_weights: `balanced` for N / (C n) where n sequences have the class, so that all classes count alike; or a
            number above 0 for each class by name. A sequence of weight 2 counts like two of it.
        label_smoothing: Share of probability that the target spreads evenly over the classes, 0 to below 1.

    Raises:
        ConfigError: A value is out of range.
    """

    kind: ClassVar[str | type] = "gulmfit.report.kinds.single_label.SingleLabel"
    weights: Tensor | None

    def __init__(self, class_weights: ClassWeights = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"loss.label_smoothing={label_smoothing}: at least 0 and below 1 is needed.")
        self.class_weights = _checked(class_weights)
        self.label_smoothing = label_smoothing
        self.register_buffer("weights", None, persistent=False)

    def fit(self, labels: Tensor, classes: Sequence[str]) -> Self:
        counts = labels.bincount(minlength=len(classes)).double()
        balanced = len(labels) / (len(classes) * counts.clamp_min(1))
        self.weights = resolved(self.class_weights, classes, balanced)
        return self

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, self.weights, label_smoothing=self.label_smoothing)

    def each(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        smoothing = self.label_smoothing
        weighted = F.cross_entropy(logits, labels, self.weights, reduction="none", label_smoothing=smoothing)
        if self.weights is None:
            return weighted, torch.ones_like(weighted)
        weights = self.weights[labels]
        return weighted / weights, weights


class PositionCrossEntropy(Loss):
    """Cross-entropy of one class a position; positions whose label is negative are left out.

    Args:
        class_weights: As of `CrossEntropy`, of positions.
        transition_weight: What the two positions at a border between two classes count, 1 or more; with the distance
            from the border this falls to 1.
        transition_bp: Positions in which what they count more falls to 1/e, above 0.

    Raises:
        ConfigError: A value is out of range.
    """

    kind: ClassVar[str | type] = "gulmfit.report.kinds.positions.PositionLabels"
    weights: Tensor | None

    def __init__(
        self, class_weights: ClassWeights = None, transition_weight: float = 1.0, transition_bp: float = 10.0
    ) -> None:
        super().__init__()
        if not 1 <= transition_weight < float("inf"):
            raise ConfigError(f"loss.transition_weight={transition_weight}: a number of 1 or more is needed.")
        if not transition_bp > 0:
            raise ConfigError(f"loss.transition_bp={transition_bp}: a number above 0 is needed.")
        self.class_weights = _checked(class_weights)
        self.transition_weight, self.transition_bp = transition_weight, transition_bp
        self.register_buffer("weights", None, persistent=False)

    def fit(self, labels: Tensor, classes: Sequence[str]) -> Self:
        counts = labels[labels >= 0].long().bincount(minlength=len(classes)).double()
        self.weights = resolved(self.class_weights, classes, counts.sum() / (len(classes) * counts.clamp_min(1)))
        return self

    def position_weights(self, labels: Tensor) -> Tensor:
        """Return what each position of labels `(B, L)` counts, 0 where it is left out."""
        known = labels >= 0
        counted = known.float()
        if self.weights is not None:
            counted = counted * self.weights[labels.clamp_min(0)]
        return counted * self.border_factors(labels) if self.transition_weight > 1 else counted

    def border_factors(self, labels: Tensor) -> Tensor:
        """Return what each position of labels `(B, L)` counts more for its distance from the next border, 1 or more."""
        known = labels >= 0
        border = (labels[:, 1:] != labels[:, :-1]) & known[:, 1:] & known[:, :-1]  # after each position but the last
        at = torch.arange(labels.shape[1], device=labels.device)
        never = float("inf")
        before = F.pad(torch.where(border, at[1:], -never), (1, 0), value=-never).cummax(1).values
        after = F.pad(torch.where(border, at[:-1], never), (0, 1), value=never).flip(1).cummin(1).values.flip(1)
        distance = torch.minimum(at - before, after - at)
        return 1 + (self.transition_weight - 1) * torch.exp(-distance / self.transition_bp)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        losses, weights = self.each(logits, labels)
        return (losses * weights).sum() / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)

    def each(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        labels = labels.long()
        logits = logits[:, : labels.shape[1]]  # those further on are past the end of every sequence
        losses = F.cross_entropy(logits.transpose(1, 2), labels.clamp_min(0), reduction="none")
        weights = self.position_weights(labels)
        total = weights.sum(1)
        return (losses * weights).sum(1) / total.clamp_min(torch.finfo(total.dtype).tiny), total


class BinaryCrossEntropy(Loss):
    """Binary cross-entropy of each label, the mean over labels; negative ones are unknown and left out.

    Args:
        class_weights: What a sequence that has the label counts, against 1 of one that has it not: `balanced` for
            their ratio, so that both count alike; or a number above 0 for each label by name.

    Raises:
        ConfigError: A value is out of range.
    """

    kind: ClassVar[str | type] = "gulmfit.report.kinds.multi_label.MultiLabel"
    weights: Tensor | None

    def __init__(self, class_weights: ClassWeights = None) -> None:
        super().__init__()
        self.class_weights = _checked(class_weights)
        self.register_buffer("weights", None, persistent=False)

    def fit(self, labels: Tensor, classes: Sequence[str]) -> Self:
        positives, negatives = ((labels == there).double().sum(0) for there in (1, 0))
        self.weights = resolved(self.class_weights, classes, negatives / positives.clamp_min(1))
        return self

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        losses, weights = self.each(logits, labels)
        return (losses * weights).sum() / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)

    def each(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        known = (labels >= 0).to(logits.dtype)
        targets = labels.clamp_min(0).to(logits.dtype)
        losses = F.binary_cross_entropy_with_logits(logits, targets, known, None, None, "none", self.weights)
        share = known.mean(1)
        return losses.mean(1) / share.clamp_min(torch.finfo(share.dtype).tiny), share


class MeanSquaredError(Loss):
    """Squared error of standardised values, the mean over values: 1 is what the training mean scores."""

    kind: ClassVar[str | type] = "gulmfit.report.kinds.regression.Regression"

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.mse_loss(logits, labels)

    def each(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        losses = F.mse_loss(logits, labels, reduction="none").mean(1)
        return losses, torch.ones_like(losses)


class Huber(Loss):
    """Huber's loss of standardised values, the mean over values: far-off measurements pull less.

    Args:
        delta: Error, in training standard deviations, from which on the loss grows linearly; above 0.

    Raises:
        ConfigError: `delta` is not above 0.

    Source: Huber, Ann. Math. Stat. 35 (1964) 73-101.
    """

    kind: ClassVar[str | type] = "gulmfit.report.kinds.regression.Regression"

    def __init__(self, delta: float = 1.0) -> None:
        super().__init__()
        if not delta > 0:
            raise ConfigError(f"loss.delta={delta}: a number above 0 is needed.")
        self.delta = delta

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.huber_loss(logits, labels, delta=self.delta)

    def each(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        losses = F.huber_loss(logits, labels, reduction="none", delta=self.delta).mean(1)
        return losses, torch.ones_like(losses)


def _checked(class_weights: ClassWeights) -> ClassWeights:
    if isinstance(class_weights, str) and class_weights != "balanced":
        raise ConfigError(f"loss.class_weights={class_weights!r} is unknown; give balanced, null, or {{name: weight}}.")
    if isinstance(class_weights, Mapping):
        for name, weight in class_weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
                raise ConfigError(f"loss.class_weights: {name}={weight!r}; a number above 0 is needed.")
        return {str(name): float(weight) for name, weight in class_weights.items()}
    return class_weights


def resolved(class_weights: ClassWeights, classes: Sequence[str], balanced: Tensor) -> Tensor | None:
    if class_weights is None:
        return None
    if isinstance(class_weights, str):
        return balanced.float()
    if set(class_weights) != set(classes):
        missing, extra = sorted(set(classes) - set(class_weights)), sorted(set(class_weights) - set(classes))
        raise ConfigError(
            f"loss.class_weights names {', '.join(class_weights)}; the data has {', '.join(classes)}. Without a "
            f"weight: {', '.join(missing) or 'none'}; unknown: {', '.join(extra) or 'none'}."
        )
    return torch.tensor([class_weights[name] for name in classes])
