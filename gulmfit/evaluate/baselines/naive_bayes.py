"""The RDP classifier's naive Bayes over the presence of 8-mers: what a taxonomist would try first.

Shapes: `N` sequences, `W` words, `C` classes.

Source: Wang, Garrity, Tiedje & Cole, Appl. Environ. Microbiol. 73 (2007) 5261-5267. Here a sequence is read on the
strand it is given on, and there is no bootstrap of its words.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_CLASSES_AT_ONCE = 128  # rows of the (C, W) table that are made at a time


class WordNaiveBayes:
    """Multinomial naive Bayes of the words that a sequence holds, all classes equally likely beforehand.

    With n(w) of N training sequences holding a word, its prior is P(w) = (n(w) + 0.5) / (N + 1); with m(w) of the M
    sequences of a class, its probability there is (m(w) + P(w)) / (M + 1). The score of a class is the product over
    the words that a sequence holds; words it lacks say nothing.

    Attributes:
        classes_: Class indices that were trained on (C,), ascending.
    """

    def fit(self, presence: Any, labels: ArrayLike) -> "WordNaiveBayes":
        """Count words.

        Args:
            presence: Sparse (N, W), 1 where a sequence holds a word.
            labels: (N,) class indices.
        """
        from scipy.sparse import csr_matrix

        self.classes_, numbers = np.unique(np.asarray(labels), return_inverse=True)
        count = presence.shape[0]
        self._priors: Floats = (np.asarray(presence.sum(axis=0)).ravel() + 0.5) / (count + 1)
        membership = csr_matrix((np.ones(count), (numbers, np.arange(count))), shape=(len(self.classes_), count))
        self._held = membership @ presence
        self._sizes = np.bincount(numbers)
        return self

    def predict_proba(self, presence: Any) -> Floats:
        """Return class probabilities (N, C) of sequences, by their words (N, W)."""
        scores = np.empty((presence.shape[0], len(self.classes_)))
        for start in range(0, len(self.classes_), _CLASSES_AT_ONCE):
            rows = slice(start, start + _CLASSES_AT_ONCE)
            likely = (self._held[rows].toarray() + self._priors) / (self._sizes[rows, None] + 1)
            scores[:, rows] = presence @ np.log(likely).T
        shares: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return shares
