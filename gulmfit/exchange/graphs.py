"""Models in the form in which they are traced: one pass over all tokens, tensors in, tensors out, the same weights.

Shape letters: `B` batch, `T` tokens, `V` vocabulary, `E` embedding, `H` hidden, `C` classes, `K` knots.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gulmfit.models.classifier import ConcatPooling, SequenceClassifier
from gulmfit.models.language_model import LanguageModel

Knots = tuple[tuple[float, float], ...]

# Probabilities below it are taken for it before they are calibrated, as in gulmfit.report.calibration.
FLOOR = 1e-12


class ClassifierGraph(nn.Module):
    """Turn tokens into what a classifier predicts: probabilities of classes or labels, or values.

    `SequenceClassifier` reads long sequences window by window; here the loop is left out, since a trace would fix how
    often it runs. Pooling is the same code.

    Args:
        classifier: The model whose weights are used.
        temperature: What logits are divided by.
        knots: Where given, the isotonic map of the probability of class 1 of two, instead of a temperature.
        exclusive: Whether it predicts classes that exclude each other.
    """

    def __init__(
        self, classifier: SequenceClassifier, temperature: float = 1.0, knots: Knots = (), exclusive: bool = True
    ) -> None:
        super().__init__()
        self.classifier, self.exclusive = classifier, exclusive
        self.temperature, self.knots = temperature, knots

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Predict, `(B, C)`, from `tokens` `(B, T)`, of which the first `lengths` `(B,)` are real.

        Of classes that exclude each other these are the calibrated probabilities, and the raw ones follow.
        """
        outputs, _ = self.classifier.encoder(tokens)
        pooling = ConcatPooling(lengths)
        pooling.add(outputs)
        raw = self.classifier.outputs(self.classifier.head(pooling.result()).double())
        if not self.exclusive:
            return (raw,)
        return self.calibrated(raw).float(), raw.float()

    def calibrated(self, raw: Tensor) -> Tensor:
        """Calibrate probabilities of classes `(B, C)`."""
        if self.knots:
            positive = interpolate(raw[:, 1:], self.knots)
            return torch.cat([1 - positive, positive], 1)
        return (raw.clamp_min(FLOOR).log() / self.temperature).softmax(-1)


def interpolate(x: Tensor, knots: Knots) -> Tensor:
    """Map `x` `(B, 1)` along straight lines between knots, constant outside them, as a sum of `K - 1` ramps."""
    xs, ys = torch.tensor((*knots, knots[-1]), dtype=x.dtype).T  # the last one again: one knot has no ramp
    widths = xs.diff()
    slopes = torch.where(widths > 0, ys.diff() / widths, 0.0)
    travelled = torch.minimum(torch.maximum(x, xs[:-1]), xs[1:]) - xs[:-1]
    mapped: Tensor = ys[0] + (travelled * slopes).sum(1, keepdim=True)
    return mapped


class LanguageModelGraph(nn.Module):
    """Turn tokens and a state into log-probabilities of the next token and the state after them."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.encoder, self.head = model.encoder, model.head

    def forward(self, tokens: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        """Return log-probabilities `(B, T, V)`, -inf for what cannot follow, and the parts of the new state.

        Args:
            tokens: `(B, T)`.
            parts: The state layer by layer, `(1, B, H)` each: h and c of every LSTM, h of every GRU.
        """
        layers = self.encoder.recurrent_layers()
        size = len(parts) // len(layers)
        state = [tuple(parts[start : start + size]) for start in range(0, len(parts), size)]
        hidden, state = self.encoder(tokens, state)
        logits = F.linear(hidden, self.encoder.embedding.weight).float() + self.head.bias
        return self._log_probabilities(logits, tokens), *(part for layer in state for part in layer)

    def _log_probabilities(self, logits: Tensor, tokens: Tensor) -> Tensor:
        head = self.head
        if head.block_size is None:
            return logits.log_softmax(-1)
        kmers = (tokens - head.num_special).unsqueeze(-1)
        blocks = torch.arange(head.num_blocks)
        legal = (kmers < 0) | (blocks == kmers.clamp_min(0) % head.num_blocks)
        by_block = logits[..., head.num_special :].reshape(*tokens.shape, head.num_blocks, head.block_size)
        possible = by_block.masked_fill(~legal.unsqueeze(-1), float("-inf")).flatten(-2)
        return F.pad(possible.log_softmax(-1), (head.num_special, 0), value=float("-inf"))


def state_sizes(model: LanguageModel) -> dict[str, int]:
    """Name every part of a language model's state, in order, with its size `H`."""
    names = {}
    for index, layer in enumerate(model.encoder.recurrent_layers()):
        for letter, part in zip("hc", layer.initial_state(1, cast(Tensor, model.head.bias)), strict=False):
            names[f"{letter}{index}"] = part.shape[-1]
    return names
