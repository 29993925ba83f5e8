"""The data of a language model: what it counts, and what it asks of its streams."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gulmfit.data import corpus as language
from gulmfit.data.corpus import LanguageModelDataModule
from gulmfit.seq.alphabet import reverse_complement
from gulmfit.seq.genome.holdout import Holdout
from gulmfit.seq.genome.store import Interval
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

CODES = np.random.default_rng(0).choice(4, 50_000, p=[0.4, 0.3, 0.2, 0.1]).astype(np.uint8)
TRAIN = [Interval(0, 0, 30_000), Interval(1, 31_000, 31_700), Interval(2, 32_000, 45_000)]
TOKENIZER = KmerTokenizer(3, 2)


def data(strands: str = "both") -> LanguageModelDataModule:
    holdout = Holdout(TRAIN, [Interval(3, 46_000, 50_000)])
    return LanguageModelDataModule(CODES, holdout, TOKENIZER, batch_size=4, bptt=20, strands=strands, seed=5)


def counted_by_hand(strands: str) -> list[int]:
    counts = np.zeros(len(TOKENIZER), dtype=int)
    for part in TRAIN:
        codes = CODES[part.start : part.end]
        for strand in (codes, reverse_complement(codes)) if strands == "both" else (codes,):
            counts += np.bincount([TOKENIZER.sep_id, *TOKENIZER.encode(strand)], minlength=len(counts))
    counts[TOKENIZER.sep_id] -= 1  # the first token of all is not predicted
    return counts.tolist()


@pytest.mark.parametrize("strands", ["both", "forward"])
def test_every_token_of_a_small_corpus_is_counted(strands: str) -> None:
    assert data(strands).token_counts().tolist() == counted_by_hand(strands)


def test_a_large_corpus_is_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "COUNTED_BASES", 10_000)
    monkeypatch.setattr(language, "COUNTED_PIECE", 500)
    counts = data().token_counts()
    assert torch.equal(counts, data().token_counts())
    every = torch.tensor(counted_by_hand("both"))
    assert 0.15 < counts.sum() / every.sum() < 0.25  # every fifth piece of 43,700 bases
    kmers = slice(TOKENIZER.num_special, None)
    difference = counts[kmers] / counts[kmers].sum() - every[kmers] / every[kmers].sum()
    assert difference.abs().max() < 0.005


@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("cuda", True)])
def test_windows_are_pinned_for_a_cuda_device(device: str, pinned: bool) -> None:
    module = data()
    assert not module.stream(training=True).pin_memory
    strategy = SimpleNamespace(root_device=torch.device(device))
    module.trainer = SimpleNamespace(strategy=strategy, global_rank=1, world_size=2)  # type: ignore[assignment]
    stream = module.stream(training=True)
    assert (stream.pin_memory, stream.rank) == (pinned, 1)
    assert module.stream(training=False, alone=True).rank == 0
