"""The sequence classifier: an encoder, concat pooling over real tokens, and a small head.

Shape letters: `B` batch, `T` tokens, `E` encoder outputs, `C` classes.

Source: Howard & Ruder 2018, "Universal Language Model Fine-tuning for Text Classification", section 3.3. Unlike the
published runs, pooling never sees padding and gradients flow through the whole sequence unless `bptt` cuts them.
"""

import torch
from torch import Tensor, nn

from gulmfit.errors import ConfigError
from gulmfit.models.awd_rnn import AWDRNN, detach
from gulmfit.models.dropout import DropoutRates, activation_penalty

# Positions encoded at a time outside training: memory no longer grows with the length of a sequence.
EVALUATION_WINDOW = 2048


class ConcatPooling:
    """Running [last, max, mean] over the real tokens of a batch, fed window by window."""

    def __init__(self, lengths: Tensor) -> None:
        self.lengths = lengths
        self.seen = 0
        self.last: Tensor | None = None
        self.maximum: Tensor | None = None
        self.total: Tensor | None = None

    def add(self, outputs: Tensor) -> Tensor:
        """Take the outputs of the next window `(B, T, E)`; return which of its positions are real, `(B, T)`."""
        outputs = outputs.float()
        steps = torch.arange(self.seen, self.seen + outputs.shape[1], device=outputs.device)
        mask = steps < self.lengths.unsqueeze(1)
        real = mask.unsqueeze(-1)
        is_last = (steps == self.lengths.unsqueeze(1) - 1).unsqueeze(-1)
        last = (outputs * is_last).sum(1)
        maximum = outputs.masked_fill(~real, float("-inf")).amax(1)
        total = (outputs * real).sum(1)
        if self.last is None or self.maximum is None or self.total is None:
            self.last, self.maximum, self.total = last, maximum, total
        else:
            self.last, self.total = self.last + last, self.total + total
            self.maximum = torch.maximum(self.maximum, maximum)
        self.seen += outputs.shape[1]
        return mask

    def result(self) -> Tensor:
        """Return `(B, 3E)`."""
        if self.last is None or self.maximum is None or self.total is None:
            raise ConfigError("nothing was pooled: a batch needs at least one token.")
        return torch.cat([self.last, self.maximum, self.total / self.lengths.unsqueeze(1)], dim=1)


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
        """Turn pooled features `(B, 3E)` into logits `(B, C)`."""
        logits: Tensor = self.layers(pooled)
        return logits

    @torch.no_grad()
    def calibrate(self, pooled: Tensor) -> None:
        """Set the running statistics to those of the training set's pooled features `(N, 3E)`.

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


class SequenceClassifier(nn.Module):
    """Classify whole sequences.

    Args:
        encoder: Tokens to hidden vectors.
        num_classes: `C`, 2 or more.
        dropout: Its `output_p` drops pooled features.
        hidden_size: Units of the head's hidden layer.
        hidden_p: Dropout before the last linear layer; not scaled by `drop_mult`, as published.
        bptt: Cut gradients every so many tokens; None lets them through the whole sequence.
        alpha: Weight of activation regularisation (AR).
        beta: Weight of temporal activation regularisation (TAR).
    """

    def __init__(
        self,
        encoder: AWDRNN,
        num_classes: int,
        dropout: DropoutRates | None = None,
        hidden_size: int = 50,
        hidden_p: float = 0.1,
        bptt: int | None = None,
        alpha: float = 2.0,
        beta: float = 1.0,
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise ConfigError(f"a classifier needs 2 classes or more, got {num_classes}.")
        if bptt is not None and bptt < 1:
            raise ConfigError(f"head.bptt={bptt}: give 1 token or more, or null for the whole sequence.")
        self.encoder = encoder
        self.bptt = bptt
        self.alpha, self.beta = alpha, beta
        input_p = (dropout or DropoutRates()).output_p
        self.head = PoolingHead(3 * encoder.output_size, hidden_size, num_classes, input_p, hidden_p)

    def pool(self, tokens: Tensor, lengths: Tensor, frozen: int = 0) -> tuple[Tensor, Tensor]:
        """Encode and pool.

        Args:
            tokens: `(B, T)`, padded at the end.
            lengths: Real tokens of each sequence, `(B,)`, each 1 or more.
            frozen: How many of the lowest layer groups to run without a graph.

        Returns:
            Pooled features `(B, 3E)` and the penalty AR + TAR, 0 outside training.
        """
        window = (self.bptt or tokens.shape[1]) if self.training else EVALUATION_WINDOW
        pooling = ConcatPooling(lengths)
        penalty = torch.zeros((), device=tokens.device)
        state = None
        for start in range(0, tokens.shape[1], window):
            part = tokens[:, start : start + window]
            outputs, state = self.encoder(part, state, frozen)
            mask = pooling.add(outputs)
            if self.training:
                state = detach(state)
                share = mask.sum() / lengths.sum()
                penalty = penalty + share * activation_penalty(outputs, mask, self.alpha, self.beta)
        return pooling.result(), penalty

    def forward(self, tokens: Tensor, lengths: Tensor, frozen: int = 0) -> tuple[Tensor, Tensor]:
        """Return logits `(B, C)` and the penalty; arguments as in `pool`."""
        pooled, penalty = self.pool(tokens, lengths, frozen)
        return self.head(pooled), penalty

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return the parameters from input to output: embedding, recurrent layers, head."""
        return [*self.encoder.layer_groups(), list(self.head.parameters())]
