"""Shuffles: every k-let is counted, and every sequence with these counts and ends is as likely."""

import time
from collections import Counter
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from gulmfit.errors import ConfigError
from gulmfit.seq.negatives.shuffle import shuffle


def klets(sequence: str, k: int) -> Counter[str]:
    return Counter(sequence[i : i + k] for i in range(len(sequence) - k + 1))


@given(st.text("ACGTNRYacgt", max_size=120), st.integers(1, 5), st.integers(0, 2**32))
def test_every_klet_count_and_both_ends_stay(sequence: str, k: int, seed: int) -> None:
    found = shuffle(sequence, k, np.random.default_rng(seed))
    assert klets(found, k) == klets(sequence, k)
    assert len(found) == len(sequence)
    assert found[: k - 1] == sequence[: k - 1]
    assert found[len(found) - k + 1 :] == sequence[len(sequence) - k + 1 :]


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_a_long_sequence_is_moved_and_keeps_its_counts(k: int) -> None:
    rng = np.random.default_rng(k)
    sequence = "".join(rng.choice(list("ACGTN"), 20_000, p=[0.3, 0.2, 0.2, 0.29, 0.01]))
    found = shuffle(sequence, k, rng)
    assert klets(found, k) == klets(sequence, k)
    assert klets(found, k + 1) != klets(sequence, k + 1)
    assert np.mean([a != b for a, b in zip(found, sequence, strict=True)]) > 0.6


@pytest.mark.parametrize(
    ("sequence", "k"),
    [("AACGT", 1), ("ACACGAGCA", 2), ("AACAAGAAC", 2), ("ACGACGTCGA", 2), ("AABABABBABBA", 3), ("TAATACTAA", 3)],
)
def test_all_eulerian_paths_are_as_likely(sequence: str, k: int) -> None:
    # Brute force, with nothing of graphs in it: all orders of the letters that have the same counts.
    first, middle, last = sequence[: k - 1], sequence[k - 1 : len(sequence) - k + 1], sequence[len(sequence) - k + 1 :]
    every = {first + "".join(letters) + last for letters in permutations(middle)}
    allowed = sorted(text for text in every if klets(text, k) == klets(sequence, k))
    assert len(allowed) > 1
    rng = np.random.default_rng(0)
    found = Counter(shuffle(sequence, k, rng) for _ in range(100 * len(allowed)))
    assert set(found) <= set(allowed)
    assert chisquare([found[text] for text in allowed]).pvalue > 1e-3


def test_the_seed_decides() -> None:
    sequence = "ACGTTGCATGCAAGCTTAGC" * 5
    one, same, other = (shuffle(sequence, 2, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize(
    ("sequence", "k"),
    [
        ("", 1),
        ("", 3),
        ("A", 1),
        ("A", 2),
        ("AC", 2),
        ("ACG", 3),
        ("ACG", 7),
        ("A" * 50, 1),
        ("A" * 50, 3),
        ("ACGT", 2),
    ],
)
def test_what_has_one_path_comes_back(sequence: str, k: int) -> None:
    assert shuffle(sequence, k, np.random.default_rng(0)) == sequence


def test_k_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="k=0"):
        shuffle("ACGT", 0, np.random.default_rng(0))


def test_a_rare_way_out_of_a_long_repeat_is_found_quickly(slowness: Callable[[], float]) -> None:
    sequence = "A" * 200_000 + "C" + "AT" * 100_000 + "G"
    start = time.process_time()
    found = shuffle(sequence, 2, np.random.default_rng(0))
    assert time.process_time() - start < 5 * slowness()
    assert klets(found, 2) == klets(sequence, 2)
