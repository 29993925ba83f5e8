"""What is drawn from a Markov model follows its probabilities."""

from typing import cast

import numpy as np

from gulmfit.seq.simulate.markov import MarkovModel, markov_samples


def model() -> MarkovModel:
    random = np.random.default_rng(0)
    tables = tuple(np.log2(random.dirichlet(np.ones(4), size=4**k)) for k in range(3))
    return MarkovModel(tables, (1.0,) * 3, (2.0,) * 3)


def test_bases_follow_their_contexts() -> None:
    known = model()
    codes = markov_samples(known, 400, 300, seed=1)
    assert codes.shape == (400, 300)
    contexts = codes[:, :-2].astype(int) * 4 + codes[:, 1:-1]
    for context in range(16):
        following = codes[:, 2:][contexts == context]
        if len(following) > 1000:
            shares = np.bincount(following, minlength=4) / len(following)
            np.testing.assert_allclose(shares, np.exp2(known.tables[2][context]), atol=0.05)
    first = np.bincount(markov_samples(known, 20_000, 1)[:, 0], minlength=4) / 20_000
    np.testing.assert_allclose(first, np.exp2(known.tables[0][0]), atol=0.02)


def test_its_own_bits_per_base_are_its_entropy() -> None:
    known = model()
    codes = markov_samples(known, 1, 50_000)[0]
    table = np.exp2(known.tables[2])
    entropy = -(table * known.tables[2]).sum(1)
    contexts = codes[:-2].astype(int) * 4 + codes[1:-1]
    bits = cast(float, known.bits_per_base(codes, [(0, len(codes))]))
    assert abs(bits - entropy[contexts].mean()) < 0.02


def test_the_same_seed_draws_the_same() -> None:
    known = model()
    np.testing.assert_array_equal(markov_samples(known, 3, 20, seed=5), markov_samples(known, 3, 20, seed=5))
    assert (markov_samples(known, 3, 20, seed=5) != markov_samples(known, 3, 20, seed=6)).any()
