"""The regularisers of AWD-LSTM, but for those that torch has.

Variational dropout, the same features at every position of a sequence, is `nn.Dropout1d` over `(B, E, T)`; DropConnect
is `F.dropout` of a weight matrix.

Shape letters: `B` batch, `T` tokens, `V` vocabulary, `E` embedding, `H` hidden.

Source: Merity, Keskar & Socher 2018, "Regularizing and Optimizing LSTM Language Models", sections 2 and 4; variational
masks after Gal & Ghahramani 2016.
"""

from dataclasses import dataclass, fields

from torch import Tensor
from torch.nn import functional as F

from gulmfit.errors import ConfigError


@dataclass(frozen=True)
class DropoutRates:
    """The five dropout rates of AWD-LSTM, each a probability in [0, 1).

    Args:
        embed_p: Rows of the embedding matrix (whole k-mers) for a whole batch.
        input_p: Features of the embedded tokens, one mask a sequence.
        weight_p: Single entries of the hidden-to-hidden matrices (DropConnect).
        hidden_p: Features between two recurrent layers, one mask a sequence.
        output_p: Language model: features before the decoder, one mask a sequence. Classifier: pooled features.
        drop_mult: One factor on all five.

    Raises:
        ConfigError: If a rate times `drop_mult` leaves [0, 1).
    """

    embed_p: float = 0.0
    input_p: float = 0.0
    weight_p: float = 0.0
    hidden_p: float = 0.0
    output_p: float = 0.0
    drop_mult: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name == "drop_mult":
                continue
            rate = getattr(self, field.name) * self.drop_mult
            if not 0.0 <= rate < 1.0:
                raise ConfigError(
                    f"dropout {field.name}={getattr(self, field.name)} times drop_mult={self.drop_mult} is {rate:g}; "
                    "a dropout rate lies in [0, 1). Lower drop_mult or the rate."
                )
            object.__setattr__(self, field.name, rate)
        object.__setattr__(self, "drop_mult", 1.0)


def drop_tokens(embedded: Tensor, tokens: Tensor, vocab_size: int, p: float) -> Tensor:
    """Drop rows of an embedding, whole k-mers, for a whole batch; survivors are scaled.

    Args:
        embedded: `(B, T, E)`.
        tokens: `(B, T)`, which they embed.
        vocab_size: `V`.
        p: Share of the rows.
    """
    # Masking the looked-up rows equals masking the matrix and touches B x T rows instead of V.
    return embedded * F.embedding(tokens, F.dropout(embedded.new_ones(vocab_size, 1), p))


def activation_penalty(outputs: Tensor, mask: Tensor | None, alpha: float, beta: float) -> Tensor:
    """Return AR plus TAR of the last recurrent layer's undropped output.

    AR is `alpha` times the mean square, TAR `beta` times the mean square of the difference of neighbouring positions.

    Args:
        outputs: `(B, T, E)`.
        mask: `(B, T)`, True where a token is real; None when all are.
        alpha: Weight of activation regularisation.
        beta: Weight of temporal activation regularisation.

    Source: Merity et al. 2018, section 4.3. As in the published runs AR is taken without the dropout mask.
    """
    outputs = outputs.float()
    penalty = outputs.new_zeros(())
    if alpha:
        penalty = penalty + alpha * _masked_mean_square(outputs, mask)
    if beta and outputs.shape[1] > 1:
        steps = outputs[:, 1:] - outputs[:, :-1]
        penalty = penalty + beta * _masked_mean_square(steps, None if mask is None else mask[:, 1:])
    return penalty


def _masked_mean_square(x: Tensor, mask: Tensor | None) -> Tensor:
    squares = x.square()
    if mask is None:
        return squares.mean()
    weights = mask.unsqueeze(-1).to(squares.dtype)
    return (squares * weights).sum() / (weights.sum() * x.shape[-1]).clamp_min(1.0)
