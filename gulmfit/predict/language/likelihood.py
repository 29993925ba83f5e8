"""How probable a language model finds a sequence: exact, and the same for every batch, padding and order.

Shape letters: `N` sequences, `T` tokens, `L` bases, `E` encoder outputs, `V` vocabulary.

A sequence is read from `<sep>`, with no memory of anything before. Its log-likelihood is the sum of ln p over its
tokens, each given all before it; tokens that hold an ambiguous base (`<unk>`) are read and not scored. With legal
successors a token's probability is that of its new bases alone, so that every base is counted once. What lies in no
token has no probability: up to `stride - 1` bases at the end of a sequence of k-mers, on either strand the end that is
read last. So the log-likelihood comes with the number of bases that it covers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gulmfit.checkpoint import load
from gulmfit.errors import CheckpointError, ConfigError, SequenceError
from gulmfit.models.hardware import computing, place
from gulmfit.models.language_model import LanguageModel
from gulmfit.predict.language.reading import Integers, Reading, Step, Window, read_side_by_side
from gulmfit.seq.alphabet import DEFAULT, Letters
from gulmfit.seq.tokens.tokenizer import Tokenizer

Floats = npt.NDArray[np.float64]

STRANDS = ("forward", "average")

# Logits that stand in memory at once; a large vocabulary is scored a few positions at a time.
LOGITS_AT_ONCE = 1 << 23


class TokenScores(NamedTuple):
    """Every token of one sequence."""

    tokens: Integers
    """`(T,)`."""
    nats: Floats
    """ln p of each given those before it, `(T,)`; nan where it is not scored."""
    new: Integers
    """Bases `[start, end)` that each adds, `(T, 2)`, 0-based on the forward strand."""


class LikelihoodScorer:
    """A language model that is ready to score.

    Args:
        model: The language model.
        tokenizer: Its tokenizer.
        device: Where to run; the first GPU if there is one.
        precision: `32`; `bf16` or `auto` are faster where the hardware computes in bf16, and off by some thousandths of
            a bit a base.
        letters: How letters are read.

    Raises:
        ConfigError: If the precision is unknown.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        device: str | torch.device | None = None,
        precision: str = "32",
        letters: Letters = DEFAULT,
    ) -> None:
        self.model, self.tokenizer, self.letters = model, tokenizer, letters
        self.device, self.reduced = place(model, device, precision)

    @classmethod
    def load(
        cls, path: str | Path, device: str | torch.device | None = None, precision: str = "32"
    ) -> "LikelihoodScorer":
        """Load a language model from a run folder, a model folder or a checkpoint; arguments as above.

        Raises:
            CheckpointError: If nothing there is a language model.
            ConfigError: If the precision is unknown.
        """
        loaded = load(path)
        if not isinstance(loaded.model, LanguageModel):
            raise CheckpointError(
                f"{path} is not a language model: give a run of stage=pretrain or stage=finetune, "
                "such as the folder language_model or the run that this model started from."
            )
        return cls(loaded.model, loaded.tokenizer, device, precision, loaded.letters)

    def score(
        self,
        sequences: Sequence[str],
        *,
        strand: str = "forward",
        batch_size: int = 64,
        where: Callable[[int], str] = "sequence {}".format,
    ) -> tuple[Floats, Floats]:
        """Return the log-likelihood of sequences and the bases that it covers.

        Args:
            sequences: `N` of them, in any order and of any length.
            strand: `forward`, or `average` for the mean over both strands, which is the same for a sequence and its
                reverse complement.
            batch_size: Sequences that are read side by side.
            where: What error messages call a sequence, by its number.

        Returns:
            Nats `(N,)`, 0 or less, and covered bases `(N,)`; both 0 where every token is `<unk>`.

        Raises:
            ConfigError: If `strand` or `batch_size` is out of range.
            SequenceError: If a sequence is shorter than one token or holds a letter that is not a nucleotide.
        """
        check_options(strand, batch_size)
        totals = np.zeros((2, len(sequences)))
        order = sorted(range(len(sequences)), key=lambda number: len(sequences[number]))
        directions = (False, True) if strand == "average" else (False,)
        readings = (
            self.reading(sequences[number], where(number), reverse=reverse)
            for number in order
            for reverse in directions
        )
        for place_in_order, window, nats in self.read(readings, batch_size=batch_size):
            number, scored = order[place_in_order // len(directions)], ~np.isnan(nats)
            totals[0, number] += nats[scored].sum()
            totals[1, number] += (window.new[scored, 1] - window.new[scored, 0]).sum()
        nats, bases = totals / len(directions)
        return nats, bases

    def score_tokens(self, sequence: str, *, reverse: bool = False) -> TokenScores:
        """Score every token of one sequence, or of its reverse complement."""
        parts = list(self.read([self.reading(sequence, "sequence", reverse=reverse)], batch_size=1))
        return TokenScores(
            np.concatenate([window.tokens for _, window, _ in parts]),
            np.concatenate([nats for _, _, nats in parts]),
            np.concatenate([window.new for _, window, _ in parts]),
        )

    def reading(self, sequence: str, where: str, *, reverse: bool = False) -> Reading:
        """Prepare one strand of a sequence.

        Raises:
            SequenceError: If it is shorter than one token or holds a letter that is not a nucleotide.
        """
        reading = Reading(
            self.letters.encode(sequence, where, self.tokenizer.alphabet), self.tokenizer, reverse=reverse
        )
        if not reading.ready(1):
            raise SequenceError(f"{where}: {self.tokenizer.too_short(len(sequence))}")
        return reading

    @torch.inference_mode()
    def read(self, readings: Iterable[Reading], *, batch_size: int) -> Iterator[tuple[int, Window, Floats]]:
        """Score stretches side by side, in constant memory.

        Yields:
            Number of the stretch, some of its tokens, and ln p of each `(T,)`, nan where it is not scored; windows of
            one stretch come in order, those of several in turn.
        """
        encoder, pad_id = self.model.encoder, self.tokenizer.pad_id
        with computing(self.device, self.reduced):
            steps = read_side_by_side(
                encoder, readings, ahead=True, batch_size=batch_size, device=self.device, pad_id=pad_id
            )
            for step in steps:
                nats = self._nats(step)
                for row, (number, window) in enumerate(step.windows):
                    yield number, window, nats[row, : len(window.tokens)]

    def _nats(self, step: Step) -> Floats:
        scored = step.tokens >= self.tokenizer.num_special
        hidden, contexts, targets = (part[scored] for part in (step.hidden, step.fed, step.tokens))
        weight = self.model.encoder.embedding.weight
        rows = max(1, LOGITS_AT_ONCE // len(self.tokenizer))
        losses: list[Tensor] = [
            self.model.head.token_losses(weight, *parts)[0]
            for parts in zip(*(torch.split(part, rows) for part in (hidden, contexts, targets)), strict=True)
        ]
        nats = torch.full(step.tokens.shape, torch.nan, dtype=torch.float64, device=self.device)
        if losses:
            nats[scored] = -torch.cat(losses).double()
        values: Floats = nats.cpu().numpy()
        return values


def check_options(strand: str, batch_size: int) -> None:
    """Refuse a strand or a batch size that does not exist.

    Raises:
        ConfigError: If one of them is out of range.
    """
    if strand not in STRANDS:
        raise ConfigError(f"strand={strand!r} is unknown; choose {' or '.join(STRANDS)}.")
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size}: 1 or more is needed.")
