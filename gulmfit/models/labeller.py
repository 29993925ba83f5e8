"""The labeller: an encoder and a head that gives every base of a sequence its class probabilities.

Shape letters: `B` batch, `T` tokens, `E` encoder outputs, `C` classes, `s` stride, `L` bases.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Self, cast

import torch
from torch import Tensor, nn

from gulmfit.errors import ConfigError
from gulmfit.models.both_strands import OtherStrand, turn
from gulmfit.models.classifier import LabelModel
from gulmfit.models.dropout import DropoutRates
from gulmfit.models.encoder import Encoder


class Labeller(LabelModel):
    """Label every base: a token owns `s` bases in the middle of its span, and gives each of them `C` logits.

    Bases before those of the first token, and after those of the last, have the logits of the nearest base that a token
    owns. So every base has exactly one owner, whatever `k` and stride are.

    Args:
        encoder: Tokens to hidden vectors; one that reads both strands knows what follows a base.
        num_classes: `C`, 2 or more.
        kmer_bases: `k`, bases of a token; None where tokens are not k-mers.
        kmer_stride: `s`; None where tokens are not k-mers.
        dropout: Its `output_p` drops features of the encoder's outputs, the same at every token of a sequence.
        hidden_size: Units of a hidden layer; 0 for none.
        bptt: Cut gradients every so many tokens; None lets them through the whole sequence.
        alpha: Weight of activation regularisation (AR).
        beta: Weight of temporal activation regularisation (TAR).
        strands: `forward`; `both`, where a base is told by what stands before it on each strand, `[forward ; reverse]`
            at every token; or `symmetric`, where a sequence and its reverse complement have the same labels, turned.
            The latter holds where `k - s` is even and the tokens reach both ends.
        complement: Token of the other strand for each token, `(V,)`; needed for two strands.
        tuned_size: Of a labeller that was tuned with `tune=head`: units of one more hidden layer, 0 for none. What
            comes before the new layers is the `trunk`. None: not tuned so.
        added_size: Values of each token that join the outputs of the trunk.

    Raises:
        ConfigError: Tokens are not k-mers, or a number is out of range.
    """

    kind: ClassVar[str | type] = "gulmfit.report.kinds.positions.PositionLabels"

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        kmer_bases: int | None,
        kmer_stride: int | None,
        dropout: DropoutRates | None = None,
        hidden_size: int = 64,
        bptt: int | None = None,
        alpha: float = 0.0,
        beta: float = 0.0,
        strands: str = "forward",
        complement: Sequence[int] | None = None,
        tuned_size: int | None = None,
        added_size: int = 0,
    ) -> None:
        super().__init__(encoder, num_classes, bptt, alpha, beta, strands, complement)
        if kmer_bases is None or kmer_stride is None:
            raise ConfigError("head=labeller gives each k-mer its bases, and sub-words have no stride: tokenizer=kmer.")
        if hidden_size < 0:
            raise ConfigError(f"head.hidden_size={hidden_size}: units of the hidden layer, or 0 for none.")
        self.k, self.stride, self.num_classes = kmer_bases, kmer_stride, num_classes
        self.dropout = nn.Dropout1d((dropout or DropoutRates()).output_p)
        size, layers = (1 if strands == "forward" else 2) * encoder.output_size, list[nn.Module]()
        if hidden_size:
            layers, size = [nn.Linear(size, hidden_size), nn.ReLU()], hidden_size
        self.trunk, self.frozen = nn.Sequential(), False
        if tuned_size is not None:
            self.trunk, layers, size = nn.Sequential(*layers), [], size + added_size
            if tuned_size:
                layers, size = [nn.Linear(size, tuned_size), nn.ReLU()], tuned_size
        self.head = nn.Sequential(*layers, nn.Linear(size, kmer_stride * num_classes))

    def freeze_trunk(self) -> None:
        """Train the new layers alone; all others stay as they are, in evaluation mode."""
        self.frozen = True
        for part in (cast("nn.Module", self.encoder), self.trunk):
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Switch to training, what is frozen excepted."""
        super().train(mode)
        for part in (cast("nn.Module", self.encoder), self.trunk, self.dropout) if self.frozen else ():
            part.eval()
        return self

    def layer_groups(self) -> list[list[nn.Parameter]]:
        trunk = list(self.trunk.parameters())
        return [*self.encoder.layer_groups(), *([trunk] if trunk else []), list(self.head.parameters())]

    def forward(self, tokens: Tensor, lengths: Tensor, frozen: int = 0) -> tuple[Tensor, Tensor]:
        """Label bases.

        Args:
            tokens: `(B, T)`, padded at the end.
            lengths: Real tokens of each sequence, `(B,)`, each 1 or more.
            frozen: How many of the lowest layer groups to run without a graph.

        Returns:
            Logits `(B, L, C)` and the penalty AR + TAR, 0 outside training. `L` is the most bases that `T` tokens can
            stand for, so that a sequence has its own at the start of a row.
        """
        if self.other_strand is None:
            found, penalty = self._through(tokens, lengths, frozen, lambda outputs: self.told(self._dropped(outputs)))
        else:
            features, penalty = self.features(tokens, lengths, frozen)
            found = self._heard(features)
        owned = found.reshape(len(tokens), -1, self.num_classes)  # (B, T s, C)
        owners = owning(self.k, self.stride, lengths, tokens.shape[1])
        return owned.gather(1, owners.unsqueeze(-1).expand(-1, -1, self.num_classes)), penalty

    def _through(
        self, tokens: Tensor, lengths: Tensor, frozen: int, change: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Encode window by window; return what `change` makes of the outputs, `(B, T, …)`, and the penalty."""
        found, penalty = [], torch.zeros((), device=tokens.device)
        for outputs, share in self.encoded(tokens, lengths, frozen):
            found.append(change(outputs))
            penalty = penalty + share
        return torch.cat(found, 1), penalty

    def _dropped(self, outputs: Tensor) -> Tensor:
        """Drop features of `(B, T, E)`, the same at every token of a sequence."""
        dropped: Tensor = self.dropout(outputs.transpose(1, 2))
        return dropped.transpose(1, 2)

    def features(self, tokens: Tensor, lengths: Tensor, frozen: int = 0) -> tuple[Tensor, Tensor]:
        """Return `[forward ; reverse]` at every token, `(B, T, 2 E)`, after dropout, and the penalty; for two strands.

        Args:
            tokens, lengths, frozen: As in `forward`.
        """
        other = cast("OtherStrand", self.other_strand)(tokens, lengths)
        twice = torch.cat([lengths, lengths])
        outputs, penalty = self._through(torch.cat([tokens, other]), twice, frozen, lambda outputs: outputs)
        forward, reverse = outputs.chunk(2)
        return self._dropped(torch.cat([forward, turn(reverse, lengths)], -1)), penalty

    def told(self, features: Tensor) -> Tensor:
        """Return `(B, T, s C)` of features."""
        found: Tensor = self.head(self.trunk(features))
        return found

    def _heard(self, features: Tensor) -> Tensor:
        """Return `(B, T, s C)` of the features of both strands."""
        found = self.told(features)
        if self.strands != "symmetric":
            return found
        other = self.told(swapped(features))
        by_base = other.reshape(*other.shape[:-1], self.stride, self.num_classes)  # its bases run the other way
        return (found + by_base.flip(2).flatten(2)) / 2


def swapped(features: Tensor) -> Tensor:
    """Return the features of the other strand, `[reverse ; forward]`, from `[forward ; reverse]` `(..., 2 E)`."""
    return torch.cat(features.chunk(2, -1)[::-1], -1)


def owning(k: int, stride: int, lengths: Tensor, num_tokens: int) -> Tensor:
    """Return which of the outputs `(T s)` each base has, `(B, L)`, of sequences of `lengths` `(B,)` tokens.

    `L` is the most bases that `T` tokens stand for: up to `stride - 1` bases at an end are in no token.
    """
    bases = torch.arange((num_tokens - 1) * stride + k + stride - 1, device=lengths.device)
    # Of the k - s bases that a token shares with its neighbours half lie before those that it owns.
    last = lengths.unsqueeze(1) * stride - 1
    return torch.minimum((bases - (k - stride) // 2).clamp_min(0).unsqueeze(0), last)
