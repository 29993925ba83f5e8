"""Integrated gradients on the embedding, from shuffles of the same sequence to the sequence.

The score changes from a shuffle to the sequence along a straight line between their embeddings. Each token gets what
its embedding adds on the way, so that all tokens add up to the change of the score (completeness). The mean over
shuffles is shared out evenly among the bases of each token.

Shape letters: `P` pairs of a sequence and a shuffle, `S` strands that the network reads, `T` tokens, `E` embedding, `L`
bases, `A` letters, `O` outputs.

Source: Sundararajan, Taly & Yan 2017, "Axiomatic attribution for deep networks". Here the baseline is a mean over
dinucleotide shuffles, and the number of steps follows from the error.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from gulmfit.errors import ConfigError
from gulmfit.explain.attribution import Attribution, Floats, padded, shuffles, substitutions
from gulmfit.explain.explained import Explained
from gulmfit.models.both_strands import turn
from gulmfit.models.gapped_kmers import GappedKmers
from gulmfit.models.hardware import computing
from gulmfit.predict.predictor import Record
from gulmfit.seq.alphabet import Codes
from gulmfit.seq.tokens.tokenizer import Tokens

# Tokens whose activations stand in memory for the way back.
TOKENS_AT_ONCE = 1 << 13
MOST_STEPS = 1024
COMPLETE = 0.01
# A change that is smaller than this share of all contributions counts as that large: a sum of nearly 0 has no percents.
SMALLEST_CHANGE = 0.1

Calls = list[list[Tensor]]
"""For each network what its embedding gave in each call, `(S P, T, E)`; then for each that has them what its weights of
gapped k-mers gave, `(P, T, C)`."""

Beside = list[tuple[GappedKmers, Tensor]]
"""Weights of gapped k-mers, and the slopes of scores by what they add to the logits, `(O, C)`."""


class _Pairs(NamedTuple):
    """Sequences and their shuffles."""

    tokens: Tensor
    """`(P, T)`."""
    shuffled: Tensor
    lengths: Tensor
    """`(P,)`."""


class IntegratedGradients:
    """Integrated gradients of a network.

    Args:
        explained: The model.
        count: Shuffles of each sequence.
        steps: Points on the way from a shuffle to the sequence, at first; doubled until contributions add up.
        seed: Of the shuffles.

    Raises:
        ConfigError: There is no shuffle or no step, or the model is a language model.
    """

    def __init__(self, explained: Explained, *, count: int = 8, steps: int = 16, seed: int = 0) -> None:
        if count < 1 or not 1 <= steps <= MOST_STEPS:
            raise ConfigError(f"shuffles={count}, steps={steps}: 1 or more is needed, and {MOST_STEPS} steps at most.")
        if explained.language:
            raise ConfigError(
                "method=gradients: a language model predicts the very tokens that it reads, which a gradient on its "
                "input does not see. Give method=mutagenesis."
            )
        self.explained, self.count, self.steps, self.seed = explained, count, steps, seed

    def explain(self, records: Sequence[Record]) -> list[Attribution]:
        """Explain some records, each with as many steps as it needs."""
        found: list[Attribution | None] = [None] * len(records)
        todo, steps = list(range(len(records))), self.steps
        while todo:
            more = list(self._explained([records[number] for number in todo], steps))
            for number, one in zip(todo, more, strict=True):
                before = found[number]
                if before is None or one.error.max() < before.error.max():
                    found[number] = one
            todo = [number for number, one in zip(todo, more, strict=True) if one.error.max() > COMPLETE]
            steps *= 2
            if steps > MOST_STEPS:
                break
        return [one for one in found if one is not None]

    def _explained(self, records: Sequence[Record], steps: int) -> Iterator[Attribution]:
        explained, tokenizer = self.explained, self.explained.tokenizer
        own = [tokenizer.encode(record.codes) for record in records]
        others = [self._baselines(record.codes, tokens) for record, tokens in zip(records, own, strict=True)]
        at_once = max(1, TOKENS_AT_ONCE // (self.count * max(map(len, own))))
        for start in range(0, len(records), at_once):
            group = slice(start, start + at_once)
            tokens, lengths = padded([row for row in own[group] for _ in range(self.count)], tokenizer.pad_id)
            shuffled, _ = padded([row for rows in others[group] for row in rows], tokenizer.pad_id)
            pairs = _Pairs(*(torch.from_numpy(part).to(explained.device) for part in (tokens, shuffled, lengths)))
            with computing(explained.device, explained.reduced):
                scores, changes, shares, slopes = self._integrate(pairs, steps)
            for place, (record, row) in enumerate(zip(records[group], own[group], strict=True)):
                mine = slice(place * self.count, (place + 1) * self.count)
                share = shares[:, mine, : len(row)].mean(1)  # (O, T)
                change = changes[mine].mean(0)
                total = np.maximum(np.abs(change), SMALLEST_CHANGE * np.abs(share).sum(1))
                error = np.abs(share.sum(1) - change) / np.maximum(total, np.finfo(float).tiny)
                contributions = self._to_bases(record.codes, share)
                effects = None
                if tokenizer.num_successors is not None:  # of sub-words there may be more or fewer then
                    beside = self._beside(slopes, mine)
                    effects = self._effects(record.codes, row, self._worth(slopes, mine, len(row)), beside)
                yield Attribution(record, scores[mine][0], contributions, effects, error)

    def _baselines(self, codes: Codes, tokens: Tokens) -> list[Tokens]:
        """Return the tokens of shuffles: of k-mers those of shuffled bases; sub-words, of which these would have
        another number, are shuffled themselves."""
        tokenizer = self.explained.tokenizer
        if tokenizer.num_successors is not None:
            return [tokenizer.encode(one) for one in shuffles(codes, self.count, tokenizer, self.seed)]
        rng = np.random.default_rng([self.seed, *tokens.tolist()])
        return [rng.permutation(tokens) for _ in range(self.count)]

    def _integrate(self, pairs: _Pairs, steps: int) -> tuple[Floats, Floats, Floats, list[Tensor]]:
        """Return scores `(P, O)`, their changes `(P, O)`, shares of tokens `(O, P, T)`, and for each network the mean
        slopes of scores on the way, `(O, S, P, T, E)`."""
        explained = self.explained
        ends, scores, sources = list[Calls](), list[Tensor](), _sources(explained)
        with torch.no_grad():
            for tokens in (pairs.shuffled, pairs.tokens):
                calls: Calls = [[] for _ in sources]

                def keep(network: int, number: int, embedded: Tensor, calls: Calls = calls) -> Tensor:
                    calls[network].append(embedded)
                    return embedded

                with _embeddings(explained, keep):
                    scores.append(explained.scores(tokens, pairs.lengths))
                ends.append(calls)
        if not all(ends[0][: len(explained.networks)]):
            name = type(explained.encoders[0]).__name__
            raise ConfigError(
                f"method=gradients: {name} does not call its embedding as a module, so that nothing can be put in its "
                "place. Call self.embedding(tokens) in it, or give method=mutagenesis."
            )
        gradients = [
            [torch.zeros(len(explained.names), *part.shape, device=explained.device) for part in calls]
            for calls in ends[0]
        ]
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        count = len(pairs.lengths)
        pair = torch.arange(count).repeat_interleave(steps)
        at, weight = (torch.from_numpy(part).float().repeat(count) for part in ((nodes + 1) / 2, weights / 2))
        rows = max(1, TOKENS_AT_ONCE // pairs.tokens.shape[1])
        for chunk in zip(*(torch.split(part.to(explained.device), rows) for part in (pair, at, weight)), strict=True):
            self._add_gradients(pairs, ends, gradients, *chunk)
        differences = [[end - start for start, end in zip(*calls, strict=True)] for calls in zip(*ends, strict=True)]
        lengths, slopes = pairs.lengths, list[Tensor]()
        shares = torch.zeros(len(explained.names), *pairs.tokens.shape, device=explained.device)
        contexts = [getattr(encoder, "context", None) or 0 for encoder in explained.encoders]
        for number in range(len(sources)):
            context = contexts[number] if number < len(contexts) else 0
            by_output = [
                _by_token([part[output] for part in gradients[number]], count, lengths, context)
                for output in range(len(explained.names))
            ]
            slopes.append(torch.stack(by_output))
            change = _by_token(differences[number], count, lengths, context)
            shares += (slopes[-1] * change).sum(-1).sum(1)
        found = (part.double().cpu().numpy() for part in (scores[1], scores[1] - scores[0], shares))
        return *found, slopes  # type: ignore[return-value]

    def _worth(self, slopes: Sequence[Tensor], pairs: slice, tokens: int) -> Floats:
        """Return by how much scores change, to first order, with each token of the vocabulary in each place of a
        sequence, `(O, T, V)`, given the mean slopes of its pairs."""
        worth: Tensor | float = 0.0
        # What follows the embeddings' slopes is of gapped k-mers.
        for slope, network, encoder in zip(slopes, self.explained.networks, self.explained.encoders, strict=False):
            mean, table = slope[:, :, pairs, :tokens].mean(2), encoder.embedding.weight.detach().float()
            worth = worth + mean[:, 0] @ table.T
            other = getattr(network, "other_strand", None)
            if other is not None:
                every = torch.arange(len(table), device=table.device).unsqueeze(0)
                complement = other(every, torch.full((1,), len(table), device=table.device)).flip(1)[0]
                worth = worth + mean[:, 1] @ table[complement].T
        found: Floats = torch.as_tensor(worth).cpu().numpy()
        return found

    def _beside(self, slopes: Sequence[Tensor], pairs: slice) -> Beside:
        """Return the weights of gapped k-mers, each with the mean slopes `(O, C)` of a sequence's pairs."""
        modules = _sources(self.explained)[len(self.explained.networks) :]
        # Tokens are added up: the slope is the same at each.
        return [
            (cast(GappedKmers, module), slope[:, 0, pairs, 0].mean(1))
            for module, slope in zip(modules, slopes[len(self.explained.networks) :], strict=True)
        ]

    def _add_gradients(
        self, pairs: _Pairs, ends: list[Calls], gradients: Calls, pair: Tensor, at: Tensor, weight: Tensor
    ) -> None:
        """Add the weighted gradients at some points of some pairs."""
        count, leaves = len(pairs.lengths), list[Tensor]()
        places: list[tuple[int, int, Tensor, int]] = []

        def between(network: int, number: int, embedded: Tensor) -> Tensor:
            start, end = (calls[network][number] for calls in ends)
            strands = len(start) // count
            rows = torch.cat([pair + strand * count for strand in range(strands)])
            leaf = torch.lerp(start[rows].float(), end[rows].float(), at.repeat(strands).view(-1, 1, 1))
            leaves.append(leaf.requires_grad_())
            places.append((network, number, rows, strands))
            return leaf.to(embedded.dtype)

        # cuDNN has no way back through a recurrent layer that is not being trained.
        with _embeddings(self.explained, between), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            scores = self.explained.scores(pairs.tokens[pair], pairs.lengths[pair])
            for output in range(scores.shape[1]):
                found: Sequence[Tensor | None] = ()
                if scores.requires_grad:  # if only through the layers behind the encoder, it reaches no leaf
                    kept, total = output + 1 < scores.shape[1], scores[:, output].sum()
                    found = torch.autograd.grad(total, leaves, retain_graph=kept, allow_unused=True)
                if all(part is None for part in found):
                    raise ConfigError(
                        f"method=gradients: no gradient comes through {type(self.explained.encoders[0]).__name__}. "
                        "Give method=mutagenesis."
                    )
                for (network, number, rows, strands), part in zip(places, found, strict=True):
                    if part is not None:
                        weighted = part * weight.repeat(strands).view(-1, 1, 1)
                        gradients[network][number][output].index_add_(0, rows, weighted)

    def _to_bases(self, codes: Codes, shares: Floats) -> Floats:
        """Share what tokens contribute `(O, T)` out among their bases, `(O, L)`: their sum is kept."""
        found = np.zeros((len(shares), len(codes)))
        for token, (start, end) in enumerate(self.explained.tokenizer.spans(codes).tolist()):
            found[:, start:end] += shares[:, token, None] / (end - start)
        return found

    def _effects(self, codes: Codes, tokens: Tokens, worth: Floats, beside: Beside) -> Floats:
        """Return how scores change where a base becomes each letter, `(O, L, A)`, given what tokens are worth, and what
        is weighed beside them."""
        tokenizer = self.explained.tokenizer
        effects = np.zeros((len(worth), len(codes), len(tokenizer.alphabet)))
        versions, places, letters = substitutions(codes, len(tokenizer.alphabet))
        rows = np.stack([tokenizer.encode(version) for version in versions])
        steps = np.arange(len(tokens))
        changes = worth[:, steps, rows] - worth[:, steps, tokens][:, None]  # (O, M, T)
        effects[:, places, letters] = changes.sum(2)
        for gapped_kmers, slopes in beside:
            with torch.no_grad():
                parts = torch.split(torch.from_numpy(rows).to(slopes.device), max(1, TOKENS_AT_ONCE // len(tokens)))
                added = torch.cat([gapped_kmers(part).sum(1) for part in parts])  # (M, C)
                own = gapped_kmers(torch.from_numpy(tokens).to(slopes.device).unsqueeze(0)).sum(1)
            effects[:, places, letters] += (slopes @ (added - own).T).double().cpu().numpy()
        return effects


def _sources(explained: Explained) -> list[nn.Module]:
    """Return what turns tokens into numbers: the embedding of each network, then weights of gapped k-mers."""
    beside = [getattr(network, "gapped_kmers", None) for network in explained.networks]
    return [*(encoder.embedding for encoder in explained.encoders), *(one for one in beside if one is not None)]


@contextmanager
def _embeddings(explained: Explained, change: Callable[[int, int, Tensor], Tensor]) -> Iterator[None]:
    """Let `change` say what `_sources` give; it is told which of them and which call, and what it would have been."""
    with ExitStack() as stack:
        for network, source in enumerate(_sources(explained)):
            calls = iter(range(1 << 30))

            def hook(*given: object, network: int = network, calls: Iterator[int] = calls) -> Tensor:
                return change(network, next(calls), given[2])  # type: ignore[arg-type]

            stack.callback(source.register_forward_hook(hook).remove)
        yield


def _by_token(calls: Sequence[Tensor], count: int, lengths: Tensor, context: int) -> Tensor:
    """Put windows `(S P, T, E)` together that follow each other, each after so many tokens of the window before; the
    other strand's in the order of this one, `(S, P, T, E)`."""
    size = sum(part.shape[1] - context for part in calls)
    whole = calls[0].new_zeros(calls[0].shape[0], size, calls[0].shape[2])
    end = 0
    for part in calls:
        end += part.shape[1] - context
        start = max(0, end - part.shape[1])
        whole[:, start:end] += part[:, part.shape[1] - (end - start) :]
    first, *others = torch.split(whole, count)
    return torch.stack([first, *(turn(one, lengths.to(one.device)) for one in others)])
