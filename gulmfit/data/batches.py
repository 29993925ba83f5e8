"""One batch of sequences: tokenised, padded at the end.

Shape letters: `B` batch, `T` tokens.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gulmfit.errors import SequenceError
from gulmfit.seq.alphabet import encode, reverse_complement
from gulmfit.seq.tokens.tokenizer import Tokenizer


class SequenceBatch(NamedTuple):
    """Padded sequences."""

    tokens: Tensor
    """`(B, T)` int64, padded at the end."""
    lengths: Tensor
    """Real tokens of each sequence, `(B,)` int64."""
    labels: Tensor
    """`(B,)` int64 classes, or `(B, C)` label sets or values."""
    indices: Tensor
    """Number of each sequence in the data set, `(B,)` int64."""
    coverage: Tensor | None = None
    """Measured values of each base `(B, A, L)`, 0 past an end; None where there are none."""

    @property
    def measured(self) -> dict[str, Tensor]:
        """What a model reads besides, as arguments."""
        return {} if self.coverage is None else {"coverage": self.coverage}


def tokenise(sequence: str, tokenizer: Tokenizer, where: str, *, reverse: bool = False) -> Tensor:
    """Turn one sequence into tokens `(T,)`.

    Raises:
        SequenceError: If it is too short for a token, or holds a letter outside the tokenizer's alphabet.
    """
    alphabet = tokenizer.alphabet
    codes = encode(sequence, where=where, alphabet=alphabet)
    if len(codes) < tokenizer.min_bases:
        raise SequenceError(f"{where}: {tokenizer.too_short(len(codes))}")
    return torch.from_numpy(tokenizer.encode(reverse_complement(codes, alphabet) if reverse else codes))


def collate(
    items: Sequence[tuple[Tensor, Any, int]],
    pad_id: int,
    shaped: Callable[[list[Any]], list[Any]] = list,
    coverage: Sequence[npt.NDArray[np.float32]] = (),
) -> SequenceBatch:
    """Pad tokenised sequences, `(tokens, label, index)` each, into one batch.

    Args:
        items: The sequences.
        pad_id: What tokens are padded with.
        shaped: Makes labels of one shape.
        coverage: Measured values of each (A, L).
    """
    lengths = torch.tensor([len(tokens) for tokens, _, _ in items])
    padded = torch.full((len(items), int(lengths.max())), pad_id, dtype=torch.int64)
    for row, (tokens, _, _) in enumerate(items):
        padded[row, : len(tokens)] = tokens
    labels = torch.tensor(shaped([label for _, label, _ in items]))
    measured = torch.from_numpy(padded_coverage(coverage)) if len(coverage) else None
    return SequenceBatch(padded, lengths, labels, torch.tensor([index for _, _, index in items]), measured)


def padded_coverage(coverage: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Put measured values (A, L) of several sequences together, `(B, A, L)`, 0 past an end."""
    found = np.zeros((len(coverage), len(coverage[0]), max(one.shape[1] for one in coverage)), np.float32)
    for row, one in zip(found, coverage, strict=True):
        row[:, : one.shape[1]] = one
    return found
