"""The vectorised Markov model against a dictionary, against known entropies, and at the edges of its input."""

from collections import Counter

import numpy as np
import pytest

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.simulate import markov
from gulmfit.seq.simulate.markov import MarkovModel


def random_codes(length, seed=0, ambiguous=0.0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, length).astype(np.uint8)
    codes[rng.random(length) < ambiguous] = 4
    return codes


def order_two_chain(length, seed=0):
    """Return a chain of order 2 and its entropy rate in bits per base."""
    rng = np.random.default_rng(seed)
    rows = rng.random((16, 4)) ** 3 + 0.02
    rows /= rows.sum(axis=1, keepdims=True)
    cumulative = rows.cumsum(axis=1)
    codes = np.zeros(length, dtype=np.uint8)
    draws = rng.random(length)
    for i in range(2, length):
        row = cumulative[4 * codes[i - 2] + codes[i - 1]]
        codes[i] = min(3, int(np.searchsorted(row, draws[i])))
    step = np.zeros((16, 16))
    for pair in range(16):
        for base in range(4):
            step[pair, 4 * (pair % 4) + base] = rows[pair, base]
    stationary = np.linalg.matrix_power(step, 400)[0]
    return codes, float(-(stationary[:, None] * rows * np.log2(rows)).sum())


def clear_text(codes, start, end):
    """Return the interval as text, with N for ambiguous bases."""
    return "".join("ACGTN"[code] for code in codes[start:end])


class DictionaryModel:
    """The same recursion, word by word over strings: the oracle."""

    def __init__(self, codes, intervals, order, weights, strands):
        self.order, self.weights, self.counts = order, weights, Counter()
        for start, end in intervals:
            text = clear_text(codes, start, end)
            texts = [text]
            if strands == "both":
                texts.append(text[::-1].translate(str.maketrans("ACGT", "TGCA")))
            for strand in texts:
                for piece in strand.split("N"):
                    for size in range(1, order + 2):
                        self.counts.update(piece[i : i + size] for i in range(len(piece) - size + 1))

    def probability(self, context, base):
        lower = self.probability(context[1:], base) if context else 0.25
        weight = self.weights[len(context)]
        total = sum(self.counts[context + letter] for letter in "ACGT")
        return (self.counts[context + base] + weight * lower) / (total + weight)

    def bits_per_base(self, codes, intervals):
        bits = []
        for start, end in intervals:
            for piece in clear_text(codes, start, end).split("N"):
                for i, base in enumerate(piece):
                    bits.append(-np.log2(self.probability(piece[max(0, i - self.order) : i], base)))
        return float(np.mean(bits))


@pytest.mark.parametrize("strands", ["both", "forward"])
@pytest.mark.parametrize("chunk", [7, 100, 1 << 22])
def test_equals_a_dictionary_whatever_the_chunk(monkeypatch, strands, chunk):
    chain, _ = order_two_chain(2500, seed=3)
    codes = np.where(random_codes(2500, seed=4, ambiguous=0.02) == 4, 4, chain).astype(np.uint8)
    train, valid = [(0, 900), (905, 908), (1000, 2000)], [(2003, 2300), (2300, 2301), (2310, 2500)]
    monkeypatch.setattr(markov, "CHUNK_BASES", chunk)
    model = MarkovModel.fit(codes, train, max_order=4, strands=strands)
    assert model.order >= 1
    oracle = DictionaryModel(codes, train, model.order, model.backoff_weights, strands)
    assert model.bits_per_base(codes, valid) == pytest.approx(oracle.bits_per_base(codes, valid), abs=1e-9)


def test_held_out_bits_are_those_of_a_model_fitted_without_the_held_out_part():
    codes, _ = order_two_chain(4000)
    intervals = [(0, 1500), (1600, 4000)]
    model = MarkovModel.fit(codes, intervals, max_order=3)
    kept, held_out = markov._hold_out(intervals)
    oracle = DictionaryModel(codes, kept, 3, [*model.backoff_weights, *[1.0] * 3], "both")
    oracle.order = model.order
    assert model.held_out_bits[model.order] == pytest.approx(oracle.bits_per_base(codes, held_out), abs=1e-9)


def test_held_out_part_is_a_tenth_and_meets_the_kept_part_nowhere():
    intervals = [(100, 350_007), (400_000, 400_001), (500_000, 900_000)]
    kept, held_out = markov._hold_out(intervals)
    covered = np.zeros(900_000, dtype=int)
    for start, end in kept + held_out:
        covered[start:end] += 1
    expected = np.zeros(900_000, dtype=int)
    for start, end in intervals:
        expected[start:end] = 1
    assert np.array_equal(covered, expected)
    assert sum(end - start for start, end in held_out) == pytest.approx(0.1 * expected.sum(), rel=0.1)


def test_probabilities_sum_to_one_at_every_order():
    codes, _ = order_two_chain(5000)
    for table in MarkovModel.fit(codes, [(0, 5000)], max_order=5).tables:
        np.testing.assert_allclose(np.exp2(table).sum(axis=1), 1.0, atol=1e-12)


def test_counting_both_strands_is_counting_the_sequence_and_its_reverse_complement():
    codes = random_codes(3000, ambiguous=0.01)
    twin = np.where(codes < 4, 3 - codes, 4).astype(np.uint8)[::-1]
    both = markov._count(codes, [(0, 3000)], 4, True, 4)
    joined = markov._count(np.concatenate([codes, twin]), [(0, 3000), (3000, 6000)], 4, False, 4)
    for left, right in zip(both, joined, strict=True):
        assert np.array_equal(left, right)


def test_recovers_the_entropy_of_independent_bases():
    rng = np.random.default_rng(1)
    share = np.array([0.4, 0.1, 0.3, 0.2])
    codes = rng.choice(4, size=300_000, p=share).astype(np.uint8)
    model = MarkovModel.fit(codes, [(0, 250_000)], max_order=4, strands="forward")
    assert model.order == 0
    entropy = float(-(share * np.log2(share)).sum())
    assert model.bits_per_base(codes, [(250_000, 300_000)]) == pytest.approx(entropy, abs=0.01)


def test_recovers_the_order_and_the_entropy_rate_of_a_chain():
    codes, entropy = order_two_chain(120_000)
    model = MarkovModel.fit(codes, [(0, 100_000)], max_order=5, strands="forward")
    assert model.order == 2
    assert model.bits_per_base(codes, [(100_000, 120_000)]) == pytest.approx(entropy, abs=0.02)


def test_reads_a_memory_map(tmp_path):
    codes, _ = order_two_chain(3000)
    codes.tofile(tmp_path / "codes")
    mapped = np.memmap(tmp_path / "codes", dtype=np.uint8, mode="r")
    model = MarkovModel.fit(mapped, [(0, 2000)], max_order=3)
    expected = MarkovModel.fit(codes, [(0, 2000)], max_order=3).bits_per_base(codes, [(2000, 3000)])
    assert model.bits_per_base(mapped, [(2000, 3000)]) == expected


def test_an_unseen_context_falls_back_to_the_order_below():
    codes = np.tile(np.array([0, 1], dtype=np.uint8), 500)
    model = MarkovModel.fit(codes, [(0, 1000)], max_order=2, strands="forward")
    unseen = np.array([3, 3, 3], dtype=np.uint8)
    assert np.isfinite(model.bits_per_base(unseen, [(0, 3)]))
    assert model.bits_per_base(unseen, [(0, 3)]) > 2


@pytest.mark.parametrize(
    ("arguments", "named"), [({"max_order": 12}, "max_order=12"), ({"strands": "reverse"}, "'reverse'")]
)
def test_rejects_impossible_settings(arguments, named):
    with pytest.raises(ConfigError, match=named):
        MarkovModel.fit(random_codes(100), [(0, 100)], **arguments)


def test_names_an_interval_outside_the_sequence():
    codes = random_codes(1000)
    with pytest.raises(DataError, match=r"\(900, 1001\).*1000 bases"):
        MarkovModel.fit(codes, [(0, 10), (900, 1001)], max_order=2)
    model = MarkovModel.fit(codes, [(0, 900)], max_order=2)
    with pytest.raises(DataError, match=r"\(-1, 5\)"):
        model.bits_per_base(codes, [(-1, 5)])


@pytest.mark.parametrize("intervals", [[], [(5, 5)], [(0, 3)], [(0, 500)]])
def test_says_that_the_training_part_is_too_small(intervals):
    with pytest.raises(DataError, match=r"unambiguous bases .*Markov model: \d block\(s\)"):
        MarkovModel.fit(np.full(500, 4, dtype=np.uint8), intervals, max_order=2)


def test_says_that_nothing_can_be_scored():
    codes = np.append(random_codes(900), np.full(9, 4, dtype=np.uint8))
    model = MarkovModel.fit(codes, [(0, 900)], max_order=2)
    with pytest.raises(DataError, match=r"unambiguous base .*\b1 interval\(s\)"):
        model.bits_per_base(codes, [(900, 909)])
