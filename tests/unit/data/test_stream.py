"""Windows concatenated are the stream; the stream is the genome."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gulmfit.data import stream as stream_module
from gulmfit.data.segments import Segment
from gulmfit.data.stream import TokenLine, TokenStream
from gulmfit.errors import DataError
from gulmfit.seq.alphabet import reverse_complement
from gulmfit.seq.genome.store import Interval
from gulmfit.seq.tokens.subword_training import SubwordRecipe
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

RANDOM = np.random.default_rng(0)
CODES = RANDOM.integers(0, 4, 3000).astype(np.uint8)
SUBWORDS = SubwordRecipe(kind="bpe", vocab_size=24).learn([CODES])
INTERVALS = [Interval(0, 0, 1000), Interval(0, 1100, 1703), Interval(1, 2000, 3000)]


def stream(training: bool, **arguments: object) -> TokenStream:
    settings: dict[str, object] = {"batch_size": 4, "bptt": 7, "tokenizer": KmerTokenizer(5, 2), "seed": 1}
    settings |= {"codes": CODES, "intervals": INTERVALS, "training": training} | arguments
    return TokenStream(**settings)  # type: ignore[arg-type]


def rows(windows: list[object]) -> torch.Tensor:
    """Glue windows to streams `(B, T + 1)`: all tokens, then the last target."""
    tokens = torch.cat([window.tokens for window in windows], 1)  # type: ignore[attr-defined]
    return torch.cat([tokens, windows[-1].targets[:, -1:]], 1)  # type: ignore[attr-defined]


@settings(max_examples=15, deadline=None)
@given(
    k=st.integers(1, 8), stride=st.integers(1, 9), batch=st.integers(1, 9), bptt=st.integers(1, 400), both=st.booleans()
)
def test_validation_reads_every_token_once_and_in_order(k: int, stride: int, batch: int, bptt: int, both: bool) -> None:
    tokenizer = KmerTokenizer(k, stride)
    strands = "both" if both else "forward"
    loader = stream(False, tokenizer=tokenizer, batch_size=batch, bptt=bptt, strands=strands)
    windows = list(loader)
    assert len(windows) == len(loader)
    for window in windows:
        assert window.tokens.shape == window.targets.shape
    glued = rows(windows)
    read = torch.cat([*(row[:-1] for row in glued[:-1]), glued[-1]]).numpy()
    expected = []
    for interval in INTERVALS:
        for reverse in (False, True) if both else (False,):
            codes = CODES[interval.start : interval.end]
            expected += [tokenizer.sep_id, *tokenizer.encode(reverse_complement(codes) if reverse else codes)]
    assert read[: len(expected)].tolist() == expected
    assert (read[len(expected) :] == tokenizer.pad_id).all()


@settings(max_examples=15, deadline=None)
@given(k=st.integers(1, 8), stride=st.integers(1, 9), batch=st.integers(1, 9), bptt=st.integers(1, 400))
def test_training_reads_one_circular_line(k: int, stride: int, batch: int, bptt: int) -> None:
    """Streams are neighbouring parts of the line: all segments, each from its phase on, turned by a rotation."""
    tokenizer = KmerTokenizer(k, stride)
    loader = stream(True, tokenizer=tokenizer, batch_size=batch, bptt=bptt)
    glued = rows(list(loader))
    line = loader._line(0)
    expected: list[int] = []
    for segment, phase in zip(line.segments, line.phases, strict=True):
        codes = CODES[segment.start : segment.end]
        codes = reverse_complement(codes) if segment.reverse else codes
        expected += [tokenizer.sep_id, *tokenizer.encode(codes[phase:])]
    expected = expected[line.rotation :] + expected[: line.rotation]
    for row, tokens in enumerate(glued.tolist()):
        assert tokens == expected[row * loader.stream_length :][: loader.stream_length + 1]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("ahead", [1, 30, 200])
def test_windows_are_the_same_however_far_is_read_ahead(
    training: bool, ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = list(stream(training))
    monkeypatch.setattr(stream_module, "TOKENS_AHEAD", ahead)
    windows = list(stream(training))
    assert len(windows) == len(expected)
    for ours, theirs in zip(windows, expected, strict=True):
        assert torch.equal(ours.tokens, theirs.tokens)
        assert torch.equal(ours.targets, theirs.targets)


@pytest.mark.parametrize("batch", [1, 64, 1024])
def test_what_is_read_ahead_does_not_grow_with_the_batch(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "TOKENS_AHEAD", 1 << 16)
    codes = np.tile(CODES, 200)
    loader = stream(True, codes=codes, intervals=[Interval(0, 0, len(codes))], batch_size=batch, bptt=20)
    sizes, read = [], loader._read

    def noted(line: TokenLine, start: int, stop: int) -> npt.NDArray[Any]:
        tokens = read(line, start, stop)
        sizes.append(tokens.nbytes)
        return tokens

    monkeypatch.setattr(loader, "_read", noted)
    list(loader)
    assert max(sizes) <= 2 * ((1 << 16) + batch)


def test_windows_follow_each_other() -> None:
    for training in (True, False):
        for before, after in pairwise(stream(training)):
            assert torch.equal(before.targets[:, -1], after.tokens[:, 0])
            assert torch.equal(before.tokens[:, 1:], before.targets[:, :-1])


def test_training_never_glues_what_was_apart() -> None:
    """Every k-mer that follows a k-mer shares its overlap with it; segments are led by a separator."""
    tokenizer = KmerTokenizer(5, 2)
    for _ in range(3):
        glued = rows(list(stream(True))).numpy()
        for row in glued:
            for token, following in pairwise(row.tolist()):
                if min(token, following) >= 3:
                    assert tokenizer.spell(token)[2:] == tokenizer.spell(following)[:3]


def test_training_shows_both_strands_and_all_phases_over_epochs() -> None:
    loader = stream(True, intervals=[Interval(0, 0, 1000)], batch_size=1)
    tokenizer = KmerTokenizer(5, 2)
    seen = [set(rows(list(loader))[0].tolist()) for _ in range(12)]
    every = set.union(*seen)
    for codes in (CODES[:1000], reverse_complement(CODES[:1000])):
        for phase in (0, 1):
            kmers = set(tokenizer.encode(codes[phase:]).tolist())
            assert len(kmers & every) > 0.99 * len(kmers)


def test_epochs_differ_and_seeds_repeat() -> None:
    a, b = stream(True), stream(True)
    first, second = rows(list(a)), rows(list(a))
    assert not torch.equal(first, second)
    assert torch.equal(rows(list(b)), first)
    assert torch.equal(rows(list(b)), second)
    assert not torch.equal(rows(list(stream(True, seed=2))), first)


@pytest.mark.parametrize("training", [True, False])
def test_ranks_read_different_streams_of_equal_length(training: bool) -> None:
    alone = rows(list(stream(training, batch_size=6)))
    ranks = [stream(training, batch_size=3, rank=rank, world_size=2) for rank in range(2)]
    assert len(ranks[0]) == len(ranks[1])
    assert torch.equal(torch.cat([rows(list(loader)) for loader in ranks]), alone)


@pytest.mark.parametrize("stop", [0, 1, 5, 39])
def test_a_saved_position_continues_exactly(stop: int) -> None:
    reference = stream(True)
    list(reference)
    expected = list(reference)
    first = stream(True)
    list(first)
    iterator = iter(first)
    for _ in range(stop):
        next(iterator)
    state = first.position()
    resumed = stream(True)
    resumed.seek(state)
    rest = list(resumed)
    if stop == 0:  # the iterator has not begun: the position is the end of the epoch before
        assert len(rest) == len(expected)
        return
    assert len(rest) == len(expected) - stop
    for ours, theirs in zip(rest, expected[stop:], strict=True):
        assert torch.equal(ours.tokens, theirs.tokens)
    assert torch.equal(rows(list(resumed)), rows(list(reference)))


def test_an_interrupted_epoch_is_not_continued_by_itself() -> None:
    loader, reference = stream(True), stream(True)
    next(iter(loader))
    list(reference)
    assert torch.equal(rows(list(loader)), rows(list(reference)))


def test_too_small_a_corpus_is_refused() -> None:
    with pytest.raises(DataError, match=r"fewer than 64 parallel streams.*batch_size"):
        stream(True, intervals=[Interval(0, 0, 20)], batch_size=64)


def line_of(segments: list[Segment]) -> list[int]:
    """Cut segments into sub-words one by one, each led by a separator."""
    tokens: list[int] = []
    for segment in segments:
        codes = CODES[segment.start : segment.end]
        tokens += [SUBWORDS.sep_id, *SUBWORDS.encode(reverse_complement(codes) if segment.reverse else codes)]
    return tokens


@settings(max_examples=15, deadline=None)
@given(batch=st.integers(1, 9), bptt=st.integers(1, 400), both=st.booleans())
def test_validation_reads_every_sub_word_once_and_in_order(batch: int, bptt: int, both: bool) -> None:
    strands = "both" if both else "forward"
    glued = rows(list(stream(False, tokenizer=SUBWORDS, batch_size=batch, bptt=bptt, strands=strands)))
    read = torch.cat([*(row[:-1] for row in glued[:-1]), glued[-1]]).tolist()
    reverses = (False, True) if both else (False,)
    expected = line_of([Segment(part.start, part.end, reverse) for part in INTERVALS for reverse in reverses])
    assert read[: len(expected)] == expected
    assert set(read[len(expected) :]) <= {SUBWORDS.pad_id}


@settings(max_examples=15, deadline=None)
@given(batch=st.integers(1, 9), bptt=st.integers(1, 400), ahead=st.integers(1, 2000))
def test_training_on_sub_words_reads_one_circular_line(batch: int, bptt: int, ahead: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_module, "TOKENS_AHEAD", ahead)
        loader = stream(True, tokenizer=SUBWORDS, batch_size=batch, bptt=bptt)
        glued = rows(list(loader))
    line = loader._line(0)
    assert sorted(line.segments) == sorted(loader.segments)
    expected = line_of(list(line.segments))
    expected = expected[line.rotation :] + expected[: line.rotation]
    for row, tokens in enumerate(glued.tolist()):
        assert tokens == expected[row * loader.stream_length :][: loader.stream_length + 1]


def test_sub_words_are_continued_exactly_and_shared_among_ranks(tmp_path: Path) -> None:
    reference = stream(True, tokenizer=SUBWORDS, batch_size=6)
    expected = list(reference)
    first = stream(True, tokenizer=SUBWORDS, batch_size=6, cache_dir=tmp_path)
    iterator = iter(first)
    for _ in range(5):
        next(iterator)
    resumed = stream(True, tokenizer=SUBWORDS, batch_size=6, cache_dir=tmp_path)
    resumed.seek(first.position())
    rest = list(resumed)
    assert len(rest) == len(expected) - 5
    assert torch.equal(rows(rest), rows(expected[5:]))
    ranks = [stream(True, tokenizer=SUBWORDS, batch_size=3, rank=rank, world_size=2) for rank in range(2)]
    assert torch.equal(torch.cat([rows(list(loader)) for loader in ranks]), rows(expected))
