"""Score the windows of a genome without ever spelling one of them.

Windows that overlap share their k-mers: the bases of a stretch become tokens once, and each window is a slice of them.

Shape letters: `N` windows, `S` strands that are told apart (1 or 2), `C` classes, `K` columns of the spread, `T`
tokens, `L` bases.
"""

import hashlib
import json
from collections.abc import Sequence
from copy import copy
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import nn

from gulmfit.predict.predictor import STRANDS, Predictor, Probabilities
from gulmfit.predict.scans.bases import read_codes
from gulmfit.predict.scans.grid import Integers, Stretch, Windows
from gulmfit.seq.alphabet import AMBIGUOUS, Codes, decode, reverse_complement
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.tokens.tokenizer import KmerTokenizer, Tokenizer, Tokens

Floats = npt.NDArray[np.float64]


class Scan(NamedTuple):
    """What is to be scored, and how."""

    predictor: Predictor
    store: GenomeStore
    windows: Windows
    strand: str
    """One of `STRANDS`."""
    max_ambiguous: float
    """Windows with a greater share of ambiguous bases are skipped."""
    batch_size: int

    @property
    def strands(self) -> str:
        """Return a letter for each of the `S` strands."""
        return STRANDS[self.strand]

    @property
    def columns(self) -> int:
        """How many numbers a window has on a strand: `C` scores, and what the spread over networks has (`K`)."""
        return len(self.predictor.classes) + len(self.predictor.spread_names())

    def score(self, first: int, last: int) -> Probabilities:
        """Score windows number `first` up to `last`: before calibration, and their spread, `(N, S, C + K)`.

        Those of a window that was skipped are nan.
        """
        tokenizer = self.predictor.tokenizer
        kept: list[npt.NDArray[np.bool_]] = []
        rows: tuple[list[Tokens], list[Tokens]] = ([], [])
        texts: tuple[list[str], list[str]] = ([], [])
        for stretch in self.windows.stretches(first, last):
            codes = self._codes(stretch)
            starts = stretch.starts - stretch.starts[0]
            kept.append(_ambiguous_share(codes, starts, stretch.bases) <= self.max_ambiguous)
            strands = [(codes, starts[kept[-1]])]
            if self.strand != "forward":
                strands.append((reverse_complement(codes), len(codes) - stretch.bases - starts[kept[-1]]))
            for number, (letters, firsts) in enumerate(strands):
                rows[number].extend(window_tokens(tokenizer, letters, firsts, stretch.bases))
                if self.predictor.blend:
                    spelled = decode(letters, tokenizer.alphabet)
                    texts[number].extend(spelled[start : start + stretch.bases] for start in firsts.tolist())
        known = np.concatenate(kept)
        scores = np.full((last - first, len(self.strands), self.columns), np.nan)
        if known.any():
            read, average = filter(None, rows), self.strand == "average"
            spelled_out = [strand for strand in texts if strand]
            scores[known] = self.predictor.score(read, self.batch_size, spelled_out, average=average, spread=True)
        return scores

    def _codes(self, stretch: Stretch) -> Codes:
        """Read the bases of all windows of a stretch, `(L,)`."""
        start = self.store.contigs[stretch.contig].start + int(stretch.starts[0])
        return read_codes(self.store, start, start + int(stretch.ends[-1] - stretch.starts[0]))


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


def model_digest(predictor: Predictor) -> str:
    """Return the SHA-256 of weights and tokenizer, and of the baselines of a blend, in hexadecimal."""
    return network_digest(predictor.model, predictor.tokenizer, predictor.blend.digest() if predictor.blend else "")


def network_digest(model: nn.Module, tokenizer: Tokenizer, more: str = "") -> str:
    """Return the SHA-256 of weights and tokenizer, and of more if there is any, in hexadecimal."""
    digest = hashlib.sha256(json.dumps(tokenizer.spec(), sort_keys=True).encode())
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    digest.update(more.encode())
    return digest.hexdigest()


def _ambiguous_share(codes: Codes, starts: Integers, bases: int) -> Floats:
    seen = np.concatenate([[0], np.cumsum(codes >= AMBIGUOUS, dtype=np.int32)])
    share: Floats = (seen[starts + bases] - seen[starts]) / bases
    return share
