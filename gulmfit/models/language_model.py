"""The language model: an encoder under a tied decoder.

Shape letters: `B` batch, `T` tokens, `N` positions of a window, `B x T`, `E` embedding.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gulmfit.errors import ConfigError
from gulmfit.models.dropout import DropoutRates, activation_penalty
from gulmfit.models.encoder import Encoder, State, encode_window, is_causal
from gulmfit.models.heads import LanguageModelHead


class LanguageModelOutput(NamedTuple):
    """What one window of a stream gives."""

    losses: Tensor
    """Nats of every position, `(N,)`; 0 where it is not scored."""
    correct: Tensor
    """Whether the most probable token was the right one, `(N,)` bool; False where it is not scored."""
    contexts: Tensor
    """The token read at every position, `(N,)`."""
    targets: Tensor
    """The token that follows it, `(N,)`."""
    scored: Tensor
    """Whether the position is scored, `(N,)` bool."""
    penalty: Tensor
    """AR plus TAR, a scalar."""
    state: State

    @property
    def loss(self) -> Tensor:
        """Nats a scored token, a scalar; 0 where no position is scored."""
        return self.losses.sum() / self.scored.sum().clamp_min(1)


class LanguageModel(nn.Module):
    """Predict every token of a stream from those before it.

    Positions whose target is a special token are not scored: the end of a contig and an ambiguous stretch say nothing
    of bases. What is scored is therefore a proper distribution over base sequences.

    Args:
        encoder: Tokens to hidden vectors.
        num_special: Tokens before the first one that spells bases.
        num_successors: k-mers that can follow a k-mer; None where any token can follow, as among sub-words.
        dropout: Its `output_p` is used here.
        legal_successors: Restrict the softmax to the k-mers that can follow.
        alpha: Weight of activation regularisation (AR).
        beta: Weight of temporal activation regularisation (TAR).

    Raises:
        ConfigError: If the encoder sees later tokens, or its outputs are not of the embedding's size.
    """

    def __init__(
        self,
        encoder: Encoder,
        num_special: int,
        num_successors: int | None = None,
        dropout: DropoutRates | None = None,
        legal_successors: bool = True,
        alpha: float = 2.0,
        beta: float = 1.0,
    ) -> None:
        super().__init__()
        name, size = type(encoder).__name__, encoder.embedding.embedding_dim
        if not is_causal(encoder):
            raise ConfigError(f"{name} reads both ways (causal = False): a language model must not see what follows.")
        if encoder.output_size != size:
            raise ConfigError(
                f"{name} has outputs of {encoder.output_size} units and an embedding of {size}: in a language "
                "model both must be the same, for the decoder is tied to the embedding."
            )
        self.encoder = encoder
        self.num_special = num_special
        self.alpha, self.beta = alpha, beta
        block_size = num_successors if legal_successors else None
        self.head = LanguageModelHead(
            encoder.embedding.num_embeddings, num_special, block_size, (dropout or DropoutRates()).output_p
        )

    def forward(self, tokens: Tensor, targets: Tensor, state: State = None) -> LanguageModelOutput:
        """Score a window.

        Args:
            tokens: `(B, T)`.
            targets: The next token at every position, `(B, T)`.
            state: The encoder's state after the window before; None at the start of a stream.
        """
        hidden, state = encode_window(self.encoder, tokens, state)
        contexts, targets = tokens.flatten(), targets.flatten()
        dropped = self.head.dropout(hidden.transpose(1, 2)).transpose(1, 2).flatten(0, 1)
        losses, correct = self.head.token_losses(self.encoder.embedding.weight, dropped, contexts, targets)
        penalty = activation_penalty(hidden, None, self.alpha, self.beta) if self.training else losses.new_zeros(())
        return LanguageModelOutput(losses, correct, contexts, targets, targets >= self.num_special, penalty, state)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return the parameters from input to output; the embedding is the decoder's too and so comes last."""
        embedding, *layers = self.encoder.layer_groups()
        return [*layers, [*embedding, self.head.bias]]


@torch.no_grad()
def initialise_bias(model: LanguageModel, counts: Tensor) -> None:
    """Set the decoder's bias to the log-frequency of every token, so that training starts at the unigram model.

    Args:
        model: The language model.
        counts: How often every token of the vocabulary occurs in the training corpus, `(V,)`.
    """
    model.head.bias.copy_(log_frequencies(counts))


def log_frequencies(counts: Tensor) -> Tensor:
    """Return the log-frequency of every token around their mean, `(V,)`, half a token added to each count."""
    frequencies = (counts.double() + 0.5) / (counts.double() + 0.5).sum()
    return frequencies.log() - frequencies.log().mean()
