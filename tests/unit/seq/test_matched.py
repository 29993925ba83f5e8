"""Negatives chosen among other sequences: alike in what was asked for, and strangers otherwise."""

import json
from collections import Counter

import numpy as np
import pytest

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import encode, gc_content, reverse_complement_text
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.negatives.matched import matched_negatives

RNG = np.random.default_rng(7)


def drawn(count: int, length: int, gc: float) -> list[str]:
    chances = [(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]
    return ["".join(RNG.choice(list("ACGT"), length, p=chances)) for _ in range(count)]


def of(sequences: list[str], prefix: str = "p") -> LabelledSequences:
    ids = [f"{prefix}{index}" for index in range(len(sequences))]
    return LabelledSequences(ids, sequences, np.zeros(len(ids), np.int64), ["any"])


def gc(text: str) -> float:
    return gc_content(encode(text))


POSITIVES = of(drawn(60, 50, 0.6) + drawn(40, 80, 0.6))
OTHERS = of(drawn(900, 50, 0.52) + drawn(900, 80, 0.52) + drawn(100, 65, 0.6), "o")


def test_each_positive_gets_its_own_of_its_length_and_gc() -> None:
    made = matched_negatives(POSITIVES, OTHERS, per_positive=2, gc_tolerance=0.05, seed=1)
    assert np.array_equal(made.partners, np.repeat(np.arange(100), 2))
    assert made.ids[:3] == ["p0/matched-1", "p0/matched-2", "p1/matched-1"]
    pairs = [(POSITIVES.sequences[i], text) for i, text in zip(made.partners, made.sequences, strict=True)]
    assert all(len(positive) == len(text) for positive, text in pairs)
    assert len(set(made.sequences)) == 200
    assert set(made.sequences) <= set(OTHERS.sequences)
    differences = [abs(gc(positive) - gc(text)) for positive, text in pairs]
    # Unmatched, GC content would differ by 0.1 on average.
    assert np.mean(differences) < 0.03
    assert made.record["gc_difference"]["max"] == pytest.approx(max(differences), abs=1e-6)
    assert made.record["beyond_tolerance"] == sum(difference > 0.05 + 1e-9 for difference in differences)
    assert json.loads(json.dumps(made.record)) == made.record


def test_the_nearest_are_taken_where_there_are_enough() -> None:
    """With a twin in GC content for each positive, all of them are found whatever the order."""
    twins = of(["".join(RNG.permutation(list(text))) for text in POSITIVES.sequences], "t")
    made = matched_negatives(POSITIVES, twins, gc_tolerance=0.0)
    assert made.record["gc_difference"] == {"mean": 0.0, "max": 0.0}
    assert Counter(made.sequences) == Counter(twins.sequences)


def test_relatives_of_positives_and_of_each_other_are_avoided() -> None:
    stranger, positive = drawn(1, 50, 0.5)[0], POSITIVES.sequences[0]
    shifted = stranger[10:] + drawn(1, 10, 0.5)[0]
    relatives = [positive, reverse_complement_text(positive), positive[25:] + drawn(1, 25, 0.5)[0], stranger, shifted]
    made = matched_negatives(of([positive]), of(relatives, "o"))
    assert made.sequences[0] in (stranger, shifted)
    assert made.record["candidates"] == 1
    with pytest.raises(DataError, match=r"^2 negatives of 50 bases .*\b5 other sequences 1 .*20-mer"):
        matched_negatives(of([positive]), of(relatives, "o"), per_positive=2)


def test_a_seed_decides() -> None:
    first, again, other = (matched_negatives(POSITIVES, OTHERS, seed=seed).sequences for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_what_cannot_be_matched_is_refused() -> None:
    with pytest.raises(ConfigError, match="per_positive=0"):
        matched_negatives(POSITIVES, OTHERS, per_positive=0)
    with pytest.raises(ConfigError, match="gc_tolerance=-1"):
        matched_negatives(POSITIVES, OTHERS, gc_tolerance=-1)
    with pytest.raises(DataError, match=r"'p0' .*GC content"):
        matched_negatives(of(["N" * 50]), OTHERS)
    with pytest.raises(DataError, match=r"^1 negatives of 51 bases .*\b1900 other sequences 0 .*20-mer"):
        matched_negatives(of(drawn(1, 51, 0.5)), OTHERS)
    with pytest.raises(DataError, match="no positive"):
        matched_negatives(of([]), OTHERS)
