"""k-mer tokens: arithmetic on base codes, never Python strings.

Shape letters: `L` bases, `T` tokens, `V` vocabulary.

Vocabulary: `pad`=0, `unk`=1, `sep`=2, then all 4^k k-mers in lexicographic order, so that nothing depends
on a corpus.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.errors import TokenizerError
from gulmfit.seq.alphabet import AMBIGUOUS, decode

Codes = npt.NDArray[np.uint8]
Tokens = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.uint8 | np.uint16]

PAD, UNK, SEP = 0, 1, 2
SPECIAL = ("<pad>", "<unk>", "<sep>")

_BASES_AT_ONCE = 1 << 17  # what is calculated on the way to their tokens stays in the processor's cache


class KmerTokenizer:
    """Cut a sequence of bases into overlapping (or gapped) k-mers, left to right.

    Only whole k-mers are kept: `L` bases give `(L - k) // stride + 1` tokens. Up to `stride - 1` trailing
    bases fall outside every token, and so does the gap between two tokens when `stride > k`. A k-mer that
    holds an ambiguous base is the token `unk`.

    Args:
        k: Bases per token, 1 to 8.
        stride: Bases from the start of one token to the start of the next, 1 or more.

    Raises:
        TokenizerError: If `k` or `stride` is out of range.
    """

    pad_id, unk_id, sep_id = PAD, UNK, SEP
    num_special = len(SPECIAL)

    def __init__(self, k: int = 5, stride: int = 2) -> None:
        if not isinstance(k, int | np.integer) or not 1 <= k <= 8:
            raise TokenizerError(f"tokenizer.k={k}: a k-mer has 1 to 8 bases.")
        if not isinstance(stride, int | np.integer) or stride < 1:
            raise TokenizerError(f"tokenizer.stride={stride}: the stride is 1 base or more, whole.")
        self.k = int(k)
        self.stride = int(stride)

    def __len__(self) -> int:
        """Return the size `V` of the vocabulary, special tokens included."""
        return self.num_special + int(4**self.k)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KmerTokenizer) and self.spec() == other.spec()

    def __hash__(self) -> int:
        return hash((self.k, self.stride))

    def __repr__(self) -> str:
        return f"KmerTokenizer(k={self.k}, stride={self.stride})"

    def spec(self) -> dict[str, Any]:
        """Return the plain dictionary from which the same tokenizer is built again."""
        return {"_target_": "gulmfit.seq.tokenizer.KmerTokenizer", "k": self.k, "stride": self.stride}

    def num_tokens(self, num_bases: int) -> int:
        """Return how many tokens `num_bases` bases give (0 when shorter than `k`)."""
        return max(0, (num_bases - self.k) // self.stride + 1)

    def encode(self, codes: Codes) -> Tokens:
        """Turn base codes `(L,)` into token ids `(T,)`, int32."""
        ids = np.empty(self.num_tokens(len(codes)), dtype=np.int32)
        self.encode_into(codes, ids)
        return ids

    def encode_into(self, codes: Codes, ids: npt.NDArray[Any]) -> None:
        """Write the token ids of base codes `(L,)` to `ids` `(T,)`, of any type that holds the whole vocabulary."""
        tokens_at_once = max(1, _BASES_AT_ONCE // self.stride)
        for first in range(0, len(ids), tokens_at_once):
            block = ids[first : first + tokens_at_once]
            start = first * self.stride
            self._encode_block(codes[start : start + (len(block) - 1) * self.stride + self.k], block)

    def _encode_block(self, codes: Codes, ids: npt.NDArray[Any]) -> None:
        ids[:] = _numbers(codes, self.k)[:: self.stride]
        ids += self.num_special
        if codes.max() >= AMBIGUOUS:
            seen = np.concatenate([[0], np.cumsum(codes >= AMBIGUOUS)])
            ids[(seen[self.k :] > seen[: -self.k])[:: self.stride]] = self.unk_id

    def spans(self, num_bases: int) -> npt.NDArray[np.int64]:
        """Return the base span `[start, end)` of every token of a sequence of `num_bases` bases, `(T, 2)`."""
        starts = np.arange(self.num_tokens(num_bases), dtype=np.int64) * self.stride
        return np.stack([starts, starts + self.k], axis=1)

    def kmer(self, token: int) -> str:
        """Spell a token: its k-mer, or the name of a special token.

        Raises:
            TokenizerError: If the id is outside the vocabulary.
        """
        if not 0 <= token < len(self):
            raise TokenizerError(f"token {token} is outside the vocabulary of {self!r} (0 to {len(self) - 1}).")
        if token < self.num_special:
            return SPECIAL[token]
        shifts = 2 * np.arange(self.k - 1, -1, -1)
        return decode((((token - self.num_special) >> shifts) & 3).astype(np.uint8))

    def kmers(self) -> list[str]:
        """Return the whole vocabulary in order, special tokens first."""
        return [self.kmer(token) for token in range(len(self))]

    def bases(self) -> npt.NDArray[np.int64]:
        """Return the bases of every token, `(V, k)`: codes 0 to 3, -1 throughout a special token."""
        shifts = 2 * np.arange(self.k - 1, -1, -1)
        table = np.full((len(self), self.k), -1, dtype=np.int64)
        table[self.num_special :] = (np.arange(4**self.k)[:, None] >> shifts) & 3
        return table

    @property
    def overlap(self) -> int:
        """Bases that a token shares with the next one: `k - stride`, or 0."""
        return max(0, self.k - self.stride)

    @property
    def new_bases(self) -> int:
        """Bases that a token adds to a token before it: `min(k, stride)`."""
        return self.k - self.overlap


def _numbers(codes: Codes, k: int) -> Numbers:
    """Read the k-mer at every base as a number in base 4, `(L - k + 1,)`; what holds an ambiguous base is arbitrary.

    The number of a k-mer is put together from those of its halves, so that log2 k passes over neighbouring small
    integers do, which the processor takes many at a time.
    """
    if k == 1:
        return codes
    added = 1 if k % 2 else k // 2
    left = _numbers(codes, k - added)
    # A product, since numpy has no vector instructions for a shift.
    numbers: Numbers = np.multiply(left[:-added], 4**added, dtype=np.uint8 if k <= 4 else np.uint16)
    numbers += codes[k - 1 :] if added == 1 else left[added:]
    return numbers
