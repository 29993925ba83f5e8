"""What an explanation of one sequence is, and the bases that every method works on.

Shape letters: `L` bases, `A` letters of the alphabet, `O` outputs, `M` versions of a sequence, `T` tokens.
"""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.errors import SequenceError
from gulmfit.predict.predictor import Record
from gulmfit.seq.alphabet import Codes, decode, encode
from gulmfit.seq.negatives.shuffle import shuffle
from gulmfit.seq.tokens.tokenizer import Tokenizer

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


class Attribution(NamedTuple):
    """Why one sequence has its scores."""

    record: Record
    scores: Floats
    """Of the sequence, `(O,)`."""
    contributions: Floats
    """What each base contributes to each score, `(O, L)`."""
    effects: Floats | None
    """How each score changes where a base becomes each letter, `(O, L, A)`; None where the method does not say."""
    error: Floats
    """By which share contributions fail to add up to what they explain, `(O,)`; nan where they need not."""

    def turned(self) -> "Attribution":
        """Return what was found of the other strand in the order of this one; letters pair first with last."""
        effects = None if self.effects is None else self.effects[:, ::-1, ::-1]
        return self._replace(contributions=self.contributions[:, ::-1], effects=effects)

    def averaged(self, other: "Attribution") -> "Attribution":
        """Return the mean of both strands, the other one turned."""
        both = None
        if self.effects is not None and other.effects is not None:
            both = (self.effects + other.effects) / 2
        return Attribution(
            self.record,
            (self.scores + other.scores) / 2,
            (self.contributions + other.contributions) / 2,
            both,
            np.maximum(self.error, other.error),
        )


def substitutions(codes: Codes, letters: int, start: int = 0, end: int | None = None) -> tuple[Codes, Rows, Rows]:
    """Change every base `[start, end)` to every other letter.

    Returns:
        Versions `(M, L)`, and of each the position and the letter, `(M,)`.
    """
    places = np.arange(start, len(codes) if end is None else end)
    positions, changed = (part.ravel() for part in np.meshgrid(places, np.arange(letters), indexing="ij"))
    other = codes[positions] != changed
    positions, changed = positions[other], changed[other]
    versions = np.repeat(codes[None], len(positions), axis=0)
    versions[np.arange(len(positions)), positions] = changed
    return versions, positions, changed


def shuffles(codes: Codes, count: int, tokenizer: Tokenizer, seed: int) -> list[Codes]:
    """Draw shuffles that keep the counts of neighbouring pairs; the same for a sequence whatever stands around it."""
    rng = np.random.default_rng([seed, zlib.crc32(codes.tobytes()), len(codes)])
    alphabet = tokenizer.alphabet
    text = decode(codes, alphabet)
    return [encode(shuffle(text, 2, rng), alphabet=alphabet) for _ in range(count)]


def padded(rows: Sequence[npt.NDArray[np.int32]], pad_id: int) -> tuple[Rows, Rows]:
    """Return tokens `(N, T)`, padded at the end, and how many are real, `(N,)`."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    tokens = np.full((len(rows), int(lengths.max())), pad_id, dtype=np.int64)
    for row, values in zip(tokens, rows, strict=True):
        row[: len(values)] = values
    return tokens, lengths


def check_length(record: Record, tokenizer: Tokenizer, position: int | None, where: str) -> None:
    """Refuse a record that is too short for a token, or for the position whose label is explained.

    Raises:
        SequenceError: It is.
    """
    if len(record.codes) < tokenizer.min_bases:
        raise SequenceError(f"{where}record {record.name!r}: {tokenizer.too_short(len(record.codes))}")
    if position is not None and not 0 <= position < len(record.codes):
        raise SequenceError(
            f"{where}record {record.name!r}: position={position} is outside its {len(record.codes)} "
            f"{tokenizer.alphabet.unit}s. Give a position from 0 to {len(record.codes) - 1}, or leave the record out."
        )
