"""The sequence classifier: an encoder, concat pooling over real tokens, and a small head.

`LabelModel` is what it shares with the labeller of positions.

One network for every kind of target; the classes below differ in what the last layer's outputs mean.

Shape letters: `B` batch, `T` tokens, `E` encoder outputs, `P` pooled features, `C` classes, labels or values.

Source: Howard & Ruder 2018, "Universal Language Model Fine-tuning for Text Classification", section 3.3. Unlike the
published runs, pooling never sees padding and gradients flow through the whole sequence unless `bptt` cuts them.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gulmfit.errors import ConfigError
from gulmfit.models.both_strands import STRANDS, OtherStrand
from gulmfit.models.dropout import DropoutRates, activation_penalty
from gulmfit.models.encoder import Encoder, detach, encode_window, is_causal
from gulmfit.models.gapped_kmers import GappedKmers

# Positions encoded at a time outside training: memory no longer grows with the length of a sequence.
EVALUATION_WINDOW = 2048


class ConcatPooling:
    """Running [last, max, mean] over the real tokens of a batch, and the mean of each of `bins` equal stretches of a
    sequence, fed window by window.

    A stretch without a token, in a sequence of fewer tokens than bins, has mean 0.
    """

    def __init__(self, lengths: Tensor, bins: int = 0) -> None:
        self.lengths = lengths
        self.bins = bins
        self.seen = 0
        self.binned: Tensor | None = None  # (B, bins, E) sums
        self.last: Tensor | None = None
        self.maximum: Tensor | None = None
        self.total: Tensor | None = None

    def add(self, outputs: Tensor) -> Tensor:
        """Take the outputs of the next window `(B, T, E)`; return which of its positions are real, `(B, T)`."""
        outputs = outputs.float()
        steps = torch.arange(self.seen, self.seen + outputs.shape[1], device=outputs.device)
        mask = steps < self.lengths.unsqueeze(1)
        real = mask.unsqueeze(-1)
        place = self.lengths - 1 - self.seen  # of the last token, in this window or outside
        here = ((place >= 0) & (place < outputs.shape[1])).unsqueeze(-1)
        index = place.clamp(0, outputs.shape[1] - 1).view(-1, 1, 1).expand(-1, 1, outputs.shape[2])
        last = outputs.gather(1, index).squeeze(1) * here
        maximum = outputs.masked_fill(~real, float("-inf")).amax(1)
        total = (outputs * real).sum(1)
        if self.bins:
            stretch = steps * self.bins // self.lengths.unsqueeze(1)  # of each position, (B, T)
            share = stretch.unsqueeze(1) == torch.arange(self.bins, device=outputs.device).view(1, -1, 1)
            sums = torch.bmm((share & mask.unsqueeze(1)).to(outputs.dtype), outputs)
            self.binned = sums if self.binned is None else self.binned + sums
        if self.last is None or self.maximum is None or self.total is None:
            self.last, self.maximum, self.total = last, maximum, total
        else:
            self.last, self.total = self.last + last, self.total + total
            self.maximum = torch.maximum(self.maximum, maximum)
        self.seen += outputs.shape[1]
        return mask

    def forked(self, rows: Tensor) -> "ConcatPooling":
        """Return the pooling of some of the sequences `(R,)`, to go on by itself; one may occur several times."""
        fork = ConcatPooling(self.lengths[rows], self.bins)
        fork.seen = self.seen
        for name in ("binned", "last", "maximum", "total"):
            part = getattr(self, name)
            setattr(fork, name, None if part is None else part[rows])
        return fork

    def result(self) -> Tensor:
        """Return `(B, (3 + bins) E)`."""
        if self.last is None or self.maximum is None or self.total is None:
            raise ConfigError("nothing was pooled: a batch needs at least one token.")
        pooled = [self.last, self.maximum, self.total / self.lengths.unsqueeze(1)]
        if self.binned is not None:
            whole = torch.arange(self.bins + 1, device=self.lengths.device) * self.lengths.unsqueeze(1)
            edges = (whole + self.bins - 1) // self.bins  # rounded up: the first position of each stretch
            counts = (edges[:, 1:] - edges[:, :-1]).clamp_min(1).unsqueeze(-1)
            pooled.append((self.binned / counts).flatten(1))
        return torch.cat(pooled, dim=1)


class PoolingHead(nn.Module):
    """BatchNorm, dropout, linear, ReLU, BatchNorm, dropout, linear."""

    def __init__(self, input_size: int, hidden_size: int, num_classes: int, input_p: float, hidden_p: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm1d(input_size),
            nn.Dropout(input_p),
            nn.Linear(input_size, hidden_size),
            nn.ReLU(),
            nn.BatchNorm1d(hidden_size),
            nn.Dropout(hidden_p),
            nn.Linear(hidden_size, num_classes),
        )

    def forward(self, pooled: Tensor) -> Tensor:
        """Turn pooled features `(B, P)` into logits `(B, C)`."""
        logits: Tensor = self.layers(pooled)
        return logits

    @torch.no_grad()
    def calibrate(self, pooled: Tensor) -> None:
        """Set the running statistics to those of the training set's pooled features `(N, P)`.

        The running averages of BatchNorm lag behind the weights; with one to three steps an epoch, as at 20 to 500
        labels, they are useless for dozens of epochs. Here they are exact, whatever the batch size.
        """
        x = pooled.float()
        for layer in self.layers:
            if isinstance(layer, nn.BatchNorm1d) and layer.running_mean is not None and layer.running_var is not None:
                layer.running_mean.copy_(x.mean(0))
                layer.running_var.copy_(x.var(0, correction=1 if len(x) > 1 else 0))
            was_training = layer.training
            x = layer.eval()(x)
            layer.train(was_training)


class LabelModel(nn.Module):
    """An encoder and a head that learns labels: the base of what classifies sequences or labels their positions.

    Attributes:
        kind: The kind of target that it learns (`gulmfit.report.kinds.kind.Kind`), or where that class is defined.
        min_classes: Least `C`.

    Args:
        encoder, num_classes, bptt, alpha, beta, strands, complement: As in `SequenceClassifier`.
    """

    kind: ClassVar[str | type]
    min_classes: ClassVar[int] = 2
    head: nn.Module

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        bptt: int | None,
        alpha: float,
        beta: float,
        strands: str,
        complement: Sequence[int] | None,
    ) -> None:
        super().__init__()
        if num_classes < self.min_classes:
            raise ConfigError(f"a classifier needs {self.min_classes} classes or more, got {num_classes}.")
        if bptt is not None and bptt < 1:
            raise ConfigError(f"head.bptt={bptt}: give 1 token or more, or null for the whole sequence.")
        if bptt is not None and not is_causal(encoder):
            raise ConfigError(f"head.bptt={bptt}: {type(encoder).__name__} reads whole sequences; leave bptt out.")
        if strands not in STRANDS:
            raise ConfigError(f"arch.strands={strands!r} is unknown; choose one of {', '.join(STRANDS)}.")
        self.encoder = encoder
        self.bptt = bptt
        self.alpha, self.beta = alpha, beta
        self.strands = strands
        self.other_strand = None if strands == "forward" else OtherStrand(complement)

    def encoded(self, tokens: Tensor, lengths: Tensor, frozen: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Encode window by window; arguments as in `forward`.

        Yields:
            Outputs of a window `(B, T, E)`, and its share of the penalty AR + TAR, 0 outside training.
        """
        window = (self.bptt or tokens.shape[1]) if self.training else EVALUATION_WINDOW
        if not is_causal(self.encoder):
            window = tokens.shape[1]
        state = None
        for start in range(0, tokens.shape[1], window):
            part = tokens[:, start : start + window]
            outputs, state = encode_window(self.encoder, part, state, frozen)
            penalty = torch.zeros((), device=tokens.device)
            if self.training:
                state = detach(state)
                mask = torch.arange(start, start + part.shape[1], device=tokens.device) < lengths.unsqueeze(1)
                share = mask.sum() / lengths.sum()
                penalty = share * activation_penalty(outputs, mask, self.alpha, self.beta)
            yield outputs, penalty

    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Re-estimate statistics of the training set, where the model has any, from its tokens and lengths."""

    def outputs(self, logits: Tensor) -> Tensor:
        """Turn logits `(..., C)` into what is predicted: class probabilities."""
        return logits.softmax(-1)

    def learned(self, labels: Tensor) -> Tensor:
        """Turn labels into what logits are held against."""
        return labels

    def scored(self, labels: Tensor) -> Tensor:
        """Turn labels into what `outputs` are held against while training."""
        return labels

    @classmethod
    def fitted(cls, labels: Tensor) -> dict[str, Any]:
        """Return the arguments that follow from the labels of the training part, as plain values."""
        return {}

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return the parameters from input to output: embedding, recurrent layers, what is learned with the head."""
        others = [weights for name, weights in self.named_parameters() if not name.startswith("encoder.")]
        return [*self.encoder.layer_groups(), others]


class SequenceClassifier(LabelModel):
    """Classify whole sequences: one class each.

    Args:
        encoder: Tokens to hidden vectors.
        num_classes: `C`, 2 or more.
        dropout: Its `output_p` drops pooled features.
        hidden_size: Units of the head's hidden layer.
        hidden_p: Dropout before the last linear layer; not scaled by `drop_mult`, as published.
        bptt: Cut gradients every so many tokens; None lets them through the whole sequence.
        alpha: Weight of activation regularisation (AR).
        beta: Weight of temporal activation regularisation (TAR).
        bins: Equal stretches of a sequence whose means are pooled alongside, so that the head sees where things are.
        strands: Which strands are read, one of `gulmfit.models.both_strands.STRANDS`.
        complement: Token of the other strand for each token, `(V,)`; needed for two strands.
        gaps: Gaps of the pairs of 3-mers whose weights are added to the logits (`GappedKmers`); 0 for none.
        kmer_bases, kmer_stride, letters, num_special: Of the tokens, as of `GappedKmers`; needed with `gaps`.
    """

    kind: ClassVar[str | type] = "gulmfit.report.kinds.single_label.SingleLabel"
    head: PoolingHead

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        dropout: DropoutRates | None = None,
        hidden_size: int = 50,
        hidden_p: float = 0.1,
        bptt: int | None = None,
        alpha: float = 2.0,
        beta: float = 1.0,
        bins: int = 0,
        strands: str = "forward",
        complement: Sequence[int] | None = None,
        gaps: int = 0,
        kmer_bases: int | None = None,
        kmer_stride: int | None = None,
        letters: str = "",
        num_special: int = 0,
    ) -> None:
        super().__init__(encoder, num_classes, bptt, alpha, beta, strands, complement)
        if bins < 0:
            raise ConfigError(f"head.bins={bins}: 0 or more is needed.")
        self.bins = bins
        input_p = (dropout or DropoutRates()).output_p
        pooled = (1 if strands == "forward" else 2) * (3 + bins) * encoder.output_size
        self.head = PoolingHead(pooled, hidden_size, num_classes, input_p, hidden_p)
        canonical = strands == "symmetric"
        self.gapped_kmers = (
            GappedKmers(num_classes, gaps, kmer_bases, kmer_stride, letters, num_special, canonical) if gaps else None
        )

    def pool(self, tokens: Tensor, lengths: Tensor, frozen: int = 0) -> tuple[Tensor, Tensor]:
        """Encode and pool.

        Args:
            tokens: `(B, T)`, padded at the end.
            lengths: Real tokens of each sequence, `(B,)`, each 1 or more.
            frozen: How many of the lowest layer groups to run without a graph.

        Returns:
            Pooled features `(B, P)`, of P = (3 + bins) E for each strand that is read, first the given one, then the
            other in its own direction; and the penalty AR + TAR, 0 outside training.
        """
        if self.other_strand is not None:
            tokens = torch.cat([tokens, self.other_strand(tokens, lengths)])
            lengths = torch.cat([lengths, lengths])
        pooling = ConcatPooling(lengths, self.bins)
        penalty = torch.zeros((), device=tokens.device)
        for outputs, share in self.encoded(tokens, lengths, frozen):
            pooling.add(outputs)
            penalty = penalty + share
        pooled = pooling.result()
        return (pooled if self.other_strand is None else torch.cat(pooled.chunk(2), dim=1)), penalty

    def forward(self, tokens: Tensor, lengths: Tensor, frozen: int = 0) -> tuple[Tensor, Tensor]:
        """Return logits `(B, C)` and the penalty; arguments as in `pool`."""
        pooled, penalty = self.pool(tokens, lengths, frozen)
        return self.classify(pooled, tokens), penalty

    def classify(self, pooled: Tensor, tokens: Tensor) -> Tensor:
        """Turn pooled features `(B, P)` of tokens `(B, T)`, those of the given strand, into logits `(B, C)`."""
        logits: Tensor = self.head(pooled)
        if self.strands == "symmetric":  # what the head says of the other strand, whose features are these, swapped
            logits = (logits + self.head(torch.cat(pooled.chunk(2, dim=1)[::-1], dim=1))) / 2
        if self.gapped_kmers is not None:
            logits = logits + self.gapped_kmers(tokens).sum(1)
        return logits

    @torch.no_grad()
    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Re-estimate BatchNorm's statistics over the training set."""
        was_training = self.training
        self.eval()
        self.head.calibrate(torch.cat([self.pool(tokens, lengths)[0] for tokens, lengths in batches]))
        self.train(was_training)


class MultiLabelClassifier(SequenceClassifier):
    """Say of each label whether a sequence has it; labels do not exclude each other."""

    kind: ClassVar[str | type] = "gulmfit.report.kinds.multi_label.MultiLabel"

    def outputs(self, logits: Tensor) -> Tensor:
        """Turn logits `(B, C)` into the probability of each label."""
        return logits.sigmoid()


class SequenceRegressor(SequenceClassifier):
    """Predict measured values of whole sequences.

    The network learns standardised values; what it predicts has the units of the labels.

    Args:
        encoder, num_classes, dropout, hidden_size, hidden_p, bptt, alpha, beta, bins, strands, complement, gaps,
            kmer_bases, kmer_stride, letters, num_special: As in `SequenceClassifier`; `C` is the number of values, 1 or
            more.
        location: Mean of each value over the training part, in its units; filled in by training.
        scale: Standard deviation of each, above 0; filled in by training.
    """

    kind: ClassVar[str | type] = "gulmfit.report.kinds.regression.Regression"
    min_classes: ClassVar[int] = 1

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        dropout: DropoutRates | None = None,
        hidden_size: int = 50,
        hidden_p: float = 0.1,
        bptt: int | None = None,
        alpha: float = 2.0,
        beta: float = 1.0,
        bins: int = 0,
        strands: str = "forward",
        complement: Sequence[int] | None = None,
        gaps: int = 0,
        kmer_bases: int | None = None,
        kmer_stride: int | None = None,
        letters: str = "",
        num_special: int = 0,
        location: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
    ) -> None:
        super().__init__(
            encoder, num_classes, dropout, hidden_size, hidden_p, bptt, alpha, beta, bins, strands, complement, gaps,
            kmer_bases, kmer_stride, letters, num_special,
        )  # fmt: skip
        # Numbers, not tensors: they stand in the model's specification, whatever device or precision the weights have.
        self._location = tuple(location if location is not None else (0.0,) * num_classes)
        self._scale = tuple(scale if scale is not None else (1.0,) * num_classes)
        for name, values in (("location", self._location), ("scale", self._scale)):
            if len(values) != num_classes or not all(map(math.isfinite, values)):
                raise ConfigError(
                    f"head.{name}={values}: one finite number for each of {num_classes} values is needed."
                )
        if min(self._scale) <= 0:
            raise ConfigError(f"head.scale={self._scale}: numbers above 0 are needed.")

    @property
    def location(self) -> Tensor:
        """Mean of each value over the training part, `(C,)`."""
        return torch.tensor(self._location, dtype=torch.float64, device="cpu")

    @property
    def scale(self) -> Tensor:
        """Standard deviation of each value over the training part, `(C,)`."""
        return torch.tensor(self._scale, dtype=torch.float64, device="cpu")

    def outputs(self, logits: Tensor) -> Tensor:
        """Turn logits `(B, C)` into values in their units."""
        return logits * self.scale.to(logits) + self.location.to(logits)

    def learned(self, labels: Tensor) -> Tensor:
        """Standardise values `(B, C)`."""
        return (labels - self.location.to(labels)) / self.scale.to(labels)

    @classmethod
    def fitted(cls, labels: Tensor) -> dict[str, Any]:
        """Return `location` and `scale` of the training part's values `(N, C)`."""
        values = labels.double()
        return {"location": values.mean(0).tolist(), "scale": values.std(0, correction=0).tolist()}
