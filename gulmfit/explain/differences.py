"""Versions of sequences through an AWD-LSTM as differences from the sequences: products of differences in bf16.

A layer's gates of a version are those of the sequence, which are known in 32 bits, and what the difference of the
layer's inputs adds. That alone is multiplied, and rounding it to bf16 costs a share of the difference: a small effect
is as good to its own size as a large one. Where whole states are rounded, all effects are off by thousandths alike.

Shape letters: `P` originals, `R` versions of them, `T` tokens, `E` encoder outputs, `H` hidden, `S` gates of all units.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gulmfit.models.awd_rnn import AWDRNN, RecurrentLayer
from gulmfit.models.encoder import Encoder

# Longer sequences would need too much memory for what is kept of them; narrower layers gain nothing.
LONGEST, NARROWEST = 2048, 128


class _Layer(NamedTuple):
    """What one layer makes of the originals, token by token."""

    gates: Tensor
    """Before the sigmoid, `(T, P, S)`; those of the cell doubled, since tanh(x) = 2 sigmoid(2 x) - 1."""
    hidden: Tensor
    """`(T, P, H)`."""
    cells: Tensor
    """Before each token, `(T, P, H)`."""
    weight: Tensor
    """Of differences: of the layer below, of the first layer none, then of its own; `(…, S)`, bf16."""


def can_differ(encoder: Encoder, tokens: Tensor) -> bool:
    """Whether differences can be followed through an encoder, for tokens `(P, T)`."""
    if not isinstance(encoder, AWDRNN) or tokens.device.type != "cpu" or tokens.shape[1] > LONGEST:
        return False
    layers = encoder.recurrent_layers()
    return all(layer.kind == "lstm" for layer in layers) and layers[0].rnn.hidden_size >= NARROWEST


class Differences:
    """Reads versions of sequences.

    Args:
        encoder: As `can_differ` wants it.
        originals: Tokens of the sequences, `(P, T)`.
        versions: Tokens of all versions that will be read.
    """

    def __init__(self, encoder: AWDRNN, originals: Tensor, versions: Tensor) -> None:
        self.tokens = originals
        layers = encoder.recurrent_layers()
        # What each token that occurs adds to the gates of the first layer.
        known = torch.cat([originals.flatten(), versions.flatten()]).bincount().nonzero().squeeze(-1)
        self.place = torch.zeros(encoder.embedding.num_embeddings, dtype=torch.int64)
        self.place[known] = torch.arange(len(known))
        self.added = encoder.embedding(known) @ _doubled(layers[0].rnn, "weight_ih_l0").t()
        self.layers: list[_Layer] = []
        below = encoder.embedding(originals).transpose(0, 1)
        for number, layer in enumerate(layers):
            self.layers.append(_followed(layer, below, first=not number))
            below = self.layers[-1].hidden

    def originals(self, start: int, end: int) -> Tensor:
        """Return the outputs of the sequences at tokens `[start, end)`, `(P, …, E)`."""
        return self.layers[-1].hidden[start:end].transpose(0, 1)

    def versions(self, tokens: Tensor, parents: Tensor, start: int) -> Iterator[Tensor]:
        """Yield outputs `(R, T - start, E)` of versions `(R, T)` that are their parents `(R,)` before a token."""
        size, steps = len(tokens), tokens.shape[1]
        if start == steps:
            return
        # Where each parent has as many versions, one after another, what is known of it is read once for all of them.
        each = int((parents == parents[0]).sum())
        if size % each or not torch.equal(parents[::each].repeat_interleave(each), parents):
            each = 1
        heads = parents[::each]
        whole = torch.equal(heads, torch.arange(len(self.tokens)))

        def spread(known: Tensor) -> Tensor:
            return (known if whole else known.index_select(0, heads)).unsqueeze(1)

        cells = [layer.cells[start].index_select(0, parents) for layer in self.layers]
        gates = [part.new_empty(size, 4 * part.shape[1]) for part in cells]
        products = [part.to(torch.bfloat16) for part in gates]
        # Differences of all layers lie side by side: each layer reads its own of before, and those of the one below.
        edges = [0, *itertools.accumulate(part.shape[1] for part in cells)]
        differences = products[0].new_zeros(size, edges[-1])
        before = self.tokens[parents]
        changed = (tokens != before).any(0).tolist()
        outputs = cells[-1].new_empty(size, steps - start, cells[-1].shape[1])
        for step in range(start, steps):
            for number, layer in enumerate(self.layers):
                cell, gate, end = cells[number], gates[number], edges[number + 1]
                torch.mm(differences[:, end - len(layer.weight) : end], layer.weight, out=products[number])
                by_parent = gate.view(len(heads), each, -1)
                by_parent.copy_(products[number].view_as(by_parent)).add_(spread(layer.gates[step]))
                if not number and changed[step]:
                    gate += self.added[self.place[tokens[:, step]]] - self.added[self.place[before[:, step]]]
                into, kept, new, out = gate.sigmoid_().chunk(4, 1)
                cell.mul_(kept).addcmul_(into, new, value=2).sub_(into)
                hidden = cell.tanh().mul_(out)
                if number == len(self.layers) - 1:
                    outputs[:, step - start] = hidden
                hidden.view(len(heads), each, -1).sub_(spread(layer.hidden[step]))
                differences[:, edges[number] : end] = hidden
        yield outputs


def _doubled(rnn: nn.LSTM | nn.GRU, name: str) -> Tensor:
    """Return weights or biases with those of the new cell content doubled."""
    weight: Tensor = getattr(rnn, name).clone()
    weight[2 * rnn.hidden_size : 3 * rnn.hidden_size] *= 2
    return weight


def _followed(layer: RecurrentLayer, below: Tensor, *, first: bool) -> _Layer:
    """Run a layer over the outputs of the one below, `(T, P, …)`, and keep what it computes."""
    rnn = layer.rnn
    weight_ih, weight_hh, *biases = (
        _doubled(rnn, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    gates = below @ weight_ih.t() + sum(biases)
    hidden = gates.new_zeros(len(gates) + 1, gates.shape[1], rnn.hidden_size)
    cells = torch.zeros_like(hidden)
    for step, gate in enumerate(gates):
        gate += hidden[step] @ weight_hh.t()
        into, kept, new, out = gate.sigmoid().chunk(4, 1)
        cells[step + 1] = cells[step] * kept + into * (2 * new - 1)
        hidden[step + 1] = cells[step + 1].tanh() * out
    parts = [weight_hh] if first else [weight_ih, weight_hh]
    return _Layer(gates, hidden[1:], cells[:-1], torch.cat(parts, 1).t().contiguous().to(torch.bfloat16))
