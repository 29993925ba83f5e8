"""The AWD-LSTM encoder: an embedding and a stack of recurrent layers with every regulariser of the paper.

Shape letters: `B` batch, `T` tokens, `V` vocabulary, `E` embedding, `H` hidden.

With all dropout rates 0 the encoder equals a plain `nn.LSTM` (or `nn.GRU`) stack exactly. The recurrent state is an
argument and a return value, never hidden in a buffer: it can be detached, stored, or differ between ranks.

Source: Merity, Keskar & Socher 2018; sizes after Howard & Ruder 2018. Here 1152 instead of 1150, a multiple of 8.
"""

import copy
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gulmfit.errors import ConfigError
from gulmfit.models.dropout import DropoutRates, drop_tokens

LayerStates = list[tuple[Tensor, ...]]
"""For every layer its `(h, c)` (LSTM) or `(h,)` (GRU), each `(1, B, H)`."""


LARGEST_DEPTH = 64
CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentLayer(nn.Module):
    """One forward-only LSTM or GRU layer with DropConnect on its hidden-to-hidden weights.

    The parameters are an ordinary `nn.LSTM`'s and so is the kernel: dropped weights are handed to torch's functional
    recurrent call, which keeps the vendor library's fast path and leaves the parameters themselves alone.
    """

    def __init__(self, kind: str, input_size: int, hidden_size: int, weight_p: float) -> None:
        super().__init__()
        self.kind = kind
        self.rnn = CELLS[kind](input_size, hidden_size, batch_first=True)
        self.weight_p = weight_p
        # What `gulmfit.models.precision` finds out about the kernel on this machine: whether autocast may apply, and
        # how many idle units make a width at which it is right.
        self.reduced_precision = True
        self.idle_units = 0

    def initial_state(self, batch_size: int, like: Tensor) -> tuple[Tensor, ...]:
        """Return zeros: `(h, c)` for an LSTM, `(h,)` for a GRU."""
        shape = (1, batch_size, self.rnn.hidden_size)
        return tuple(like.new_zeros(shape) for _ in range(2 if self.kind == "lstm" else 1))

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run `x` `(B, T, input)` from `state`; return outputs `(B, T, H)` and the state after the last position."""
        rnn: Any = self.rnn
        weight_hh = F.dropout(rnn.weight_hh_l0, self.weight_p, self.training)
        weights = [rnn.weight_ih_l0, weight_hh, rnn.bias_ih_l0, rnn.bias_hh_l0]
        device, units = x.device.type, 0
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device) if self.reduced_precision else torch.float32
            x, weights = x.to(dtype), [weight.to(dtype) for weight in weights]
            units = self.idle_units
        state = tuple(F.pad(part.to(x.dtype), (0, units)) for part in state)
        if units:
            weights = with_idle_units(weights, rnn.hidden_size, units)
        if device == "cuda":
            weights = in_one_piece(weights)
        options = (True, 1, 0.0, self.training, False, True)
        # Everything is in the precision it should have: autocast must not choose again inside the call.
        with torch.autocast(device, enabled=False):
            if self.kind == "lstm":
                out, *state_after = torch.lstm(x, state, weights, *options)
            else:
                out, *state_after = torch.gru(x, state[0], weights, *options)
        size = rnn.hidden_size
        return out[..., :size], tuple(part[..., :size] for part in state_after)


def with_idle_units(weights: list[Tensor], hidden_size: int, units: int) -> list[Tensor]:
    """Widen a layer by units whose weights are all zero: they stay at zero and nobody listens to them.

    Args:
        weights: Input, hidden, and two bias weights of a recurrent layer, gates stacked along the first axis.
        hidden_size: Units of the layer, `H`.
        units: Units to add to each gate.
    """
    matrix_ih, matrix_hh, *biases = (weight.view(-1, hidden_size, *weight.shape[1:]) for weight in weights)
    wider = [
        F.pad(matrix_ih, (0, 0, 0, units)),
        F.pad(matrix_hh, (0, units, 0, units)),
        *(F.pad(bias, (0, units)) for bias in biases),
    ]
    return [weight.flatten(0, 1) for weight in wider]


def in_one_piece(weights: list[Tensor]) -> list[Tensor]:
    """Lay the weights of a layer end to end in memory, as cuDNN wants them: it then need not gather them itself."""
    sizes = [weight.numel() for weight in weights]
    pieces = torch.split(torch.cat([weight.flatten() for weight in weights]), sizes)
    return [piece.view_as(weight) for piece, weight in zip(pieces, weights, strict=True)]


class AWDRNN(nn.Module):
    """Embed tokens and run them through regularised recurrent layers.

    Layer sizes are `E -> H -> ... -> H -> E`: the last layer returns to the embedding's size so that the decoder can be
    tied to it.

    Args:
        vocab_size: `V`.
        embed_size: `E`, also the size of the outputs.
        hidden_size: `H` of every layer but the last.
        num_layers: Recurrent layers, 1 or more.
        dropout: The five rates; all 0 by default.
        pad_id: Token of padding; its embedding starts at zero.
        token_bases: Bases of every token, `(V, k)`: codes, -1 after its last and throughout a special token; None where
            tokens have no spelling.
        spelled: Start the embedding from the spelling of the tokens (see `reset_parameters`).
        cell: `lstm` or `gru`.

    Raises:
        ConfigError: If a size is not positive, there are too many layers, or the cell is unknown.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_size: int = 400,
        hidden_size: int = 1152,
        num_layers: int = 3,
        dropout: DropoutRates | None = None,
        pad_id: int = 0,
        token_bases: Tensor | None = None,
        spelled: bool = True,
        cell: str = "lstm",
    ) -> None:
        super().__init__()
        if min(vocab_size, embed_size, hidden_size, num_layers) < 1:
            raise ConfigError(
                f"arch sizes must be positive, got vocab_size={vocab_size}, embed_size={embed_size}, "
                f"hidden_size={hidden_size}, num_layers={num_layers}."
            )
        if num_layers > LARGEST_DEPTH:
            raise ConfigError(f"arch.num_layers={num_layers}: {LARGEST_DEPTH} is the most.")
        if cell not in CELLS:
            raise ConfigError(f"arch.cell={cell!r} is unknown; choose one of {sorted(CELLS)}.")
        rates = dropout or DropoutRates()
        self.embed_size = embed_size
        self.output_size = embed_size
        self.embedding = nn.Embedding(vocab_size, embed_size, padding_idx=pad_id)
        self.embed_p = rates.embed_p
        self.input_dropout = nn.Dropout1d(rates.input_p)
        self.hidden_dropout = nn.Dropout1d(rates.hidden_p)
        sizes = [embed_size] + [hidden_size] * (num_layers - 1) + [embed_size]
        self.layers = nn.ModuleList(
            RecurrentLayer(cell, sizes[i], sizes[i + 1], rates.weight_p) for i in range(num_layers)
        )
        self.reset_parameters(token_bases if spelled else None)

    def reset_parameters(self, token_bases: Tensor | None = None) -> None:
        """Draw fresh weights.

        Recurrent layers start as in torch, uniform within `1/sqrt(H)`. The published embedding is uniform noise, in
        which all k-mers are equally strange to each other; from there training sits on a plateau, at what the
        decoder's bias alone knows, until it has found out which k-mers share bases. Here, with `token_bases`, a k-mer
        starts as the sum of one random vector for each base at each position, plus a little noise of its own: k-mers
        that share bases start close. Sub-words are spelled the same way: those that begin alike start close, and a
        short one as far from the origin as a long one. The scale, a standard deviation of 0.3, learned E. coli faster
        than 0.1.
        """
        with torch.no_grad():
            weight = self.embedding.weight
            nn.init.uniform_(weight, -0.1, 0.1)
            if token_bases is not None:
                spelled = token_bases[:, 0] >= 0
                there = (token_bases[spelled] >= 0).unsqueeze(-1)
                letters = F.one_hot(token_bases[spelled].clamp_min(0), int(token_bases.max()) + 1) * there
                # The sum of fewer vectors is shorter.
                scale = (there.shape[1] / there.sum(1)).sqrt().to(weight)
                letters = letters.flatten(1).to(weight) * scale
                vectors = letters @ torch.randn(letters.shape[1], weight.shape[1])
                vectors = vectors - vectors.mean(0)
                weight[spelled] = 0.3 * (vectors / vectors.std() + 0.2 * torch.randn_like(vectors))
            weight[self.embedding.padding_idx].zero_()
        for layer in self.recurrent_layers():
            layer.rnn.reset_parameters()

    def recurrent_layers(self) -> list[RecurrentLayer]:
        """Return the recurrent layers, input to output."""
        return cast("list[RecurrentLayer]", list(self.layers))

    def initial_state(self, batch_size: int) -> LayerStates:
        """Return the zero state for `batch_size` sequences."""
        return [layer.initial_state(batch_size, self.embedding.weight) for layer in self.recurrent_layers()]

    def forward(self, tokens: Tensor, state: LayerStates | None = None, frozen: int = 0) -> tuple[Tensor, LayerStates]:
        """Encode tokens.

        Args:
            tokens: `(B, T)`, int.
            state: State after the tokens before these; None for zeros.
            frozen: How many of the lowest layer groups (embedding, then each recurrent layer) to run without a graph.

        Returns:
            Outputs of the last layer, undropped, `(B, T, E)`, and the new state.
        """
        if state is None:
            state = self.initial_state(tokens.shape[0])
        with torch.set_grad_enabled(torch.is_grad_enabled() and frozen < 1):
            x = self.embedding(tokens)
            if self.training:
                x = drop_tokens(x, tokens, self.embedding.num_embeddings, self.embed_p)
            x = self.input_dropout(x.transpose(1, 2)).transpose(1, 2)  # one mask of features a sequence
        new_state: LayerStates = []
        for index, layer in enumerate(self.recurrent_layers()):
            with torch.set_grad_enabled(torch.is_grad_enabled() and frozen < index + 2):
                if index:
                    x = self.hidden_dropout(x.transpose(1, 2)).transpose(1, 2)
                x, layer_state = layer(x, state[index])
            new_state.append(layer_state)
        return x, new_state

    @property
    def depth(self) -> int:
        """Recurrent layers."""
        return len(self.layers)

    def up_to(self, layer: int) -> Self:
        """Return the encoder up to one of its layers, 0 for the embedding alone; weights are shared."""
        part = copy.copy(self)
        part._modules = {**self._modules, "layers": self.layers[:layer]}
        part.output_size = self.recurrent_layers()[layer - 1].rnn.hidden_size if layer else self.embed_size
        return part

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return the parameters from input to output: the embedding, then one group for each recurrent layer."""
        return [list(self.embedding.parameters()), *(list(layer.parameters()) for layer in self.layers)]
