"""Draw sequences from a Markov model.

Shape letters: `N` sequences, `L` bases.
"""

import numpy as np
import numpy.typing as npt

from gulmfit.seq.markov import MarkovModel


def markov_samples(model: MarkovModel, num_sequences: int, length_bp: int, *, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Draw base codes `(N, L)`, each base given up to `model.order` bases before it.

    Args:
        model: The Markov model; the first bases follow its lower orders.
        num_sequences: `N`.
        length_bp: `L`.
        seed: Of the random numbers.
    """
    letters = model.letters
    edges = [np.cumsum(np.exp2(table), axis=1) for table in model.tables]
    points = np.random.default_rng(seed).random((length_bp, num_sequences))
    codes = np.empty((num_sequences, length_bp), dtype=np.uint8)
    context = np.zeros(num_sequences, dtype=np.int64)
    for at, point in enumerate(points):
        order = min(at, model.order)
        # The last edge is 1 but for rounding.
        codes[:, at] = np.minimum((edges[order][context % letters**order] <= point[:, None]).sum(1), letters - 1)
        context = (context * letters + codes[:, at]) % letters**model.order
    return codes
