"""The other strand of a batch of tokens, found without going back to bases.

The tokens of the reverse complement are those of the sequence, each replaced by its reverse complement, in reverse
order. So a forward encoder reads both strands with the same weights. Where a stride leaves bases over at the end of a
sequence they stay outside on both strands: what is turned is what the tokens hold.

Shape letters: `B` batch, `T` tokens, `E` encoder outputs, `V` vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gulmfit.errors import ConfigError

STRANDS = ("forward", "both", "symmetric")
"""What a classifier reads: the given strand; both, told apart; or both such that a sequence and its reverse complement
have the same answer."""


class OtherStrand(nn.Module):
    """Turn tokens into those of the other strand.

    Args:
        complement: Token of the reverse complement for each token, `(V,)`.

    Raises:
        ConfigError: Without it: proteins and sub-words have no such tokens.
    """

    def __init__(self, complement: Sequence[int] | None) -> None:
        super().__init__()
        if complement is None:
            raise ConfigError(
                "arch.strands: these tokens have no other strand, only k-mers of nucleotides do. Set "
                "arch.strands=forward."
            )
        # Neither a weight nor a buffer: it follows from the tokenizer, and is there even where weights have no numbers.
        self._table = torch.tensor(list(complement), device="cpu")

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Return the tokens of the other strand.

        Args:
            tokens: `(B, T)`, padded at the end.
            lengths: Real tokens of each sequence, `(B,)`.

        Returns:
            `(B, T)`, padded at the end as before.
        """
        if self._table.device != tokens.device:
            self._table = self._table.to(tokens.device)
        return turn(self._table[tokens.long()].unsqueeze(-1), lengths).squeeze(-1)


def turn(values: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the real positions of `(B, T, E)`; padding, at the end, stays where it is and becomes 0."""
    steps = lengths.unsqueeze(1) - 1 - torch.arange(values.shape[1], device=values.device)
    turned = values.gather(1, steps.clamp_min(0).unsqueeze(-1).expand(-1, -1, values.shape[2]))
    return turned * (steps >= 0).unsqueeze(-1)
