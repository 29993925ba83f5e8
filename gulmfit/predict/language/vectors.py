"""Vectors of sequences, of their tokens or of their bases, from the encoder of any model.

Shape letters: `N` sequences, `T` tokens, `L` bases, `E` units of the layer.

A sequence is read as a classifier reads it, token by token without `<sep>`: its pooled vector is what the classifier's
head is given, and a language model's vectors are those that a classifier trained from it starts with. AWD-LSTM
reads one way, so a token's vector knows what stands before it and nothing of what follows.
"""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from gulmfit.checkpoint import load
from gulmfit.errors import CheckpointError, ConfigError, SequenceError
from gulmfit.models.ensemble import one_network
from gulmfit.models.hardware import computing, place
from gulmfit.predict.language.likelihood import check_options
from gulmfit.predict.language.reading import Integers, Reading, groups_of_records, read_side_by_side
from gulmfit.seq.alphabet import DEFAULT, Letters
from gulmfit.seq.tokens.tokenizer import KmerTokenizer, Tokenizer

logger = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float32]

LEVELS = ("sequence", "token", "base")
POOLINGS = ("concat", "mean", "max", "last")

# What is read ahead to be sorted by length: bases for sequences, numbers for tokens and bases.
BASES_AHEAD = 1 << 22
VALUES_AHEAD = 1 << 24


class Embedding(NamedTuple):
    """The vectors of one sequence."""

    name: str
    sequence: str
    vectors: Vectors
    """One for the sequence `(1, E)` or `(1, 3E)`, or one for each token `(T, E)` or base `(L, E)`."""
    tokens: Integers
    """`(T,)`, as read on the forward strand; empty but for level `token`."""
    spans: Integers
    """Bases `[start, end)` of each row, `(rows, 2)`."""


class Embedder:
    """An encoder that is ready to give vectors.

    Args:
        model: A language model or a classifier: whatever has an encoder.
        tokenizer: Its tokenizer.
        layer: `last`, or a number: 0 for the embedding of the tokens, 1 for the first recurrent layer, and so on. An
            encoder of your own may have its last layer alone.
        device: Where to run; the first GPU if there is one.
        precision: `32`, `bf16` or `auto`.
        letters: How letters are read.

    Raises:
        ConfigError: If the layer or the precision does not exist.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer,
        *,
        layer: str | int = "last",
        device: str | torch.device | None = None,
        precision: str = "32",
        letters: Letters = DEFAULT,
    ) -> None:
        self.letters = letters
        encoder: Any = model.encoder
        depth = getattr(encoder, "depth", None)
        if layer != "last" and str(layer) not in map(str, range(-1 if depth is None else depth + 1)):
            known = "" if depth is None else f", or 0 (the embedding) to {depth} (the last layer)"
            raise ConfigError(f"layer={layer}: give last{known}.")
        self.tokenizer = tokenizer
        self.device, self.reduced = place(model, device, precision)
        self.encoder = encoder if layer == "last" else encoder.up_to(int(layer))
        self.size: int = self.encoder.output_size
        """Units of the layer, `E`."""

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        layer: str | int = "last",
        device: str | torch.device | None = None,
        precision: str = "32",
    ) -> "Embedder":
        """Load a model from a run folder, a model folder or a checkpoint, of an ensemble its first network.

        Raises:
            CheckpointError: If nothing there is a model with an encoder.
            ConfigError: If the layer or the precision does not exist.
        """
        loaded = load(path)
        model = one_network(loaded.model)
        if model is not loaded.model:
            logger.info("%s is an ensemble, and vectors are those of its first network", path)
        if "blend" in loaded.spec:
            logger.info("%s is a blend of a network and baselines, and vectors are those of its network", path)
        if not hasattr(model, "encoder"):
            raise CheckpointError(f"{path} has no encoder to take vectors from.")
        return cls(model, loaded.tokenizer, layer=layer, device=device, precision=precision, letters=loaded.letters)

    def embed(
        self,
        records: Iterable[tuple[str, str]],
        *,
        level: str = "sequence",
        pooling: str = "concat",
        strand: str = "forward",
        batch_size: int = 64,
        where: str = "",
    ) -> Iterator[Embedding]:
        """Yield the vectors of each record, in the order given; memory does not grow with their number.

        Args:
            records: Id and sequence.
            level: `sequence`, `token` or `base`. A base has the mean of the vectors of the tokens that cover it, and
                nan where none does: up to `stride - 1` bases at the end, and those between tokens with gaps.
            pooling: Of a sequence: `last`, `max`, `mean`, or `concat` for the three side by side, as in a classifier.
            strand: `forward`; or `average` for the mean of both strands: a sequence and its reverse complement then
                have the same vector, and the rows of tokens or bases of the one are those of the other, turned round.
            batch_size: Sequences that are read side by side.
            where: What error messages put before the name of a record, such as a file.

        Raises:
            ConfigError: If an option is unknown, or tokens of both strands are to be averaged that do not lie on the
                same bases.
            SequenceError: If a sequence is shorter than one token or holds a letter that is not a nucleotide.
        """
        check_options(strand, batch_size)
        for name, value, allowed in (("level", level, LEVELS), ("pooling", pooling, POOLINGS)):
            if value not in allowed:
                raise ConfigError(f"{name}={value!r} is unknown; choose one of {', '.join(allowed)}.")
        averaged = strand == "average"
        if averaged and level == "token" and not self._strands_share_tokens():
            raise ConfigError(
                f"level=token strand=average: tokens of {self.tokenizer!r} lie on other bases on the other strand. "
                "Take level=base, or strand=forward."
            )
        kept = pooling if level == "sequence" else ""
        ahead = BASES_AHEAD if level == "sequence" else max(1, VALUES_AHEAD // self.size)
        for group in groups_of_records(records, ahead):
            there = self._read(group, kept, batch_size, where, reverse=False)
            back = self._read(group, kept, batch_size, where, reverse=True) if averaged else [None] * len(group)
            for (name, sequence), one, two in zip(group, there, back, strict=True):
                yield self._embedding(name, sequence, level, one, two)

    def _strands_share_tokens(self) -> bool:
        return isinstance(self.tokenizer, KmerTokenizer) and self.tokenizer.stride == 1

    def _embedding(self, name: str, sequence: str, level: str, one: "_Strand", two: "_Strand | None") -> Embedding:
        """Put the strands of a sequence together."""
        whole = np.array([[0, len(sequence)]])
        if level == "sequence":
            pooled = one.pooled() if two is None else _mean(one.pooled(), two.pooled())
            return Embedding(name, sequence, pooled[None], np.empty(0, np.int64), whole)
        if level == "token":
            tokens, spans, vectors = one.tokens(), one.spans(), one.vectors()
            if two is not None:
                vectors = _mean(vectors, two.vectors()[::-1])
            return Embedding(name, sequence, vectors, tokens, spans)
        bases = _spread(one.spans(), one.vectors(), len(sequence))
        if two is not None:
            bases = _mean(bases, _spread(two.spans(), two.vectors(), len(sequence)))
        places = np.arange(len(sequence))
        return Embedding(name, sequence, bases, np.empty(0, np.int64), np.stack([places, places + 1], axis=1))

    @torch.inference_mode()
    def _read(
        self, records: list[tuple[str, str]], pooling: str, batch_size: int, where: str, *, reverse: bool
    ) -> list["_Strand"]:
        """Read one strand of records; pooled on the way, or with all vectors kept where `pooling` is empty."""
        strands = [_Strand(pooling) for _ in records]
        order = sorted(range(len(records)), key=lambda number: len(records[number][1]))
        readings = (self._reading(*records[number], where, reverse=reverse) for number in order)
        with computing(self.device, self.reduced):
            for step in read_side_by_side(
                self.encoder, readings, ahead=False, batch_size=batch_size, device=self.device,
                pad_id=self.tokenizer.pad_id,
            ):  # fmt: skip
                hidden = step.hidden.float().cpu().numpy()
                for row, (number, window) in enumerate(step.windows):
                    strands[order[number]].add(hidden[row, : len(window.tokens)], window.tokens, window.spans)
        return strands

    def _reading(self, name: str, sequence: str, where: str, *, reverse: bool) -> Reading:
        place = f"{where}record {name!r}"
        reading = Reading(
            self.letters.encode(sequence, place, self.tokenizer.alphabet), self.tokenizer, reverse=reverse
        )
        if not reading.ready(1):
            raise SequenceError(f"{place}: {self.tokenizer.too_short(len(sequence))}")
        return reading


class _Strand:
    """What one strand of a sequence gave: running pools of its vectors, or all of them."""

    def __init__(self, pooling: str) -> None:
        self.pooling = pooling
        self.parts: list[tuple[Vectors, Integers, Integers]] = []
        self.count = 0
        self.last: Vectors = np.empty(0, np.float32)
        self.maximum: Vectors = self.last
        self.total: npt.NDArray[np.float64] = np.empty(0)

    def add(self, vectors: Vectors, tokens: Integers, spans: Integers) -> None:
        if not len(tokens):
            return
        if not self.pooling:
            self.parts.append((vectors, tokens, spans))
            return
        maximum, total = vectors.max(0), vectors.sum(0, dtype=np.float64)
        self.maximum = np.maximum(self.maximum, maximum) if self.count else maximum
        self.total = self.total + total if self.count else total
        self.last = vectors[-1].copy()
        self.count += len(vectors)

    def pooled(self) -> Vectors:
        """Return `(E,)`, or `(3E,)` for `concat`: in the order of a classifier's pooling."""
        pools = {"last": self.last, "max": self.maximum, "mean": (self.total / self.count).astype(np.float32)}
        return np.concatenate(list(pools.values())) if self.pooling == "concat" else pools[self.pooling]

    def vectors(self) -> Vectors:
        return np.concatenate([vectors for vectors, _, _ in self.parts])

    def tokens(self) -> Integers:
        return np.concatenate([tokens for _, tokens, _ in self.parts])

    def spans(self) -> Integers:
        return np.concatenate([spans for _, _, spans in self.parts])


def _spread(spans: Integers, vectors: Vectors, length: int) -> Vectors:
    """Give every base the mean of the vectors of the tokens that cover it, `(L, E)`; nan where none does."""
    total = np.zeros((length, vectors.shape[1]), dtype=np.float32)
    count = np.zeros((length, 1), dtype=np.float32)
    sizes = spans[:, 1] - spans[:, 0]
    for offset in range(int(sizes.max())):
        inside = sizes > offset
        places = spans[inside, 0] + offset  # no place twice: tokens start at different bases
        total[places] += vectors[inside]
        count[places] += 1
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _mean(one: Vectors, other: Vectors) -> Vectors:
    """Return the mean of two strands; where only one of them has a vector, that one."""
    mean: Vectors = (one + other) * np.float32(0.5)
    missing, other_missing = np.isnan(one), np.isnan(other)
    mean[missing] = other[missing]
    mean[other_missing] = one[other_missing]
    return mean
