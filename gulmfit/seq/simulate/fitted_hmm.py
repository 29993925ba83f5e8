"""A hidden Markov model that is fitted to sequences alone, by hmmlearn: what can be learned without a single label."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gulmfit.libraries import library
from gulmfit.seq.alphabet import Alphabet, Codes
from gulmfit.seq.simulate.hmm import HiddenMarkov, Ints

BEGINNINGS = 10  # Baum-Welch ends where it is no worse nearby, which depends on where it begins
TRIED = 20  # rounds of each; the likeliest goes on
ROUNDS = 200
STAY = 0.9  # at the beginning; where states change at every letter to begin with, they seldom learn to last
MAX_LETTERS = 100_000  # letters; more change so few parameters very little


def fit_unlabelled(
    sequences: Sequence[Codes], labels: Sequence[Ints], states: str, alphabet: Alphabet, *, seed: int
) -> HiddenMarkov:
    """Fit a model by expectation maximisation (Baum and Welch), and give each of its states a label.

    The fit knows how many states there are and nothing of which is where. Afterwards states and labels are matched one
    to one, so that as many positions as possible have their label's state as the likeliest one; that alone uses labels.

    Args:
        sequences: Codes (L,) of the training part; the first `MAX_LETTERS` letters are used.
        labels: The states of their positions (L,), negative where nothing is known.
        states: A letter for each state.
        alphabet: The letters.
        seed: Of the beginnings; the one of the highest likelihood after `TRIED` rounds is taken.

    Raises:
        DataError: hmmlearn is not installed.
    """
    from scipy.optimize import linear_sum_assignment

    hmm = library("hmmlearn.hmm", "hmm", "data.hmmlearn=true: fitting a hidden Markov model").hmm
    used = int(np.searchsorted(np.cumsum([len(one) for one in sequences]), MAX_LETTERS)) + 1
    sequences, labels = sequences[:used], labels[:used]
    letters, sizes = np.concatenate(sequences).astype(np.int64)[:, None], [len(one) for one in sequences]

    size = len(states)

    def model(rounds: int, **settings: Any) -> Any:
        return hmm.CategoricalHMM(size, n_features=len(alphabet), n_iter=rounds, tol=0.1, **settings)

    def begun(number: int) -> Any:
        own = model(TRIED, init_params="e", random_state=seed + number)
        own.startprob_ = np.full(size, 1 / size)
        own.transmat_ = np.full((size, size), (1 - STAY) / max(1, size - 1))
        np.fill_diagonal(own.transmat_, STAY if size > 1 else 1.0)
        return own.fit(letters, sizes)

    first = max(map(begun, range(BEGINNINGS)), key=lambda own: float(own.monitor_.history[-1]))
    best = model(ROUNDS, init_params="")
    best.startprob_, best.transmat_, best.emissionprob_ = first.startprob_, first.transmat_, first.emissionprob_
    best.fit(letters, sizes)
    found = HiddenMarkov(states, best.startprob_, best.transmat_, best.emissionprob_, alphabet)
    matches = np.zeros((len(states), len(states)))
    for codes, known in zip(sequences, labels, strict=True):
        there = known >= 0
        np.add.at(matches, (found.posterior(codes[None])[0].argmax(axis=1)[there], known[there]), 1)
    order = np.argsort(linear_sum_assignment(matches, maximize=True)[1])  # the fitted state of each label
    return HiddenMarkov(
        states, found.start[order], found.transition[np.ix_(order, order)], found.emission[order], alphabet
    )
