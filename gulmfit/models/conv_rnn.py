"""A convolution below recurrent layers: for labels alone, where no language model has learned the words beforehand.

Shape letters: `B` batch, `T` tokens, `W` windows of the pooling, `E` embedding, `F` filters, `H` hidden.

Sources: Quang & Xie 2016, "DanQ" (convolution, pooling, recurrent layer). Here tokens may be k-mers, the recurrent
layers read forward only, since a classifier reads both strands if asked (`arch.strands`), and nothing is normalised
within the encoder: on three of three development sets batch and layer normalisation gained nothing.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gulmfit.errors import ConfigError
from gulmfit.models.awd_rnn import CELLS, RecurrentLayer
from gulmfit.models.dropout import DropoutRates, drop_tokens


class ConvRNN(nn.Module):
    """Embed tokens, convolve, pool neighbouring tokens, and run recurrent layers over what is left.

    Every token of a pooling window has the outputs of its window, so outputs are as many as tokens. Padding, the token
    `pad_id` at the end of a row, adds nothing to the windows before it.

    Args:
        vocab_size: `V`.
        embed_size: `E`.
        filters: `F`.
        width: Tokens that a filter sees, odd.
        pool: Tokens of a pooling window, whose maximum is taken.
        hidden_size: `H` of every recurrent layer, also the size of the outputs; without layers that is `F`.
        num_layers: Recurrent layers, 0 or more.
        dropout: `embed_p` drops rows of the embedding, `input_p` its features, `hidden_p` what the convolution gives,
            `weight_p` hidden-to-hidden weights.
        pad_id: Token of padding.
        cell: `lstm` or `gru`.

    Raises:
        ConfigError: If a size is out of range.
    """

    causal = False

    def __init__(
        self,
        vocab_size: int,
        embed_size: int = 64,
        filters: int = 128,
        width: int = 9,
        pool: int = 3,
        hidden_size: int = 64,
        num_layers: int = 1,
        dropout: DropoutRates | None = None,
        pad_id: int = 0,
        cell: str = "lstm",
    ) -> None:
        super().__init__()
        if min(vocab_size, embed_size, filters, width, pool, hidden_size) < 1 or num_layers < 0 or width % 2 == 0:
            raise ConfigError(
                f"arch sizes must be positive and arch.width odd, got embed_size={embed_size}, filters={filters}, "
                f"width={width}, pool={pool}, hidden_size={hidden_size}, num_layers={num_layers}."
            )
        if cell not in CELLS:
            raise ConfigError(f"arch.cell={cell!r} is unknown; choose one of {sorted(CELLS)}.")
        rates = dropout or DropoutRates()
        self.output_size = hidden_size if num_layers else filters
        self.pad_id, self.pool = pad_id, pool
        self.embedding = nn.Embedding(vocab_size, embed_size, padding_idx=pad_id)
        self.embed_p = rates.embed_p
        self.input_dropout = nn.Dropout(rates.input_p)
        self.convolution = nn.Conv1d(embed_size, filters, width, padding=width // 2)
        self.hidden_dropout = nn.Dropout(rates.hidden_p)
        self.between_layers = nn.Dropout1d(rates.hidden_p)
        sizes = [filters] + [hidden_size] * num_layers
        self.layers = nn.ModuleList(
            RecurrentLayer(cell, sizes[i], sizes[i + 1], rates.weight_p) for i in range(num_layers)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw fresh weights: a normal embedding of standard deviation 0.3, torch's own start for the rest."""
        with torch.no_grad():
            nn.init.normal_(self.embedding.weight, std=0.3)
            self.embedding.weight[self.embedding.padding_idx].zero_()
        self.convolution.reset_parameters()
        for layer in cast("list[RecurrentLayer]", list(self.layers)):
            layer.rnn.reset_parameters()

    def forward(self, tokens: Tensor, state: None = None, frozen: int = 0) -> tuple[Tensor, None]:
        """Encode whole sequences.

        Args:
            tokens: `(B, T)`, int, padded at the end.
            state: None; the encoder is not causal and reads a sequence at once.
            frozen: How many of the lowest layer groups to run without a graph.

        Returns:
            Outputs `(B, T, H)`, and None.
        """
        groups = iter(range(len(self.layers) + 2))
        learns = torch.is_grad_enabled()
        with torch.set_grad_enabled(learns and frozen <= next(groups)):
            embedded = None if self._is_folded else self.embedding(tokens)
            if embedded is not None and self.training:
                embedded = drop_tokens(embedded, tokens, self.embedding.num_embeddings, self.embed_p)
                embedded = self.input_dropout(embedded)
        with torch.set_grad_enabled(learns and frozen <= next(groups)):
            x = self._folded(tokens) if embedded is None else self.convolution(embedded.transpose(1, 2))
            x = F.relu(x)
            # The maximum of a window with padding is that of its real tokens: after ReLU nothing is below 0.
            x = x * (tokens != self.pad_id).unsqueeze(1)
            x = F.max_pool1d(x, self.pool, ceil_mode=True) if self.pool > 1 else x
            x = self.hidden_dropout(x.transpose(1, 2))  # (B, W, F)
        for index, layer in enumerate(cast("list[RecurrentLayer]", list(self.layers))):
            with torch.set_grad_enabled(learns and frozen <= next(groups)):
                x = self.between_layers(x.transpose(1, 2)).transpose(1, 2) if index else x
                x, _ = layer(x, layer.initial_state(x.shape[0], x))
        return x.repeat_interleave(self.pool, 1)[:, : tokens.shape[1]], None

    @property
    def _is_folded(self) -> bool:
        """Whether the embedding is skipped: nothing is learned, and its features are more than there are tokens."""
        num_tokens, embed_size = self.embedding.weight.shape
        return not self.training and not torch.is_grad_enabled() and num_tokens <= embed_size

    def _folded(self, tokens: Tensor) -> Tensor:
        """Convolve tokens `(B, T)` as indicators, with the embedding folded into the filters; `(B, F, T)`.

        The same numbers but for rounding, in a third of the time for 2-mers.
        """
        filters = torch.einsum("ve,few->fvw", self.embedding.weight, self.convolution.weight)
        indicators = torch.eye(filters.shape[1], dtype=filters.dtype, device=tokens.device)[tokens]
        return F.conv1d(indicators.transpose(1, 2), filters, self.convolution.bias, padding=self.convolution.padding)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return the parameters from input to output: the embedding, the convolution, each recurrent layer."""
        return [
            list(self.embedding.parameters()),
            list(self.convolution.parameters()),
            *(list(layer.parameters()) for layer in self.layers),
        ]
