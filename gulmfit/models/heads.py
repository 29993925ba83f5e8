"""What stands on the encoder: a tied decoder for language models, concat pooling for classifiers.

Shape letters: `N` positions, `B` batch, `T` tokens, `V` vocabulary, `E` embedding, `C` classes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Up to this many k-mers one matrix product over the whole vocabulary beats gathering rows of the decoder for every
# token.
DENSE_VOCABULARY = 4096

IGNORED = -100


class LanguageModelHead(nn.Module):
    """Score the next token with a decoder tied to the embedding.

    With `legal_successors` the distribution covers only the k-mers that can follow: the next k-mer begins with the last
    `k - stride` bases of this one, so 4^stride of 4^k are possible and the rest get probability 0. After `sep` and
    `unk`, which fix no base, every k-mer is possible. The loss then starts at 2 bits a base: the overlap rule need not
    be learned. Successors of a k-mer are a contiguous block of the lexicographic vocabulary, so the restriction is a
    reshape.

    Args:
        vocab_size: `V`.
        num_special: Tokens before the first k-mer; they are never targets.
        block_size: Legal successors of a k-mer, 4^(new bases); None for a softmax over the whole vocabulary, the only
            one that sub-words have.
        output_p: Variational dropout on the encoder's output.
    """

    def __init__(self, vocab_size: int, num_special: int, block_size: int | None = None, output_p: float = 0.0) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.num_special = num_special
        self.num_kmers = vocab_size - num_special
        self.block_size = block_size
        self.dropout = nn.Dropout1d(output_p)

    def token_losses(self, weight: Tensor, hidden: Tensor, tokens: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Score each position on its own.

        Args:
            weight: The encoder's embedding, `(V, E)`: the decoder has no weight of its own.
            hidden: Encoder outputs, `(N, E)`.
            tokens: The token read there, `(N,)`.
            targets: The token that follows, `(N,)`; a special token is not scored.

        Returns:
            Negative log-probability of the target in nats, `(N,)` float32, and whether the target was the most
            probable token, `(N,)` bool; 0 and False where it is not scored.
        """
        unscored = targets < self.num_special
        # The bias is added in fp32: log-frequencies of about -7 would leave the rest of a logit few bits of bf16.
        if self.block_size is None:
            logits = F.linear(hidden, weight).float() + self.bias
            return _cross_entropy(logits, targets.masked_fill(unscored, IGNORED))
        weight, bias = weight[self.num_special :], self.bias[self.num_special :]
        kmers, next_kmers = tokens - self.num_special, targets - self.num_special
        free = kmers < 0
        # The block a k-mer leads to is named by its last k - stride bases: its number modulo the count of blocks.
        logits = self._block_logits(weight, bias, hidden, kmers.clamp_min(0) % self.num_blocks)
        losses, right = _cross_entropy(logits, (next_kmers % self.block_size).masked_fill(unscored | free, IGNORED))
        rows = _rows_to_look_at(free)
        if len(rows):
            full = F.linear(hidden[rows], weight).float() + bias
            full_losses, full_right = _cross_entropy(full, next_kmers.masked_fill(unscored | ~free, IGNORED)[rows])
            losses, right = losses.index_add(0, rows, full_losses), right.index_put((rows,), right[rows] | full_right)
        return losses, right

    @property
    def num_blocks(self) -> int:
        """Blocks of successors: 4^(k - new bases)."""
        return self.num_kmers // (self.block_size or self.num_kmers)

    def _block_logits(self, weight: Tensor, bias: Tensor, hidden: Tensor, block: Tensor) -> Tensor:
        """Return the logits of the k-mers of one block for each position, `(N, block_size)`."""
        blocks, size = self.num_blocks, self.block_size or self.num_kmers
        if self.num_kmers <= DENSE_VOCABULARY:
            every = F.linear(hidden, weight).view(-1, blocks, size)
            logits = every.gather(1, block.view(-1, 1, 1).expand(-1, 1, size)).squeeze(1)
        else:
            logits = torch.einsum("ne,nje->nj", hidden, weight.view(blocks, size, -1)[block].to(hidden.dtype))
        return logits.float() + bias.view(blocks, size)[block]


def _rows_to_look_at(free: Tensor) -> Tensor:
    """Return the rows that are true; on a GPU all rows, for the CPU would have to wait for their number."""
    return torch.arange(len(free), device=free.device) if free.is_cuda else free.nonzero().squeeze(-1)


def _cross_entropy(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss of each row and whether its greatest logit is the target's; 0 and False where it is ignored."""
    losses = F.cross_entropy(logits, targets, reduction="none", ignore_index=IGNORED)
    return losses, logits.argmax(-1) == targets
