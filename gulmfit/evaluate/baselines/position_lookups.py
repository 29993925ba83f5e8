"""Cheap labellers of positions that every score is shown alongside: what a model must beat to have learned anything.

`majority` knows class frequencies; `base_lookup` what the letter of a position says; `window_lookup` what the seven
letters around it say; `window_logistic` is a logistic regression on the letters of a window.

Shapes: `N` sequences, `L` positions of the longest, `C` classes, `A` letters of the alphabet, `W` letters of a window.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gulmfit.seq.alphabet import Alphabet, encode

Floats = NDArray[np.float64]
Labels = NDArray[np.int16]
Codes = NDArray[np.uint8]

LOOKED_UP = 7  # letters of a word that is counted as a whole
LOOKED_UP_RESIDUES = 3
WINDOW = 31  # letters that logistic regression sees
WINDOW_RESIDUES = 11
MAX_FITTED = 20_000  # positions that it is fitted on; more change a model of this size very little
BACKOFFS = tuple(4.0**power for power in range(7))  # pseudo-counts of the shorter word, chosen on validation
_SMALLEST = 1e-12


def run_position_baselines(
    train: tuple[Sequence[str], Labels],
    valid: tuple[Sequence[str], Labels],
    sequences: Sequence[str],
    num_classes: int,
    *,
    width: int,
    seed: int,
    alphabet: Alphabet,
) -> dict[str, Floats]:
    """Fit every baseline on training sequences and give its probabilities for the positions of others.

    Args:
        train: Sequences and their labels (N, L), negative where nothing is known.
        valid: The same, to choose how far counts of long words are trusted.
        sequences: What is predicted.
        num_classes: C.
        width: L of what is returned; past the end of a sequence the numbers mean nothing.
        seed: Of the choice of positions for logistic regression.
        alphabet: What the letters are.

    Returns:
        (N, L, C) probabilities by name.
    """
    (known, labels), (held, held_labels) = (_codes(*part, alphabet) for part in (train, valid))
    codes, _ = _codes(sequences, np.zeros((len(sequences), width), np.int16), alphabet)
    looked_up, window = (LOOKED_UP, WINDOW) if alphabet.complements else (LOOKED_UP_RESIDUES, WINDOW_RESIDUES)
    letters = len(alphabet)
    totals = np.bincount(labels[labels >= 0], minlength=num_classes) + 1.0
    majority = totals / totals.sum()
    by_base = _smoothed(_counted(known, labels, 1, letters, num_classes), majority, 1.0)
    by_word = by_base
    for size in range(3, looked_up + 1, 2):  # a word that was seldom seen is taken for the shorter one in its middle
        counts = _counted(known, labels, size, letters, num_classes)
        fallback = by_word[np.arange(len(counts)) // (letters + 1) % (letters + 1) ** (size - 2)]
        seen, there = _words(held, size, letters)[held_labels >= 0], held_labels[held_labels >= 0]
        by_word = min((_smoothed(counts, fallback, weight) for weight in BACKOFFS), key=partial(_loss, seen, there))
    return {
        "majority": np.tile(majority, (*codes.shape, 1)),
        "base_lookup": by_base[np.minimum(codes, letters)],
        "window_lookup": by_word[_words(codes, looked_up, letters)],
        "window_logistic": _logistic(known, labels, codes, num_classes, window, letters, seed),
    }


def _loss(seen: NDArray[np.int64], there: Labels, table: Floats) -> float:
    """Mean -log of the probability of the classes that are there, 0 where there are none."""
    return float(-np.log(np.maximum(table[seen, there], _SMALLEST)).sum() / max(1, len(there)))


def _codes(sequences: Sequence[str], labels: Labels, alphabet: Alphabet) -> tuple[Codes, Labels]:
    """Codes (N, L) as wide as labels, the ambiguous one past the end of a sequence."""
    codes = np.full(labels.shape, len(alphabet), np.uint8)
    for row, text in zip(codes, sequences, strict=True):
        row[: len(text)] = encode(text, alphabet=alphabet)
    return codes, labels


def _around(codes: Codes, size: int, letters: int) -> Codes:
    """Return the codes with half a window of unknown letters before and after them."""
    return np.pad(codes, ((0, 0), (size // 2, size // 2)), constant_values=letters)


def _words(codes: Codes, size: int, letters: int) -> NDArray[np.int64]:
    """Number the word around each position, (N, L); unknown letters are one letter more."""
    padded, numbers = _around(codes, size, letters), np.zeros(codes.shape, np.int64)
    for at in range(size):
        numbers = numbers * (letters + 1) + padded[:, at : at + codes.shape[1]]
    return numbers


def _counted(codes: Codes, labels: Labels, size: int, letters: int, num_classes: int) -> Floats:
    """Count classes by word, (words, C)."""
    there = labels >= 0
    pairs = _words(codes, size, letters)[there] * num_classes + labels[there]
    counts = np.bincount(pairs, minlength=(letters + 1) ** size * num_classes)
    return counts.reshape(-1, num_classes).astype(np.float64)


def _smoothed(counts: Floats, fallback: Floats, weight: float) -> Floats:
    mixed: Floats = (counts + weight * fallback) / (counts.sum(axis=1, keepdims=True) + weight)
    return mixed


def _logistic(
    known: Codes, labels: Labels, codes: Codes, num_classes: int, window: int, letters: int, seed: int
) -> Floats:
    """Fit a logistic regression on which letter stands at which place of a window, and predict every position."""
    from scipy.special import softmax
    from sklearn.linear_model import LogisticRegression

    rows, places = np.nonzero(labels >= 0)
    drawn = np.random.default_rng(seed).permutation(len(rows))[:MAX_FITTED]
    rows, places = rows[drawn], places[drawn]
    seen = _around(known, window, letters)[rows[:, None], places[:, None] + np.arange(window)]  # (positions, W)
    features = (seen[:, :, None] == np.arange(letters)).reshape(len(seen), -1).astype(np.float64)
    model = LogisticRegression(max_iter=1000).fit(features, labels[rows, places])
    two = len(model.classes_) == 2  # of which only the second has coefficients
    weights = np.concatenate([np.zeros_like(model.coef_), model.coef_]) if two else model.coef_
    offsets = np.concatenate([np.zeros(1), model.intercept_]) if two else model.intercept_
    table = np.concatenate(
        [weights.reshape(len(weights), window, letters), np.zeros((len(weights), window, 1))], axis=2
    )
    padded, logits = _around(codes, window, letters), np.tile(offsets, (*codes.shape, 1))
    for at in range(window):  # a sum of looked-up numbers: the features of all positions are never held
        logits += table[:, at].T[padded[:, at : at + codes.shape[1]]]
    found = np.zeros((*codes.shape, num_classes))
    found[:, :, model.classes_] = softmax(logits, axis=2)
    return found
