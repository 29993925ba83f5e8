"""The RDP classifier's naive Bayes over the presence of 8-mers: what a taxonomist would try first.

Shapes: `N` sequences, `W` words, `C` classes.

Source: Wang, Garrity, Tiedje & Cole, Appl. Environ. Microbiol. 73 (2007) 5261-5267. Here a sequence is read on the
strand it is given on, and there is no bootstrap of its words.
"""

from collections.abc import Mapping
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

    def scores(self, presence: Any) -> Floats:
        """Return the log-probability of each class (N, C), up to a constant of the sequence, by their words (N, W)."""
        scores = np.empty((presence.shape[0], self._held.shape[0]))
        for start in range(0, scores.shape[1], _CLASSES_AT_ONCE):
            rows = slice(start, start + _CLASSES_AT_ONCE)
            likely = (self._held[rows].toarray() + self._priors) / (self._sizes[rows, None] + 1)
            scores[:, rows] = presence @ np.log(likely).T
        return scores

    def predict_proba(self, presence: Any) -> Floats:
        """Return class probabilities (N, C) of sequences, by their words (N, W)."""
        from scipy.special import softmax

        shares: Floats = softmax(self.scores(presence), axis=1)
        return shares

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the counts, the classes not among them."""
        held = {f"held_{name}": getattr(self._held, name) for name in ("data", "indices", "indptr")}
        return {**held, "priors": self._priors, "sizes": self._sizes}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "WordNaiveBayes":
        """Take the counts that `to_arrays` gave."""
        from scipy.sparse import csr_matrix

        model = cls()
        model._priors, model._sizes = arrays["priors"], arrays["sizes"]
        model._held = csr_matrix(
            tuple(arrays[f"held_{name}"] for name in ("data", "indices", "indptr")),
            shape=(len(model._sizes), len(model._priors)),
        )
        return model
