"""Windows along a genome: they add up, and every base is scored given all bases before it in its contig."""

import math
from pathlib import Path

import numpy as np
import pytest

from gulmfit.errors import ConfigError, SequenceError
from gulmfit.predict.language import reading
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.predict.scans import bits
from gulmfit.predict.scans.bits import WindowBits, check_windows, score_genome
from gulmfit.seq.alphabet import encode, reverse_complement_text
from gulmfit.seq.genome.gatherer import Contig
from gulmfit.seq.genome.store import GenomeStore
from tests.unit.predict.test_likelihood import random_sequences, scorer

NAMES = ["long", "short", "gap"]


@pytest.fixture
def sequences(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(reading, "TOKENS_AT_ONCE", 100)  # the state is carried over many windows
    monkeypatch.setattr(bits, "STEPS_AT_ONCE", 7)
    long, short, left, right = random_sequences([1003, 58, 200, 150])
    return [long, short, f"{left}NNNNN{right}"]


def windows(
    model: LikelihoodScorer, sequences: list[str], window_bp: int, step_bp: int, **options: str
) -> list[WindowBits]:
    store = GenomeStore.from_sequences(NAMES, sequences)
    with score_genome(model, store, step_bp=step_bp, **options) as genome:
        return list(genome.windows(window_bp))


def base_bits(model: LikelihoodScorer, sequence: str, *, reverse: bool = False) -> list[float]:
    """Bits of every base of a sequence, a token's shared out over the bases it adds."""
    found = model.score_tokens(sequence, reverse=reverse)
    values = [0.0] * len(sequence)
    for nats, (start, end) in zip(found.nats, found.new, strict=True):
        for at in range(start, end):
            values[at] = -nats / math.log(2) / (end - start)
    return values


@pytest.mark.parametrize("strand", ["forward", "average"])
def test_disjoint_windows_add_up_to_the_total(sequences: list[str], strand: str) -> None:
    model = scorer(5, 2)
    found = windows(model, sequences, 50, 50, strand=strand)
    pieces = {"long": [sequences[0]], "short": [sequences[1]], "gap": sequences[2].split("NNNNN")}
    for name, parts in pieces.items():
        nats, bases = model.score(parts, strand=strand)
        own = [window for window in found if window.contig == name]
        assert sum(window.bits for window in own) == pytest.approx(-nats.sum() / math.log(2), abs=1e-3)
        assert sum(window.bases for window in own) == bases.sum()


def test_a_step_has_the_bits_of_the_window_around_it(sequences: list[str]) -> None:
    model = scorer(3, 2)
    expected = base_bits(model, sequences[0])
    found = [window for window in windows(model, sequences, 30, 10) if window.contig == "long"]
    assert [(window.start, window.end) for window in found] == [(at, min(at + 10, 1003)) for at in range(0, 1003, 10)]
    for window in found:
        low, high = max(0, window.start - 10), window.start + 20
        assert window.bits == pytest.approx(sum(expected[low:high]), abs=1e-4)


def test_single_bases_and_both_strands(sequences: list[str]) -> None:
    model = scorer(3, 2)
    long = sequences[0][:40]
    found = windows(model, [long, sequences[1], sequences[2]], 1, 1, strand="average")
    there, back = base_bits(model, long), base_bits(model, long, reverse=True)
    got = {window.start: window.bits for window in found if window.contig == "long"}
    np.testing.assert_allclose([got[at] for at in range(40)], (np.array(there) + back) / 2, atol=1e-5)
    turned = base_bits(model, reverse_complement_text(long))
    np.testing.assert_allclose(back, turned[::-1], atol=1e-5)


def test_ambiguous_bases_have_no_value(sequences: list[str]) -> None:
    found = windows(scorer(3, 1), sequences, 1, 1)
    covered = {window.start for window in found if window.contig == "gap"}
    assert covered == set(range(355)) - set(range(200, 205))


def test_what_lies_left_of_a_window_counts(sequences: list[str]) -> None:
    model = scorer(3, 2)
    nearby = sequences[0][200:300]
    changed = ("G" if sequences[0][199] != "G" else "C").join([sequences[0][:199], nearby])
    seen, other = (
        next(
            item
            for item in windows(model, [text, *sequences[1:]], 100, 100)
            if (item.contig, item.start) == ("long", 200)
        )
        for text in (sequences[0][:300], changed)
    )
    assert seen.bits != other.bits


def test_mistakes_are_named(sequences: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="window_bp=100, step_bp=30"):
        check_windows(100, 30)
    with pytest.raises(SequenceError, match=r"stretch .*KmerTokenizer\(k=5, stride=2\)"):
        windows(scorer(5, 2), ["ACGT", "NNNNNNNN", "ACNNN"], 10, 10)
    twice = GenomeStore(
        encode("ACGTACGT"), [Contig("a", "1.fa", 0, 4), Contig("a", "2.fa", 4, 4)], np.empty((0, 2), int), {}, ""
    )
    with (
        pytest.raises(SequenceError, match=r"2\.fa, record 'a': 1\.fa "),
        score_genome(scorer(), twice),
    ):
        pass
