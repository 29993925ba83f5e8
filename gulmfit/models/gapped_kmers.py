"""A linear model of gapped k-mers beside a network: what single words say, each by a weight of its own.

A network of convolution and recurrence has to find words before it can weigh them; a table has a weight for each from
the start. Learned together, the network is left with what words do not say.

Shape letters: `B` batch, `T` tokens, `C` classes or labels.

Sources: Ghandi et al. 2014, "Enhanced regulatory sequence prediction using gapped k-mer features"; Cheng et al. 2016,
"Wide & deep learning" (a linear and a deep model, learned jointly).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gulmfit.errors import ConfigError

HALF = 3  # letters of each of the two words of a pair
WORDS = 4**HALF


class GappedKmers(nn.Module):
    """Weigh pairs of 3-mers that lie 0 to `gaps` - 1 letters apart, each by one weight for each class.

    The weights start at 0. The sum over the pairs of a sequence is divided by the square root of their number, so that
    a long sequence is no surer than a short one by its length alone. Pairs with a token that spells no bases are left
    out.

    Args:
        num_classes: `C`.
        gaps: Numbers of letters between the words: 0 to `gaps` - 1.
        kmer_bases: Letters of a token, 1 to 3; None where tokens are not k-mers.
        kmer_stride: Letters from one token to the next; it must be 1.
        letters: Of the alphabet; a nucleotide pairs first with last.
        num_special: Tokens before the k-mers in the vocabulary.
        canonical: Whether a pair and its reverse complement have one weight.
        p: Share of the pairs that are dropped in training, one by one.

    Raises:
        ConfigError: If the tokens are others, or `gaps` is below 1.
    """

    def __init__(
        self,
        num_classes: int,
        gaps: int,
        kmer_bases: int | None,
        kmer_stride: int | None,
        letters: str,
        num_special: int,
        canonical: bool,
        p: float = 0.5,
    ) -> None:
        super().__init__()
        if gaps < 1:
            raise ConfigError(f"head.gaps={gaps}: 0 or more is needed.")
        if not readable(kmer_bases, kmer_stride, letters):
            raise ConfigError(
                f"head.gaps={gaps}: gapped k-mers are read from k-mers of 1 to {HALF} nucleotides at stride 1. Set "
                f"classify.gaps=0, or tokenizer.k={HALF} tokenizer.stride=1 or a smaller k."
            )
        self.gaps, self.num_special, self.canonical, self.p = gaps, num_special, canonical, p
        self.tokens_per_word = HALF - int(kmer_bases or 0) + 1
        self.weights = nn.Embedding(gaps * WORDS**2, num_classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set all weights to 0: at first only the network speaks."""
        nn.init.zeros_(self.weights.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what each token adds to the logits, `(B, T, C)`; their sum is what the pairs say.

        Half of the weight of a pair is added by the tokens of either word, in equal parts.

        Args:
            tokens: `(B, T)`, padded at the end.
        """
        length, span = tokens.shape[1], self.tokens_per_word
        first, real = self._words(tokens)
        other = _other_strand(first) if self.canonical else first
        pairs, there = list[Tensor](), list[Tensor]()
        for gap in range(self.gaps):
            shift = HALF + gap
            second, turned = F.pad(first, (0, shift))[:, shift:], F.pad(other, (0, shift))[:, shift:]
            pair = first * WORDS + second
            if self.canonical:
                pair = torch.minimum(pair, turned * WORDS + other)
            pairs.append(pair + gap * WORDS**2)
            there.append(real & F.pad(real, (0, shift))[:, shift:])
        share = torch.stack(there, dim=2).float()  # of each pair, (B, T, gaps)
        share = share / share.sum((1, 2), keepdim=True).clamp_min(1).sqrt()
        halves = self.weights(torch.stack(pairs, dim=2)) * (F.dropout(share, self.p, self.training) / 2).unsqueeze(-1)
        by_word = halves.sum(2)
        for gap in range(self.gaps):
            shift = HALF + gap
            by_word = by_word + F.pad(halves[:, :, gap], (0, 0, shift, 0))[:, :length]
        by_token = by_word / span
        return sum((F.pad(by_token, (0, 0, step, 0))[:, :length] for step in range(1, span)), by_token)

    def _words(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the number of the word that begins at each token `(B, T)`, and whether there is one."""
        numbers, real = (tokens.long() - self.num_special).clamp_min(0), tokens >= self.num_special
        words, there = numbers, real
        for step in range(1, self.tokens_per_word):
            words = words * 4 + F.pad(numbers, (0, step))[:, step:] % 4
            there = there & F.pad(real, (0, step))[:, step:]
        return words, there


def readable(kmer_bases: int | None, kmer_stride: int | None, letters: str) -> bool:
    """Tell whether gapped k-mers can be read from tokens; arguments as of `GappedKmers`."""
    return kmer_bases is not None and 1 <= kmer_bases <= HALF and kmer_stride == 1 and len(letters) == 4


def _other_strand(words: Tensor) -> Tensor:
    """Return the numbers of the reverse complements of words, in lexicographic order of four letters."""
    found = torch.zeros_like(words)
    for _ in range(HALF):
        found = found * 4 + (3 - words % 4)
        words = words // 4
    return found
