"""Pseudo-labels: distances against a slow sum, quotas of bins, and whole sequences on one side."""

import numpy as np
import pytest

from gulmfit.errors import ConfigError
from gulmfit.seq.labels.certain import BINS, dealt_sequences, distances, large_sequences, surest
from gulmfit.seq.labels.gene_labels import GeneLabels


def test_distances_are_those_of_a_slow_sum() -> None:
    generator = np.random.default_rng(0)
    raw = generator.dirichlet(np.ones(4), (50, 2))
    classes, reasons = generator.integers(0, 4, (2, 50)).astype(np.uint8), np.zeros((2, 50), np.uint8)
    reasons[0, 3], reasons[:, 40:] = 1, 1
    labels = GeneLabels(classes, np.zeros_like(classes), reasons)
    edges = np.array([0, 7, 40, 50])
    distance, share = distances(labels, raw, edges)
    for number, (start, end) in enumerate(((0, 7), (7, 40))):
        far, empty, count = 0.0, 0, 0
        for strand in range(2):
            for at in range(start, end):
                if not reasons[strand, at]:
                    truth = np.eye(4)[classes[strand, at]]
                    far += np.abs(truth - raw[at, strand]).sum()
                    empty += classes[strand, at] == 0
                    count += 1
        assert distance[number] == pytest.approx(far / count)
        assert share[number] == pytest.approx(empty / count)
    assert np.isnan(distance[2])


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.83])
def test_each_bin_gives_its_own_quota_of_the_surest(ties: bool, keep: float) -> None:
    generator = np.random.default_rng(1)
    share = generator.random(101)
    if ties:
        share[:60] = 1.0  # two thirds of the breaks are one
    distance = generator.random(101)
    kept = surest(distance, share, keep)
    breaks = np.quantile(share, np.arange(1, BINS) / BINS)
    bins = np.searchsorted(breaks, share, side="left")
    there = np.unique(bins)
    count = int(101 * keep)
    taken = 0
    for one in there:
        own = bins == one
        number = int(kept[own].sum())
        assert min(own.sum(), count // len(there)) <= number <= min(own.sum(), count // len(there) + 1)
        assert set(np.sort(distance[own])[:number]) == set(distance[own & kept])
        taken += number
    small = sum(int((bins == one).sum()) < count // len(there) for one in there)
    assert taken == count or (small and taken < count)


def test_a_share_that_leaves_none_is_refused() -> None:
    for keep in (0.0, 1.0, 0.05):
        with pytest.raises(ConfigError, match="keep="):
            surest(np.zeros(10), np.zeros(10), keep)


def test_whole_sequences_are_dealt_by_size() -> None:
    lengths = {f"big{number}": 1000 - number for number in range(10)} | {f"small{number}": 10 for number in range(20)}
    assert large_sequences(lengths) == [f"big{number}" for number in range(10)]
    parts = dealt_sequences(lengths, 0.2, 0.1, seed=3)
    assert parts.keys() == lengths.keys()
    for names, valid, test in (([f"big{n}" for n in range(10)], 2, 1), ([f"small{n}" for n in range(20)], 4, 2)):
        own = [parts[name] for name in names]
        assert (own.count("valid"), own.count("test")) == (valid, test)
    assert parts == dealt_sequences(dict(reversed(lengths.items())), 0.2, 0.1, seed=3)
    assert parts != dealt_sequences(lengths, 0.2, 0.1, seed=4)
    assert dealt_sequences({"a": 100, "b": 1}, 0.2, 0.2, 0) == {"a": "train", "b": "train"}
    assert large_sequences({"a": 90, "b": 5, "c": 5}) == ["a"]
