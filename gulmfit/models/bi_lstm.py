"""Recurrent layers that read a sequence both ways, with a summary of the whole at every output.

For sequences without another strand, such as proteins, where what follows a position matters as much as what precedes
it. The summary is for what holds of a whole sequence, such as its composition.

Shape letters: `B` batch, `T` tokens, `E` embedding, `H` hidden, `S` summary.
"""

from typing import cast

import torch
from torch import Tensor, nn

from gulmfit.errors import ConfigError
from gulmfit.models.awd_rnn import CELLS, RecurrentLayer
from gulmfit.models.both_strands import turn
from gulmfit.models.dropout import DropoutRates, drop_tokens

# Compositions of sequences differ by hundredths; the summary should see them from the start.
_COMPOSITION = 10.0


class BiLSTM(nn.Module):
    """Embed tokens and run recurrent layers over them from both ends.

    Padding, the token `pad_id` at the end of a row, changes nothing before it.

    Args:
        vocab_size: `V`.
        embed_size: `E`.
        hidden_size: `H` of each direction.
        num_layers: Layers of each direction, 1 or more; each reads what both directions of the layer below gave.
        summary_size: `S`, units of the summary; 0 for none.
        dropout: `embed_p` drops rows of the embedding, `input_p` its features, `hidden_p` what layers give, `weight_p`
            hidden-to-hidden weights.
        pad_id: Token of padding.
        cell: `lstm` or `gru`.

    Raises:
        ConfigError: If a size is out of range.
    """

    causal = False

    def __init__(
        self,
        vocab_size: int,
        embed_size: int = 32,
        hidden_size: int = 128,
        num_layers: int = 1,
        summary_size: int = 64,
        dropout: DropoutRates | None = None,
        pad_id: int = 0,
        cell: str = "lstm",
    ) -> None:
        super().__init__()
        if min(vocab_size, embed_size, hidden_size, num_layers) < 1 or summary_size < 0:
            raise ConfigError(
                f"arch sizes must be positive, got embed_size={embed_size}, hidden_size={hidden_size}, "
                f"num_layers={num_layers}, summary_size={summary_size} (which may be 0)."
            )
        if cell not in CELLS:
            raise ConfigError(f"arch.cell={cell!r} is unknown; choose one of {sorted(CELLS)}.")
        rates = dropout or DropoutRates()
        self.output_size, self.pad_id = 2 * hidden_size + summary_size, pad_id
        self.embedding = nn.Embedding(vocab_size, embed_size, padding_idx=pad_id)
        self.embed_p = rates.embed_p
        self.input_dropout = nn.Dropout(rates.input_p)
        self.hidden_dropout = nn.Dropout(rates.hidden_p)
        sizes = [embed_size] + [2 * hidden_size] * (num_layers - 1)
        self.ahead, self.back = (
            nn.ModuleList(RecurrentLayer(cell, size, hidden_size, rates.weight_p) for size in sizes) for _ in range(2)
        )
        self.summary = nn.Linear(embed_size + 2 * hidden_size + 1, summary_size) if summary_size else None

    def forward(self, tokens: Tensor, state: None = None, frozen: int = 0) -> tuple[Tensor, None]:
        """Encode whole sequences.

        Args:
            tokens: `(B, T)`, int, padded at the end.
            state: None; the encoder is not causal and reads a sequence at once.
            frozen: How many of the lowest layer groups to run without a graph.

        Returns:
            Outputs `(B, T, 2 H + S)`, and None.
        """
        lengths = (tokens != self.pad_id).sum(1)
        learns = torch.is_grad_enabled()
        with torch.set_grad_enabled(learns and frozen < 1):
            embedded = self.embedding(tokens)
            if self.training:
                embedded = drop_tokens(embedded, tokens, self.embedding.num_embeddings, self.embed_p)
            embedded = self.input_dropout(embedded)
        x = embedded
        for index, (ahead, back) in enumerate(self._layers()):
            with torch.set_grad_enabled(learns and frozen < index + 2):
                x = self.hidden_dropout(x) if index else x
                forward, _ = ahead(x, ahead.initial_state(len(x), x))
                backward, _ = back(turn(x, lengths), back.initial_state(len(x), x))
                x = torch.cat([forward, turn(backward, lengths)], -1)
        if self.summary is None:
            return self.hidden_dropout(x), None
        real = (tokens != self.pad_id).unsqueeze(-1)
        count = lengths.clamp_min(1).unsqueeze(1)
        composition, means = ((part.float() * real).sum(1) / count for part in (self.embedding(tokens), x))
        size = count.log() - 5.5  # exp(5.5) residues, as of a common protein
        known = torch.cat([_COMPOSITION * composition, means, size], 1)
        summary = self.summary(known).relu().unsqueeze(1).expand(-1, x.shape[1], -1)
        return self.hidden_dropout(torch.cat([x, summary.to(x.dtype)], -1)), None

    def _layers(self) -> list[tuple[RecurrentLayer, RecurrentLayer]]:
        return list(zip(*(cast("list[RecurrentLayer]", list(part)) for part in (self.ahead, self.back)), strict=True))

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return the parameters from input to output: the embedding, each layer of both directions, the summary."""
        layers = [[*ahead.parameters(), *back.parameters()] for ahead, back in self._layers()]
        if self.summary is not None:
            layers[-1] += list(self.summary.parameters())
        return [list(self.embedding.parameters()), *layers]
