"""Tokens of a sequence: what every tokenizer promises, and k-mers, which are arithmetic and never Python strings.

Shape letters: `L` bases, `T` tokens, `V` vocabulary.

Vocabulary: `pad`=0, `unk`=1, `sep`=2, then the pieces that spell bases. Those of a k-mer tokenizer are all 4^k k-mers
in lexicographic order, so that nothing depends on a corpus; sub-words (`gulmfit.seq.tokens.subword`) are learned
from one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.errors import TokenizerError
from gulmfit.seq.alphabet import DNA, Alphabet, alphabet_named, decode

Codes = npt.NDArray[np.uint8]
Tokens = npt.NDArray[np.int32]
Spans = npt.NDArray[np.int64]
Numbers = npt.NDArray[Any]

PAD, UNK, SEP = 0, 1, 2
SPECIAL = ("<pad>", "<unk>", "<sep>")

LARGEST_VOCABULARY = 1 << 20
LARGEST_K = 8

_BASES_AT_ONCE = 1 << 17  # what is calculated on the way to their tokens stays in the processor's cache


class Tokenizer(ABC):
    """Turn a sequence of bases into tokens, left to right.

    Every token but the special ones spells some bases, always the same. Neighbouring tokens share `overlap` of them.

    Attributes:
        alphabet: The letters that tokens are made of.
    """

    pad_id, unk_id, sep_id = PAD, UNK, SEP
    num_special = len(SPECIAL)
    alphabet: Alphabet

    @abstractmethod
    def __len__(self) -> int:
        """Return the size `V` of the vocabulary, special tokens included."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Return the plain dictionary from which the same tokenizer is built again."""

    @abstractmethod
    def encode(self, codes: Codes) -> Tokens:
        """Turn base codes `(L,)` into token ids `(T,)`, int32."""

    def encode_rows(self, rows: Codes) -> list[Tokens]:
        """Turn the base codes of sequences of one length, `(N, L)`, into the token ids of each."""
        return [self.encode(codes) for codes in rows]

    @abstractmethod
    def spans(self, codes: Codes) -> Spans:
        """Return the base span `[start, end)` of every token of base codes `(L,)`, `(T, 2)`."""

    @abstractmethod
    def spell(self, token: int) -> str:
        """Spell a token: its bases, or the name of a special token.

        Raises:
            TokenizerError: If the id is outside the vocabulary.
        """

    @abstractmethod
    def bases(self) -> npt.NDArray[np.int64]:
        """Return the bases of every token, `(V, longest)`: their codes, then -1; -1 throughout a special token."""

    @abstractmethod
    def blocks(self, num_bases: int) -> Iterator[tuple[int, int]]:
        """Cut `num_bases` bases into stretches `[start, end)` whose tokens, one after the other, are those of all.

        With it a sequence of any length is read in constant memory.
        """

    @property
    @abstractmethod
    def overlap(self) -> int:
        """Bases that a token shares with the next one."""

    @property
    @abstractmethod
    def min_bases(self) -> int:
        """Bases of the shortest sequence that has a token."""

    @property
    def num_successors(self) -> int | None:
        """Pieces that can follow a piece, a block of the vocabulary; None where any can."""
        return None

    def complement(self) -> npt.NDArray[np.int64] | None:
        """Return the token that spells the reverse complement of each token, `(V,)`; a special token is its own.

        None where there is no such token: of proteins, and of sub-words.
        """
        return None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.spec() == other.spec()

    def __hash__(self) -> int:
        return hash(repr(self))

    def summary(self) -> dict[str, Any]:
        """Return what a record says of the tokenizer: its spec, where that is short."""
        return self.spec()

    @abstractmethod
    def settings(self) -> str:
        """Return the words of a command that ask for such tokens."""

    def files(self) -> dict[str, str]:
        """Return the text files that a model folder holds for other programs, by name."""
        return {}

    def vocabulary(self) -> list[str]:
        """Return the whole vocabulary in order, special tokens first."""
        return [self.spell(token) for token in range(len(self))]

    def sizes(self) -> npt.NDArray[np.int64]:
        """Return how many bases every token spells, `(V,)`; 0 for a special token."""
        return np.asarray((self.bases() >= 0).sum(1), dtype=np.int64)

    def bases_of(self, ids: Tokens) -> npt.NDArray[np.int64]:
        """Return how many bases each of the tokens `(T,)` adds to those before it, `(T,)`.

        The first token of all and one after a special token add all their bases, a special token none.
        """
        sizes = self.sizes()[ids]
        sizes[1:] -= self.overlap * ((ids[:-1] >= self.num_special) & (ids[1:] >= self.num_special))
        return sizes

    def too_short(self, num_bases: int) -> str:
        """Say in a message that a sequence of so few bases has no token, and what to do."""
        few = f"{num_bases} {self.alphabet.unit}s are too few"
        return f"{few}: {self!r} needs {self.min_bases} or more. Remove the record."

    def _check_token(self, token: int) -> None:
        if not 0 <= token < len(self):
            raise TokenizerError(f"token {token} is outside the vocabulary of {self!r} (0 to {len(self) - 1}).")


class KmerTokenizer(Tokenizer):
    """Cut a sequence of bases into overlapping (or gapped) k-mers, left to right.

    Only whole k-mers are kept: `L` bases give `(L - k) // stride + 1` tokens. Up to `stride - 1` trailing
    bases fall outside every token, and so does the gap between two tokens when `stride > k`. A k-mer that
    holds an ambiguous base is the token `unk`.

    >>> from gulmfit.seq.alphabet import encode
    >>> tokenizer = KmerTokenizer(k=3, stride=2)
    >>> tokens = tokenizer.encode(encode("ACGTACN"))
    >>> [tokenizer.spell(token) for token in tokens]
    ['ACG', 'GTA', '<unk>']
    >>> len(tokenizer), tokens.tolist()
    (67, [9, 47, 1])

    Args:
        k: Bases per token, 1 to 8; of a larger alphabet fewer, so that the vocabulary keeps below 2^20.
        stride: Bases from the start of one token to the start of the next, 1 or more.
        alphabet: Name of the letters: `dna`, `rna` or `protein`.

    Raises:
        TokenizerError: If `k` or `stride` is out of range.
        ConfigError: If the alphabet is unknown.
    """

    def __init__(self, k: int = 5, stride: int = 2, alphabet: str = DNA.name) -> None:
        self.alphabet = alphabet_named(alphabet)
        letters = len(self.alphabet)
        largest = max(k for k in range(1, LARGEST_K + 1) if letters**k <= LARGEST_VOCABULARY)
        if not isinstance(k, int | np.integer) or not 1 <= k <= largest:
            why = "" if letters == len(DNA) else f" of {letters} letters, or the vocabulary is too large"
            raise TokenizerError(f"tokenizer.k={k}: a k-mer has 1 to {largest} {self.alphabet.unit}s{why}.")
        if not isinstance(stride, int | np.integer) or stride < 1:
            raise TokenizerError(f"tokenizer.stride={stride}: the stride is 1 base or more, whole.")
        self.k = int(k)
        self.stride = int(stride)

    def __len__(self) -> int:
        return self.num_special + int(len(self.alphabet) ** self.k)

    def __repr__(self) -> str:
        other = "" if self.alphabet == DNA else f", alphabet={self.alphabet.name!r}"
        return f"KmerTokenizer(k={self.k}, stride={self.stride}{other})"

    def spec(self) -> dict[str, Any]:
        other = {} if self.alphabet == DNA else {"alphabet": self.alphabet.name}
        return {"_target_": "gulmfit.seq.tokens.tokenizer.KmerTokenizer", "k": self.k, "stride": self.stride, **other}

    def settings(self) -> str:
        return f"tokenizer=kmer tokenizer.k={self.k} tokenizer.stride={self.stride}"

    def num_tokens(self, num_bases: int) -> int:
        """Return how many tokens `num_bases` bases give (0 when shorter than `k`)."""
        return max(0, (num_bases - self.k) // self.stride + 1)

    def encode(self, codes: Codes) -> Tokens:
        ids = np.empty(self.num_tokens(len(codes)), dtype=np.int32)
        self.encode_into(codes, ids)
        return ids

    def encode_rows(self, rows: Codes) -> list[Tokens]:
        # Laid end to end with every start on the stride, they are one sequence.
        count, length = rows.shape
        steps = -(-length // self.stride)
        ids = np.zeros(count * steps, dtype=np.int32)
        found = self.encode(np.pad(rows, ((0, 0), (0, steps * self.stride - length))).ravel())
        ids[: len(found)] = found
        return list(ids.reshape(count, steps)[:, : self.num_tokens(length)])

    def encode_into(self, codes: Codes, ids: npt.NDArray[Any]) -> None:
        """Write the token ids of base codes `(L,)` to `ids` `(T,)`, of any type that holds the whole vocabulary."""
        tokens_at_once = max(1, _BASES_AT_ONCE // self.stride)
        for first in range(0, len(ids), tokens_at_once):
            block = ids[first : first + tokens_at_once]
            start = first * self.stride
            self._encode_block(codes[start : start + (len(block) - 1) * self.stride + self.k], block)

    def _encode_block(self, codes: Codes, ids: npt.NDArray[Any]) -> None:
        letters = len(self.alphabet)
        ids[:] = _numbers(codes, self.k, letters)[:: self.stride]
        ids += self.num_special
        if codes.max() >= letters:
            seen = np.concatenate([[0], np.cumsum(codes >= letters)])
            ids[(seen[self.k :] > seen[: -self.k])[:: self.stride]] = self.unk_id

    def spans(self, codes: Codes) -> Spans:
        starts = np.arange(self.num_tokens(len(codes)), dtype=np.int64) * self.stride
        return np.stack([starts, starts + self.k], axis=1)

    def spell(self, token: int) -> str:
        """Spell a token: its k-mer, or the name of a special token."""
        self._check_token(token)
        if token < self.num_special:
            return SPECIAL[token]
        return decode(self._digits(np.array([token - self.num_special]))[0].astype(np.uint8), self.alphabet)

    def bases(self) -> npt.NDArray[np.int64]:
        """Return the bases of every token, `(V, k)`: codes, -1 throughout a special token."""
        special = np.full((self.num_special, self.k), -1, dtype=np.int64)
        return np.concatenate([special, self._digits(np.arange(len(self) - self.num_special))])

    def complement(self) -> npt.NDArray[np.int64] | None:
        if not self.alphabet.complements:
            return None
        letters = len(self.alphabet)
        turned = letters - 1 - self._digits(np.arange(len(self) - self.num_special))[:, ::-1]
        numbers = turned @ (letters ** np.arange(self.k - 1, -1, -1, dtype=np.int64))
        return np.concatenate([np.arange(self.num_special), self.num_special + numbers])

    def _digits(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the codes of k-mers `(n, k)`, given their places in lexicographic order `(n,)`."""
        letters = len(self.alphabet)
        powers = letters ** np.arange(self.k - 1, -1, -1, dtype=np.int64)
        return numbers[:, None] // powers % letters

    def blocks(self, num_bases: int) -> Iterator[tuple[int, int]]:
        tokens, at_once = self.num_tokens(num_bases), max(1, _BASES_AT_ONCE // self.stride)
        for first in range(0, tokens, at_once):
            last = min(first + at_once, tokens) - 1
            yield first * self.stride, last * self.stride + self.k

    @property
    def overlap(self) -> int:
        """Bases that a token shares with the next one: `k - stride`, or 0."""
        return max(0, self.k - self.stride)

    @property
    def new_bases(self) -> int:
        """Bases that a token adds to a token before it: `min(k, stride)`."""
        return self.k - self.overlap

    @property
    def num_successors(self) -> int:
        """k-mers that can follow a k-mer: 4^(new bases)."""
        return int(len(self.alphabet) ** self.new_bases)

    @property
    def min_bases(self) -> int:
        """Bases of the shortest sequence that has a token: `k`."""
        return self.k

    def too_short(self, num_bases: int) -> str:
        return (
            f"{num_bases} {self.alphabet.unit}s are fewer than one k-mer (k={self.k}). "
            "Remove the record, or use a tokenizer with a smaller k."
        )


def _numbers(codes: Codes, k: int, letters: int) -> Numbers:
    """Read the k-mer at every base as a number, `(L - k + 1,)`; what holds an ambiguous base is arbitrary.

    The number of a k-mer is put together from those of its halves, so that log2 k passes over neighbouring small
    integers do, which the processor takes many at a time.
    """
    if k == 1:
        return codes
    added = 1 if k % 2 else k // 2
    left = _numbers(codes, k - added, letters)
    # A product, since numpy has no vector instructions for a shift.
    numbers: Numbers = np.multiply(left[:-added], letters**added, dtype=np.min_scalar_type(letters**k - 1))
    numbers += codes[k - 1 :] if added == 1 else left[added:]
    return numbers
