"""Score the windows of a genome without ever spelling one of them.

Windows that overlap share their k-mers: the bases of a stretch become tokens once, and each window is a slice of them.

Shape letters: `N` windows, `S` strands that are told apart (1 or 2), `C` classes, `T` tokens, `L` bases.
"""

import hashlib
import json
from collections.abc import Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gulmfit.predict.predictor import Predictor, Probabilities
from gulmfit.predict.windows import Integers, Stretch, Windows
from gulmfit.seq.alphabet import AMBIGUOUS, Codes, reverse_complement
from gulmfit.seq.store import GenomeStore
from gulmfit.seq.tokenizer import KmerTokenizer, Tokenizer

Tokens = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

# The strand that each score of a window is for.
STRANDS = {"forward": "+", "both": "+-", "average": "."}


class Scan(NamedTuple):
    """What is to be scored, and how."""

    predictor: Predictor
    store: GenomeStore
    windows: Windows
    strand: str
    """One of `STRANDS`."""
    max_ambiguous: float
    """Windows with a greater share of ambiguous bases are passed over."""
    batch_size: int

    @property
    def strands(self) -> str:
        """Return a letter for each of the `S` strands."""
        return STRANDS[self.strand]

    def score(self, first: int, last: int) -> Probabilities:
        """Return the scores of windows number `first` up to `last` before calibration, `(N, S, C)`.

        Those of a window that was passed over are nan.
        """
        kept: list[npt.NDArray[np.bool_]] = []
        rows: tuple[list[Tokens], list[Tokens]] = ([], [])
        for stretch in self.windows.stretches(first, last):
            codes = self._codes(stretch)
            starts = stretch.starts - stretch.starts[0]
            kept.append(_ambiguous_share(codes, starts, stretch.bases) <= self.max_ambiguous)
            rows[0].extend(window_tokens(self.predictor.tokenizer, codes, starts[kept[-1]], stretch.bases))
            if self.strand != "forward":
                turned = len(codes) - stretch.bases - starts[kept[-1]]
                rows[1].extend(
                    window_tokens(self.predictor.tokenizer, reverse_complement(codes), turned, stretch.bases)
                )
        known = np.concatenate(kept)
        scores = np.full((last - first, len(self.strands), len(self.predictor.classes)), np.nan)
        read = [score_tokens(self.predictor, tokens, self.batch_size) for tokens in rows if tokens]
        if read:
            scores[known] = np.stack([sum(read) / 2] if self.strand == "average" else read, axis=1)
        return scores

    def _codes(self, stretch: Stretch) -> Codes:
        """Read the bases of all windows of a stretch, `(L,)`."""
        start = self.store.contigs[stretch.contig].start + int(stretch.starts[0])
        count = int(stretch.ends[-1] - stretch.starts[0])
        codes = self.store.codes
        if isinstance(codes, np.memmap) and codes.filename:
            # Not through the map, whose pages would count as memory of this process.
            return np.fromfile(codes.filename, dtype=np.uint8, count=count, offset=start)
        return codes[start : start + count]


def window_tokens(tokenizer: Tokenizer, codes: Codes, starts: Integers, bases: int) -> Sequence[Tokens]:
    """Return the tokens `(T,)` of each window `[start, start + bases)` of base codes `(L,)`.

    k-mers are read once at every place where a token of any window starts; other tokens depend on where a window
    begins, and each is read by itself.
    """
    if not isinstance(tokenizer, KmerTokenizer):
        return [tokenizer.encode(codes[start : start + bases]) for start in starts]
    if not len(starts):
        return []
    every = copy(tokenizer)
    every.stride = int(np.gcd.reduce([tokenizer.stride, *starts]))
    columns = np.arange(tokenizer.num_tokens(bases)) * (tokenizer.stride // every.stride)
    tokens: Tokens = every.encode(codes)[(starts // every.stride)[:, None] + columns]
    return list(tokens)


@torch.inference_mode()
def score_tokens(predictor: Predictor, rows: Sequence[Tokens], batch_size: int) -> Probabilities:
    """Return the scores of tokenised sequences before calibration, `(N, C)`; those of equal length meet no padding."""
    lengths = np.array([len(row) for row in rows])
    scores = np.empty((len(rows), len(predictor.classes)))
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        tokens = np.full((len(batch), lengths[batch[-1]]), predictor.tokenizer.pad_id, dtype=np.int64)
        for place, index in enumerate(batch):
            tokens[place, : lengths[index]] = rows[index]
        scores[batch] = _forward(predictor, tokens, lengths[batch])
    return scores


def _forward(predictor: Predictor, tokens: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> Probabilities:
    device = predictor.device
    with torch.autocast(device.type, torch.bfloat16, enabled=predictor.precision == "bf16"):
        logits, _ = predictor.model(torch.from_numpy(tokens).to(device), torch.from_numpy(lengths).to(device))
    outputs: Probabilities = predictor.model.outputs(logits.double()).cpu().numpy()
    return outputs


def gives_probabilities(predictor: Predictor) -> bool:
    """Tell whether scores are probabilities."""
    return predictor.kind.labels.probabilities


def model_digest(predictor: Predictor) -> str:
    """Return the SHA-256 of weights and tokenizer in hexadecimal."""
    digest = hashlib.sha256(json.dumps(predictor.tokenizer.spec(), sort_keys=True).encode())
    model = predictor.model
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _ambiguous_share(codes: Codes, starts: Integers, bases: int) -> Floats:
    seen = np.concatenate([[0], np.cumsum(codes >= AMBIGUOUS, dtype=np.int32)])
    share: Floats = (seen[starts + bases] - seen[starts]) / bases
    return share
