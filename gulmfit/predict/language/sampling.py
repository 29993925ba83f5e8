"""Draw sequences from a language model, token by token, many side by side.

Shape letters: `B` sequences, `V` vocabulary, `n` candidates.

Sampling starts after `<sep>`, as reading does. Only tokens that spell bases are drawn, and of k-mers only those that
begin with the bases that the one before ends with, so that tokens spell one sequence: with legal successors the model
gives the others no probability anyway, without them what is left is renormalised. Sub-words are strung together.

Every sequence has random numbers of its own, from the seed and its place: it does not depend on how many are drawn
side by side.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gulmfit.errors import ConfigError, SequenceError, TokenizerError
from gulmfit.models.encoder import State, encode_window, map_state
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.seq.alphabet import Codes, decode, encode
from gulmfit.seq.tokens.tokenizer import KmerTokenizer, Tokenizer


class Sample(NamedTuple):
    """A sequence that was drawn."""

    sequence: str
    nats: float
    """Its log-likelihood under the model itself, whatever the temperature: that of `LikelihoodScorer.score`, where the
    sequence is cut into the tokens that were drawn (k-mers always are, sub-words mostly)."""
    bases: int
    """Bases that the log-likelihood covers."""


class Start(NamedTuple):
    """What every sequence begins with: the model after the prompt."""

    prompt: Codes
    hidden: Tensor
    """`(1, E)`."""
    state: State
    candidates: Tensor
    """Tokens that can come first, `(n,)`."""
    last: int
    """The last token read."""
    covered: int
    """Bases of the prompt that its tokens hold."""
    nats: float


class Sampler:
    """Draw sequences from a language model.

    Args:
        scorer: The language model.
        temperature: Divides the logits: 1 draws from the model, less from what it finds likely, 0 takes the most
            probable token every time.
        top_k: Draw from so many of the most probable tokens alone; 0 for all.

    Raises:
        ConfigError: If a number is out of range.
        TokenizerError: If tokens leave gaps between them, so that they spell no sequence.
    """

    def __init__(self, scorer: LikelihoodScorer, *, temperature: float = 1.0, top_k: int = 0) -> None:
        if not 0 <= temperature < float("inf") or top_k < 0:
            raise ConfigError(f"temperature={temperature}, top_k={top_k}: neither may be negative or without end.")
        tokenizer = scorer.tokenizer
        if isinstance(tokenizer, KmerTokenizer) and tokenizer.stride > tokenizer.k:
            raise TokenizerError(
                f"{tokenizer!r} leaves {tokenizer.stride - tokenizer.k} bases between tokens unspelled. "
                "Use a model whose stride is not above k."
            )
        self.scorer, self.temperature, self.top_k = scorer, temperature, top_k
        self.successors = Successors(tokenizer, scorer.device)
        self.spelling = tokenizer.bases()
        self.sizes = tokenizer.sizes()

    def draw(
        self, num_sequences: int, length_bp: int, *, prompt: str = "", seed: int = 0, batch_size: int = 64
    ) -> Iterator[Sample]:
        """Yield sequences in order.

        Args:
            num_sequences: How many.
            length_bp: Bases of each, the prompt included.
            prompt: Bases that each begins with.
            seed: Of the random numbers.
            batch_size: Sequences that are drawn side by side.

        Raises:
            ConfigError: If a number is out of range.
            SequenceError: If the prompt holds an ambiguous letter or one that is not a nucleotide.
        """
        if min(num_sequences, batch_size) < 1:
            raise ConfigError(f"num_sequences={num_sequences}, batch_size={batch_size}: both must be 1 or more.")
        shortest = max(self.scorer.tokenizer.min_bases, len(prompt) + 1)
        if length_bp < shortest:
            raise ConfigError(f"length_bp={length_bp}: with this model and prompt {shortest} bases or more are needed.")
        start = self._start(prompt)
        for first in range(0, num_sequences, batch_size):
            numbers = range(first, min(first + batch_size, num_sequences))
            yield from self._side_by_side(start, length_bp, [np.random.default_rng([seed, one]) for one in numbers])

    @torch.inference_mode()
    def _start(self, prompt: str) -> Start:
        scorer, tokenizer = self.scorer, self.scorer.tokenizer
        codes = encode(prompt, where="prompt", alphabet=tokenizer.alphabet)
        if (codes >= len(tokenizer.alphabet)).any():
            at = int(np.argmax(codes >= len(tokenizer.alphabet)))
            raise SequenceError(f"prompt, position {at}: {prompt[at]!r} is ambiguous. Give known bases alone.")
        tokens, spans = tokenizer.encode(codes), tokenizer.spans(codes)
        if tokenizer.unk_id in tokens:
            raise SequenceError("prompt: the tokenizer does not know all of it. Give another prompt.")
        covered = int(spans[-1, 1]) if len(spans) else 0
        read = torch.tensor([[tokenizer.sep_id, *tokens]], device=scorer.device)
        hidden, state = encode_window(scorer.model.encoder, read)
        weight = scorer.model.encoder.embedding.weight
        losses, _ = scorer.model.head.token_losses(weight, hidden[0, :-1], read[0, :-1], read[0, 1:])
        # What the prompt ends with and no token holds yet is what the first token has to begin with, after the bases
        # that it shares with the last one.
        ahead = codes[max(0, covered - tokenizer.overlap) :] if covered else codes
        fits = (self.spelling[:, : len(ahead)] == ahead).all(1) & (self.sizes > 0)
        candidates = torch.from_numpy(np.flatnonzero(fits)).to(scorer.device)
        return Start(codes, hidden[:, -1], state, candidates, int(read[0, -1]), covered, -float(losses.double().sum()))

    @torch.inference_mode()
    def _side_by_side(self, start: Start, length_bp: int, randoms: list[np.random.Generator]) -> Iterator[Sample]:
        count, encoder = len(randoms), self.scorer.model.encoder
        hidden = start.hidden.expand(count, -1)
        state = map_state(lambda part: part.repeat_interleave(count, 1), start.state)
        last = torch.full((count,), start.last, device=self.scorer.device)
        candidates = start.candidates.expand(count, -1)
        bases = np.zeros((count, length_bp), dtype=np.uint8)
        bases[:, : len(start.prompt)] = start.prompt
        ends = np.full(count, start.covered)
        nats, covered = np.full(count, start.nats), np.full(count, start.covered)
        while True:
            logits = self._logits(hidden)
            drawn = self._choose(logits.gather(1, candidates), candidates, randoms)
            gained = self._log_probability(logits, last, drawn)
            for row, token in enumerate(drawn.tolist()):
                low = max(0, int(ends[row]) - self.scorer.tokenizer.overlap)
                ends[row] = low + self.sizes[token]
                if low < length_bp:
                    spelled = self.spelling[token, : self.sizes[token]]
                    bases[row, low : ends[row]] = spelled[: length_bp - low]
                if ends[row] <= length_bp:  # a token that is cut off at the end is not part of the sequence
                    nats[row] += gained[row]
                    covered[row] = ends[row]
            if (ends >= length_bp).all():
                break
            hidden, state = encode_window(encoder, drawn.unsqueeze(1), state)
            hidden, last, candidates = hidden[:, 0], drawn, self.successors.of(drawn)
        for row in range(count):
            yield Sample(decode(bases[row], self.scorer.tokenizer.alphabet), float(nats[row]), int(covered[row]))

    def _logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of the whole vocabulary, `(B, V)` float64."""
        model = self.scorer.model
        return (hidden @ model.encoder.embedding.weight.T + model.head.bias).double()

    def _choose(self, logits: Tensor, candidates: Tensor, randoms: list[np.random.Generator]) -> Tensor:
        """Draw one of the candidates `(B, n)` of each sequence, by their logits `(B, n)`; return tokens `(B,)`."""
        if self.temperature == 0:
            return candidates.gather(1, logits.argmax(1, keepdim=True)).squeeze(1)
        if 0 < self.top_k < logits.shape[1]:
            logits, best = logits.topk(self.top_k, dim=1)
            candidates = candidates.gather(1, best)
        edges = (logits / self.temperature).softmax(1).cumsum(1)
        points = torch.tensor([[random.random()] for random in randoms], dtype=torch.float64, device=logits.device)
        # The last edge is 1 but for rounding.
        index = torch.searchsorted(edges, points, right=True).clamp_max(logits.shape[1] - 1)
        return candidates.gather(1, index).squeeze(1)

    def _log_probability(self, logits: Tensor, last: Tensor, drawn: Tensor) -> npt.NDArray[np.float64]:
        """Return ln p of the tokens drawn `(B,)` as the model has it, `(B,)`."""
        special = self.scorer.tokenizer.num_special
        if self.scorer.model.head.block_size is None:
            possible = logits
        elif bool((last < special).all()):
            possible = logits[:, special:]
        else:
            possible = logits.gather(1, self.successors.of(last))
        chosen = logits.gather(1, drawn.unsqueeze(1)).squeeze(1)
        values: npt.NDArray[np.float64] = (chosen - possible.logsumexp(1)).cpu().numpy()
        return values


class Successors:
    """Which tokens can follow a token: a block of the k-mers, all pieces where tokens do not overlap."""

    def __init__(self, tokenizer: Tokenizer, device: torch.device) -> None:
        self.first = tokenizer.num_special
        pieces = len(tokenizer) - self.first
        self.size = tokenizer.num_successors or pieces
        self.blocks = pieces // self.size
        self.offsets = torch.arange(self.size, device=device)

    def of(self, tokens: Tensor) -> Tensor:
        """Return the successors of each token that spells bases `(B,)`, `(B, n)`."""
        block = (tokens - self.first) % self.blocks
        return self.first + block.unsqueeze(1) * self.size + self.offsets
