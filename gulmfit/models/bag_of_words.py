"""Words without their order: what is left of a sequence is the mean of its words' vectors.

For many classes that differ by the words they hold, as genera by their 16S genes: each class has few sequences, which
cannot teach a recurrent network what the order of words means.

Shape letters: `B` batch, `T` tokens, `E` embedding.

Source: Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification"; here words overlap, and means may be
brought to one length, as rows of counts are before linear models learn them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gulmfit.errors import ConfigError
from gulmfit.models.dropout import DropoutRates, drop_tokens


class BagOfWords(nn.Module):
    """Embed tokens; every output is the mean of the vectors of all tokens of its sequence.

    Args:
        vocab_size: `V`.
        embed_size: `E`, also the size of the outputs.
        dropout: `embed_p` drops rows of the embedding, `input_p` its features.
        pad_id: Token of padding.
        normalize: Bring each mean to the length √E: only its direction is left.

    Raises:
        ConfigError: If a size is out of range.
    """

    causal = False

    def __init__(
        self,
        vocab_size: int,
        embed_size: int = 128,
        dropout: DropoutRates | None = None,
        pad_id: int = 0,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        if min(vocab_size, embed_size) < 1:
            raise ConfigError(f"arch sizes must be positive, got embed_size={embed_size}.")
        rates = dropout or DropoutRates()
        self.output_size, self.pad_id, self.normalize = embed_size, pad_id, normalize
        self.embedding = nn.Embedding(vocab_size, embed_size, padding_idx=pad_id)
        self.embed_p = rates.embed_p
        self.input_dropout = nn.Dropout(rates.input_p)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw fresh vectors, small enough that words which are seen in training soon outweigh those that are not."""
        with torch.no_grad():
            nn.init.normal_(self.embedding.weight, std=0.02)
            self.embedding.weight[self.embedding.padding_idx].zero_()

    def forward(self, tokens: Tensor, state: None = None, frozen: int = 0) -> tuple[Tensor, None]:
        """Encode tokens.

        Args:
            tokens: `(B, T)`, int, padded at the end.
            state: None; the encoder is not causal and reads a sequence at once.
            frozen: How many of the lowest layer groups to run without a graph.

        Returns:
            Outputs `(B, T, E)`, and None.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            vectors = self.embedding(tokens)
            if self.training:
                vectors = drop_tokens(vectors, tokens, self.embedding.num_embeddings, self.embed_p)
            real = (tokens != self.pad_id).sum(1).clamp_min(1)
            mean = vectors.sum(1) / real.unsqueeze(1)  # (B, E); padding has the vector 0
            if self.normalize:
                mean = F.normalize(mean, dim=1) * self.output_size**0.5
            mean = self.input_dropout(mean)
        return mean.unsqueeze(1).expand(-1, tokens.shape[1], -1), None

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return its one group, the embedding."""
        return [list(self.embedding.parameters())]
