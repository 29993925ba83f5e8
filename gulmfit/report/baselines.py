"""Cheap classifiers that every score is shown beside: what a model must beat to have learned anything.

`majority` knows class frequencies, `gc` composition, `kmer_logistic` 4-mer content wherever it stands, and
`onehot_logistic` which base stands at which position, so it finds windows that were cut at a fixed site.

Shapes: `N` sequences, `C` classes, `L` bases of all sequences of a chunk together, `F` features.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import AMBIGUOUS, encode

log = logging.getLogger(__name__)

BASELINES = ("majority", "gc", "kmer_logistic", "onehot_logistic")

KMER = 4
MAX_POSITIONS = 1000  # one-hot columns stop here
MAX_TRAIN = 50_000  # sequences fitted on; more change a linear model of this size very little
DEFAULT_C = 1.0
CHOICES_OF_C = (0.01, 0.1, 1.0)  # inverse L2 strengths, tried on the validation sequences

_CHUNK = 4096  # sequences whose features are held at once
_MAX_ITERATIONS = 10_000

Floats = NDArray[np.float64]
Featurise = Callable[[Sequence[str]], Any]


def run_baselines(
    train_sequences: Sequence[str],
    train_labels: ArrayLike,
    test_sequences: Sequence[str],
    *,
    num_classes: int,
    valid_sequences: Sequence[str] | None = None,
    valid_labels: ArrayLike | None = None,
    seed: int = 0,
) -> dict[str, Floats]:
    """Fit every baseline on the training sequences and give its probabilities for the test sequences.

    GC and k-mer features are standardised by the training sequences alone. The k-mer and one-hot models take
    the L2 strength of lowest log loss on the validation sequences, C = 1 without any. Of more than 50,000
    training sequences a random 50,000 are fitted.

    Args:
        train_sequences: DNA text, upper case; letters other than A, C, G, T count as unknown.
        train_labels: (N,) class indices.
        test_sequences: Sequences to score.
        num_classes: C; a class without a training sequence gets probability 0.
        valid_sequences: Sequences to choose the L2 strength on.
        valid_labels: Their class indices.
        seed: Seed of the choice of 50,000 training sequences.

    Returns:
        (N_test, C) probabilities for each name of `BASELINES`.

    Raises:
        DataError: Sequences and labels differ in number, a label is not in [0, C), the training sequences
            hold fewer than two classes, or only one of the two validation arguments is given.
        SequenceError: A sequence holds a letter that is not DNA.
    """
    labels = _checked_labels(train_sequences, train_labels, num_classes, "training")
    if (valid_sequences is None) != (valid_labels is None):
        raise DataError("valid_sequences and valid_labels go together; one of them is missing")
    valid = None
    if valid_sequences is not None and valid_labels is not None and len(valid_sequences):
        valid = valid_sequences, _checked_labels(valid_sequences, valid_labels, num_classes, "validation")
    counts = np.bincount(labels, minlength=num_classes)
    if (counts > 0).sum() < 2:
        raise DataError(f"all {len(labels)} training sequences are of class {labels[0]}; baselines need two or more")
    sequences, labels = _at_most(train_sequences, labels, seed)
    width = min(MAX_POSITIONS, max(map(len, sequences)))

    def onehot(chunk: Sequence[str]) -> Any:
        return onehot_features(chunk, width)

    def probabilities(featurise: Featurise, *, sparse: bool, tuned: bool) -> Floats:
        model = _fit(featurise, sequences, labels, valid if tuned else None, num_classes, sparse)
        return _predict(model, featurise, test_sequences, num_classes)

    return {
        "majority": np.tile(counts / counts.sum(), (len(test_sequences), 1)),
        "gc": probabilities(gc_features, sparse=False, tuned=False),
        "kmer_logistic": probabilities(kmer_features, sparse=False, tuned=True),
        "onehot_logistic": probabilities(onehot, sparse=True, tuned=True),
    }


def gc_features(sequences: Sequence[str]) -> Floats:
    """Give (N, 2): GC content over unambiguous bases and its square; 0.5 where there is no such base."""
    codes, rows, _ = _flatten(sequences)
    known = codes < AMBIGUOUS
    bases = np.bincount(rows[known], minlength=len(sequences))
    strong = np.bincount(rows[(codes == 1) | (codes == 2)], minlength=len(sequences))
    content = np.divide(strong, bases, out=np.full(len(sequences), 0.5), where=bases > 0)
    return np.stack([content, content**2], axis=1)


def kmer_features(sequences: Sequence[str]) -> Floats:
    """Give (N, 256) frequencies of overlapping 4-mers, lexicographic; unknown bases break a k-mer."""
    codes, rows, positions = _flatten(sequences)
    usable = len(codes) - KMER + 1
    counts = np.zeros((len(sequences), 4**KMER))
    if usable > 0:
        ids = np.zeros(usable, dtype=np.int64)
        whole = positions[KMER - 1 :] >= KMER - 1  # the k-mer does not reach into the next sequence
        for offset in range(KMER):
            part = codes[offset : offset + usable]
            ids = ids * 4 + part
            whole &= part < AMBIGUOUS
        cells = rows[:usable][whole] * 4**KMER + ids[whole]
        counts += np.bincount(cells, minlength=counts.size).reshape(counts.shape)
    frequencies: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return frequencies


def onehot_features(sequences: Sequence[str], width: int) -> Any:
    """Give a sparse (N, 4 * width) one-hot matrix by position; 0 at unknown bases and past the end."""
    from scipy.sparse import csr_matrix

    codes, rows, positions = _flatten(sequences)
    kept = (codes < AMBIGUOUS) & (positions < width)
    columns = positions[kept] * 4 + codes[kept]
    return csr_matrix((np.ones(len(columns)), (rows[kept], columns)), shape=(len(sequences), 4 * width))


def _flatten(sequences: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Base codes of all sequences end to end, with the sequence and the position of each base: three (L,)."""
    parts = [encode(text, where=f"sequence {index}") for index, text in enumerate(sequences)]
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    codes = np.concatenate([*parts, np.zeros(0, dtype=np.uint8)]).astype(np.int64)
    rows = np.repeat(np.arange(len(parts)), lengths)
    starts = np.cumsum(lengths) - lengths
    return codes, rows, np.arange(len(codes)) - starts[rows]


def _checked_labels(sequences: Sequence[str], labels: ArrayLike, num_classes: int, split: str) -> NDArray[np.int64]:
    found = np.asarray(labels, dtype=np.int64)
    if found.shape != (len(sequences),) or (split == "training" and not len(found)):
        raise DataError(f"{len(sequences)} {split} sequences with labels of shape {found.shape}; give one each")
    outside = np.flatnonzero((found < 0) | (found >= num_classes))
    if len(outside):
        at = outside[0]
        raise DataError(f"{split} label {found[at]} at index {at} is not one of the {num_classes} classes")
    return found


def _at_most(sequences: Sequence[str], labels: NDArray[np.int64], seed: int) -> tuple[Sequence[str], NDArray[np.int64]]:
    if len(sequences) <= MAX_TRAIN:
        return sequences, labels
    log.warning("baselines are fitted on %d of %d training sequences", MAX_TRAIN, len(sequences))
    # The first sequence of every class stays in, so that no class is lost to chance.
    firsts = np.unique(labels, return_index=True)[1]
    others = np.setdiff1d(np.arange(len(labels)), firsts)
    drawn = np.random.default_rng(seed).permutation(others)[: max(0, MAX_TRAIN - len(firsts))]
    chosen = np.sort(np.concatenate([firsts, drawn]))
    return [sequences[index] for index in chosen], labels[chosen]


def _chunks(featurise: Featurise, sequences: Sequence[str]) -> Iterator[Any]:
    for start in range(0, len(sequences), _CHUNK):
        yield featurise(sequences[start : start + _CHUNK])


def _features(featurise: Featurise, sequences: Sequence[str], sparse: bool) -> Any:
    from scipy.sparse import vstack

    parts = list(_chunks(featurise, sequences))
    return vstack(parts, format="csr") if sparse else np.concatenate(parts)


def _fit(
    featurise: Featurise,
    sequences: Sequence[str],
    labels: NDArray[np.int64],
    valid: tuple[Sequence[str], NDArray[np.int64]] | None,
    num_classes: int,
    sparse: bool,
) -> Any:
    """A fitted pipeline: standardised unless sparse, then logistic regression."""
    features = _features(featurise, sequences, sparse)
    best, best_loss = None, np.inf
    for strength in CHOICES_OF_C if valid else (DEFAULT_C,):
        model = _logistic(strength, standardise=not sparse).fit(features, labels)
        if valid is None:
            return model
        loss = _log_loss(_predict(model, featurise, valid[0], num_classes), valid[1])
        if loss < best_loss:
            best, best_loss = model, loss
    return best


def _logistic(strength: float, *, standardise: bool) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(C=strength, max_iter=_MAX_ITERATIONS)
    return make_pipeline(StandardScaler(), model) if standardise else make_pipeline(model)


def _predict(model: Any, featurise: Featurise, sequences: Sequence[str], num_classes: int) -> Floats:
    """(N, C) probabilities; classes that the model never saw get 0."""
    probabilities = np.zeros((len(sequences), num_classes))
    for index, features in enumerate(_chunks(featurise, sequences)):
        rows = slice(index * _CHUNK, index * _CHUNK + features.shape[0])
        probabilities[rows, model.classes_] = model.predict_proba(features)
    return probabilities


def _log_loss(probabilities: Floats, labels: NDArray[np.int64]) -> float:
    of_truth = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(of_truth, 1e-12)).mean())
