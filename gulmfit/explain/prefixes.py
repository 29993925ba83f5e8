"""Scores of many versions of some sequences, each read from the first token in which it differs.

What a causal encoder remembers before that token is the same for all versions of a sequence, and so is what was pooled
until then: it is computed once. Other encoders, and labellers, read every version from its start.

Shape letters: `P` originals, `N` versions of them, `T` tokens, `E` encoder outputs, `F` features, `O` outputs.
"""

from collections.abc import Iterator
from threading import Lock
from typing import Any, Protocol, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gulmfit.explain.differences import Differences, can_differ
from gulmfit.explain.explained import Explained
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.classifier import EVALUATION_WINDOW, ConcatPooling, SequenceClassifier
from gulmfit.models.encoder import Encoder, State, encode_window, is_causal, keep_rows
from gulmfit.models.hardware import computing
from gulmfit.models.language_model import LanguageModel

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
"""Tokens `(N, T)`, padded at the end."""

# Tokens that are run together.
TOKENS_AT_ONCE = 1 << 16


class VersionScorer:
    """Scores of versions of sequences.

    Args:
        explained: The model.

    Attributes:
        versions: How many versions were looked at.
        tokens_run: How many tokens were run through an encoder.
        tokens_whole: How many that would have been, had every version been read from its start.
    """

    def __init__(self, explained: Explained) -> None:
        self.explained = explained
        self.versions = self.tokens_run = self.tokens_whole = 0
        self._lock = Lock()

    def count(self, **more: int) -> None:
        """Add to what was run; several threads may."""
        with self._lock:
            for name, number in more.items():
                setattr(self, name, getattr(self, name) + number)

    @torch.inference_mode()
    def scores(
        self, originals: Rows, lengths: Rows, versions: Rows, version_lengths: Rows, original_of: Rows
    ) -> Floats:
        """Score versions.

        Args:
            originals: `(P, T)`.
            lengths: Real tokens of each, `(P,)`.
            versions: `(N, T)`; an original among them costs nothing more.
            version_lengths: `(N,)`.
            original_of: Which original each is a version of, `(N,)`.

        Returns:
            `(N, O)`.
        """
        explained = self.explained
        # Equal versions, such as those in which no token changed, are run once.
        keys = np.concatenate([original_of[:, None], version_lengths[:, None], versions], axis=1)
        _, kept, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        parts = (originals, lengths, versions[kept], version_lengths[kept], original_of[kept])
        tensors = [torch.from_numpy(np.ascontiguousarray(part)).to(explained.device) for part in parts]
        with computing(explained.device, explained.reduced):
            if isinstance(explained.model, LanguageModel):
                found = self._likelihoods(explained.model, *tensors)
            elif all(isinstance(network, SequenceClassifier) for network in explained.networks):
                logits = [self._logits(cast(SequenceClassifier, one), *tensors) for one in explained.networks]
                found = explained.read(logits[0] if len(logits) == 1 else torch.stack(logits))
            else:
                found = torch.cat([
                    explained.scores(tokens, sizes) for tokens, sizes in zip(*_cut(tensors[2], tensors[3]), strict=True)
                ])  # fmt: skip
                self.count(tokens_run=tensors[2].numel() * len(explained.networks))
        strands = sum(2 if getattr(one, "other_strand", None) is not None else 1 for one in explained.networks)
        self.count(tokens_whole=versions.size * strands)
        scores: Floats = found.double().cpu().numpy()[inverse.ravel()]
        return scores

    def _logits(self, network: SequenceClassifier, *parts: Tensor) -> Tensor:
        originals, lengths, versions, sizes, original_of = parts
        strands = [(originals, versions)]
        if network.other_strand is not None:
            strands.append((network.other_strand(originals, lengths), network.other_strand(versions, sizes)))
        pooled = [
            self._walk(network.encoder, own, own, lengths, own_versions, own_versions, sizes, original_of,
                       _Pooled(ConcatPooling(lengths, network.bins)))
            for own, own_versions in strands
        ]  # fmt: skip
        return network.classify(torch.cat(pooled, dim=1), versions)

    def _likelihoods(self, model: LanguageModel, *parts: Tensor) -> Tensor:
        originals, lengths, versions, sizes, original_of = parts
        sep = self.explained.tokenizer.sep_id
        fed, fed_versions = (torch.cat([torch.full_like(part[:, :1], sep), part[:, :-1]], 1)
                             for part in (originals, versions))  # fmt: skip
        summed = _Summed(model, fed, originals)
        return self._walk(
            model.encoder, fed, originals, lengths, fed_versions, versions, sizes, original_of, summed
        ).unsqueeze(1)

    def _walk(
        self, encoder: Encoder, fed: Tensor, originals: Tensor, lengths: Tensor, fed_versions: Tensor, versions: Tensor,
        sizes: Tensor, original_of: Tensor, gathered: "_Gathered",
    ) -> Tensor:  # fmt: skip
        """Read originals token by token, and from where they differ their versions; return what is gathered `(N, …)`.

        `originals` and `versions` say what differs, `fed` and `fed_versions` what the encoder reads.
        """
        first, window = torch.zeros_like(sizes), versions.shape[1]
        if is_causal(encoder):
            window = EVALUATION_WINDOW
            differs = versions != originals[original_of]
            first = torch.where(differs.any(1), differs.int().argmax(1), versions.shape[1])
            # Where the number of tokens differs, so does what was pooled of them.
            first[sizes != lengths[original_of]] = 0
        reader: _Reader = _Windows(encoder, fed, window)
        if self.explained.mixed and can_differ(encoder, versions):
            reader = Differences(cast(AWDRNN, encoder), fed, fed_versions)
        found: Tensor | None = None
        at = 0
        for start in sorted(set(first.tolist())):
            if start > at:
                outputs = reader.originals(at, start)
                gathered.add(outputs)
                self.count(tokens_run=len(fed) * (start - at))
                at = start
            here = (first == start).nonzero().squeeze(-1)
            most = max(1, TOKENS_AT_ONCE // max(1, versions.shape[1] - start))
            for rows in here.split(most):
                parents = original_of[rows]
                fork = gathered.forked(parents, fed_versions[rows], versions[rows], sizes[rows])
                for outputs in reader.versions(fed_versions[rows], parents, start):
                    fork.add(outputs)
                self.count(tokens_run=len(rows) * (versions.shape[1] - start))
                result = fork.result()
                found = result.new_empty(len(versions), *result.shape[1:]) if found is None else found
                found[rows] = result
        return cast(Tensor, found)


class _Reader(Protocol):
    """What runs an encoder."""

    def originals(self, start: int, end: int) -> Tensor: ...

    def versions(self, tokens: Tensor, parents: Tensor, start: int) -> Iterator[Tensor]: ...


class _Windows:
    """Any encoder, window by window: originals in order, and versions of them from where they have been read to."""

    def __init__(self, encoder: Encoder, tokens: Tensor, window: int) -> None:
        self.encoder, self.tokens, self.window = encoder, tokens, window
        self.state: State = None

    def originals(self, start: int, end: int) -> Tensor:
        outputs, self.state = encode_window(self.encoder, self.tokens[:, start:end], self.state)
        return outputs

    def versions(self, tokens: Tensor, parents: Tensor, start: int) -> Iterator[Tensor]:
        state = keep_rows(self.state, parents.tolist())
        for begin in range(start, tokens.shape[1], self.window):
            outputs, state = encode_window(self.encoder, tokens[:, begin : begin + self.window], state)
            yield outputs


class _Gathered(Protocol):
    """What is gathered of an encoder's outputs, window by window."""

    def add(self, outputs: Tensor) -> None: ...

    def forked(self, rows: Tensor, fed: Tensor, tokens: Tensor, lengths: Tensor) -> Self: ...

    def result(self) -> Tensor: ...


class _Pooled:
    """Pooled features `(N, F)`."""

    def __init__(self, pooling: ConcatPooling) -> None:
        self.pooling = pooling

    def add(self, outputs: Tensor) -> None:
        self.pooling.add(outputs)

    def forked(self, rows: Tensor, fed: Tensor, tokens: Tensor, lengths: Tensor) -> "_Pooled":
        fork = self.pooling.forked(rows)
        fork.lengths = lengths
        return _Pooled(fork)

    def result(self) -> Tensor:
        return self.pooling.result()


class _Summed:
    """Log-likelihoods `(N,)` in nats; special tokens are not scored."""

    def __init__(self, model: LanguageModel, fed: Tensor, tokens: Tensor, seen: int = 0, nats: Any = None) -> None:
        self.model, self.fed, self.tokens, self.seen = model, fed, tokens, seen
        self.nats: Tensor = torch.zeros(len(tokens), dtype=torch.float64, device=fed.device) if nats is None else nats

    def add(self, outputs: Tensor) -> None:
        window = slice(self.seen, self.seen + outputs.shape[1])
        self.seen += outputs.shape[1]
        fed, targets = self.fed[:, window].flatten(), self.tokens[:, window].flatten()
        losses, _ = self.model.head.token_losses(
            self.model.encoder.embedding.weight, outputs.flatten(0, 1), fed, targets
        )
        scored = (targets >= self.model.num_special).to(losses.dtype)
        self.nats = self.nats - (losses * scored).view(len(self.tokens), -1).double().sum(1)

    def forked(self, rows: Tensor, fed: Tensor, tokens: Tensor, lengths: Tensor) -> "_Summed":
        return _Summed(self.model, fed, tokens, self.seen, self.nats[rows])

    def result(self) -> Tensor:
        return self.nats


def _cut(tokens: Tensor, lengths: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    rows = max(1, TOKENS_AT_ONCE // tokens.shape[1])
    return torch.split(tokens, rows), torch.split(lengths, rows)
